"""What a training draft is made for, read from the store."""

from sqlalchemy.orm import Session

from app.contract.spec import BaseModelRef
from app.errors import Conflict
from app.launch.base_choices import PREDICTIONS, prediction_choice_of, vae_of
from app.launch.draft import Subject
from app.store import images, projects
from app.store.models import Base


def subject_of(session: Session, project_id: int, base: Base) -> Subject:
    """Return the project's facts with a base. Raises Conflict while the base is not hashed or has gone."""
    if base.is_missing:
        raise Conflict(
            f"{base.name} is no longer at {base.path}.", "Name its folder again under Base models.", "base_id"
        )
    if not base.sha256:
        raise Conflict(f"{base.name} is still being hashed.", "Wait a moment, then try again.", "base_id")
    project = projects.get(session, project_id)
    prediction, has_zero_snr = PREDICTIONS.get(prediction_choice_of(session, base.id), (None, False))
    splits = [row.split for row in images.training_rows(session, project_id)]
    return Subject(
        project=project.name,
        purpose=project.purpose,
        trigger_word=project.trigger_word,
        base=BaseModelRef(
            name=base.name,
            path=base.path,
            family=base.family,
            sha256=base.sha256,
            vae_path=vae_of(session, base.id),
            prediction=prediction,
            has_zero_snr=has_zero_snr,
        ),
        resolution_px=base.resolution_px,
        image_count=splits.count("train"),
        held_out_count=splits.count("held-out"),
        enlarges=projects.enlarges(session, project_id),
    )

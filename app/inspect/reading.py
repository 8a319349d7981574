"""From the store to facts: what the rules look at of a project."""

from sqlalchemy.orm import Session

from app.collect.alike import alike
from app.collect.blobs import blob_path
from app.collect.facts import PictureFacts
from app.collect.measuring import waiting
from app.config import Settings
from app.contract.families import FAMILIES, bucket_step
from app.inspect.findings import Facts
from app.store import bases, images, projects, provenance, relations

DEFAULT_RESOLUTION_PX = 512


def read_facts(session: Session, settings: Settings, project_id: int, views: int | None = None) -> Facts:
    """Read everything that the rules need of a project. Raises NotFound."""
    project = projects.get(session, project_id)
    base = bases.get(session, project.base_id) if project.base_id else None
    resolution_px = base.resolution_px if base else DEFAULT_RESOLUTION_PX
    rows = images.training_rows(session, project_id)
    found = alike(session, project_id)
    return Facts(
        rows=rows,
        originals=[blob_path(settings, row.sha256, row.extension) for row in rows],
        trigger_word=project.trigger_word,
        resolution_px=resolution_px,
        bucket_step_px=bucket_step(FAMILIES[base.family if base else "sd15"], resolution_px),
        project_id=project_id,
        purpose=project.purpose,
        alpha_is_decided=project.alpha_use is not None,
        has_base=base is not None,
        measures={
            sha256: PictureFacts.model_validate_json(text)
            for sha256, text in relations.measured(session, project_id).items()
        },
        pairs=found.pairs,
        decisions=found.decisions,
        origins=provenance.of_project(session, project_id),
        views=views,
        enlarges=projects.enlarges(session, project_id),
        unmeasured=[each.name for each in waiting(session, settings, project_id)],
    )

"""The one thing to do next in a project, in the order of the work: pictures, captions, base model, training, review."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.facts import newest_run
from app.store import images, projects, runs, verdicts
from app.store.images import ImageRow
from app.store.models import Run

PAGE = 200


@dataclass(frozen=True)
class LastRun:
    """The newest training run of a project; `best_step` is the step that a person marked best in its grid."""

    id: int
    name: str
    status: str
    has_verdict: bool = False
    best_step: int | None = None


@dataclass(frozen=True)
class Standing:
    """How far a project is."""

    project_id: int
    images: int
    captioned: int
    has_base: bool
    last_run: LastRun | None


@dataclass(frozen=True)
class NextStep:
    """What to do, why, and where; `action` is the word on the button."""

    title: str
    text: str
    href: str
    action: str


def next_step(standing: Standing) -> NextStep:
    """Choose the step: the dataset comes before its labels, and both before training."""
    root = f"/projects/{standing.project_id}"
    missing = standing.images - standing.captioned
    if not standing.images:
        return NextStep("Add images", "Everything starts with good images.", f"{root}/images", "Add images")
    if missing:
        noun = "image" if missing == 1 else "images"
        text = "An image without a caption binds everything in it to the trigger word."
        return NextStep(f"Caption {missing} {noun}", text, f"{root}/captions", "Write captions")
    if not standing.has_base:
        text = "A LoRA is trained on top of a base model."
        return NextStep("Choose a base model", text, f"{root}#settings", "Choose")
    if standing.last_run is None:
        text = "Every image has a caption. A preset is a good place to start."
        return NextStep("Train", text, f"{root}/train", "Set up training")
    return _after_training(root, standing.last_run)


def _after_training(root: str, run: LastRun) -> NextStep:
    page, review = f"/runs/{run.id}", f"{root}/review?run={run.id}"
    if run.status in ("queued", "running"):
        text = "It is training." if run.status == "running" else "It waits in the queue."
        return NextStep(f"Watch {run.name}", text, page, "Watch")
    if run.status == "failed":
        return NextStep(f"See why {run.name} failed", "The run says what happened and the way out.", page, "Look")
    if run.best_step is not None:
        text = "You marked it best. Download its LoRA file there, or improve the dataset and train again."
        return NextStep(f"Take step {run.best_step:,} of {run.name}", text, review, "To the download")
    if run.has_verdict:
        text = "You have judged some of its samples. The checkpoint of the best one is the one to take."
        return NextStep(f"Mark the best sample of {run.name}", text, review, "Review")
    text = "Compare its checkpoints with the untouched base model."
    return NextStep(f"Review {run.name}", text, review, "Review")


def standing(session: Session, project_id: int) -> Standing:
    """Read how far a project is."""
    counts = projects.counts(session, project_id)
    run = newest_run(session, project_id)
    return Standing(
        project_id=project_id,
        images=counts.images,
        captioned=counts.captioned,
        has_base=projects.get(session, project_id).base_id is not None,
        last_run=_last_run(session, run) if run else None,
    )


def _last_run(session: Session, run: Run) -> LastRun:
    sweeps = [each.id for each in runs.listed(session, run.project_id) if each.parent_id == run.id]
    given = verdicts.for_runs(session, [run.id, *sweeps])
    best = next((key.step for key, each in given.items() if key.run_id == run.id and each.choice == "best"), None)
    return LastRun(run.id, run.name, run.status, bool(given), best)


def uncaptioned(session: Session, project_id: int, after_id: int = 0) -> ImageRow | None:
    """Return the first image behind `after_id` that has no caption, if there is one."""
    for row in _rows(session, project_id, after_id):
        if not (row.caption or "").strip():
            return row
    return None


def _rows(session: Session, project_id: int, after_id: int) -> Iterator[ImageRow]:
    rows: list[ImageRow] = []
    while not rows or len(rows) == PAGE:
        rows = images.page(session, project_id, after_id=after_id, limit=PAGE)
        if not rows:
            return
        yield from rows
        after_id = rows[-1].id

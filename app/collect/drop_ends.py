"""The end of a drop: captions that no image of the drop has by its very name go where else they belong, or wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.collect.dropped import WAITS, Dropper, Outcome
from app.collect.joining import join_item
from app.collect.pending import Pending, Waiting, is_exact
from app.collect.sidecars import folded, is_caption, sidecar_names
from app.store import images, imports
from app.store.db import read, write
from app.store.imports import NewItem, Wanted
from app.store.models import ImportItem

MOST = 1_000_000
AT_ONCE = 50
"""Captions that are dealt with in one short transaction."""


@dataclass
class Ended:
    """What the end of a drop brought: captions joined in all, and those of which there is something to say.

    `touched` are images whose words came only now.
    """

    captioned: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)
    report_id: int | None = None


class Pictures:
    """The pictures that a drop brought or tried to bring, by the captions that they may have."""

    def __init__(self, items: Sequence[ImportItem], unsent: Sequence[str]) -> None:
        self.items = [item for item in items if not is_caption(item.name)]
        self._by_caption: dict[str, list[ImportItem]] = {}
        for item in self.items:
            for name in {folded(each) for each in sidecar_names(item.name)}:
                self._by_caption.setdefault(name, []).append(item)
        self._unsent = {folded(each) for name in unsent for each in sidecar_names(name)}

    def of_caption(self, name: str) -> list[ImportItem]:
        """The pictures that a caption belongs to: those of its very name, else those that differ by case."""
        mine = self._by_caption.get(folded(name), [])
        return [item for item in mine if is_exact(name, item.name)] or mine

    def has_failed(self, name: str) -> bool:
        """Whether a caption's picture never came, though it was among the files."""
        return folded(name) in self._unsent


def end_drop(dropper: Dropper, unsent: Sequence[str] = ()) -> Ended:
    """Join what the files of a drop left open; `unsent` are the files that never came, by name. Raises NotFound."""
    with read(dropper.engine) as session:
        report = imports.found_drop(session, dropper.project_id, dropper.source)
        items = imports.items(session, report.id, Wanted(limit=MOST)) if report else []
        ended = Ended(report_id=report.id if report else None)
    if report is None:
        return ended
    pictures, waiting = Pictures(items, unsent), dropper.pending.all()
    for start in range(0, len(waiting), AT_ONCE):
        with write(dropper.engine) as session:
            for each in waiting[start : start + AT_ONCE]:
                _end_caption(dropper, session, pictures, each, ended)
    for item in pictures.items:
        _give_earlier_words(dropper, pictures, item, ended)
    dropper.pending.close()
    return ended


def _end_caption(dropper: Dropper, session: Session, pictures: Pictures, waiting: Waiting, ended: Ended) -> None:
    found = pictures.of_caption(waiting.name)
    here = _present(dropper, session, found)
    if here and is_exact(waiting.name, here[0].name):
        # Each of them looked for its captions when it came in.
        ended.captioned += 1
        return
    if here:
        _join(dropper, session, here, waiting, ended)
        return
    outcome = None
    if not found and not pictures.has_failed(waiting.name):
        outcome = dropper.give_to_earlier(session, waiting.words)
    if outcome is None:
        outcome = _let_wait(dropper, session, waiting)
    elif outcome.status == "captioned":
        ended.captioned += 1
        ended.touched += [outcome.image_id] if outcome.image_id else []
    ended.outcomes.append(outcome)


def _let_wait(dropper: Dropper, session: Session, waiting: Waiting) -> Outcome:
    dropper.pending.let_wait(waiting)
    told = f"{waiting.name} belongs to no image here."
    dropper.tell(session, NewItem(waiting.name, "refused", "F09", told, WAITS))
    return Outcome(waiting.name, "waiting", code="F09")


def _give_earlier_words(dropper: Dropper, pictures: Pictures, item: ImportItem, ended: Ended) -> None:
    """Give an image of the drop the captions that waited for it since earlier drops."""
    earlier = Pending(dropper.pending.folder)
    for waiting in earlier.nearest_to(item.name) if item.image_id is not None else ():
        with write(dropper.engine) as session:
            here = _present(dropper, session, pictures.of_caption(waiting.name))
            _join(dropper, session, here, waiting, ended)
        if here:
            waiting.path.unlink(missing_ok=True)


def _present(dropper: Dropper, session: Session, items: Sequence[ImportItem]) -> list[ImportItem]:
    """Those whose image came in and is still here: somebody may have removed it before the end."""
    ids = [item.image_id for item in items if item.image_id is not None]
    present = images.present(session, dropper.project_id, ids)
    return [item for item in items if item.image_id in present]


def _join(dropper: Dropper, session: Session, items: Sequence[ImportItem], waiting: Waiting, ended: Ended) -> None:
    """Give images of the drop a caption that they did not find themselves."""
    rows = imports.items_by_id(session, [item.id for item in items])
    for row in rows:
        joined = join_item(session, dropper.target, row, waiting.words)
        if joined is None:
            continue
        ended.touched.append(joined.image_id)
        ended.captioned += joined.is_taken
        if joined.choices:
            reason = f"{row.name} came with other words, which stand until you choose."
            asked = Outcome(waiting.name, "question", reason, joined.image_id, "Q-caption", ended.report_id)
            ended.outcomes.append(asked)

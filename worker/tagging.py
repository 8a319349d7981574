"""A tag or mask run: every frozen image shown to a model, what it says written down, never into captions or recipes."""

import time
from collections.abc import Sequence
from pathlib import Path

from app.contract.events import PhaseChanged, Warned
from app.contract.pixels import UNREADABLE, open_rgb
from app.contract.rundir import DatasetRow, RunDir
from app.contract.spec import MaskSpec, TagSpec
from app.contract.suggestions import Book, Looked, book_path
from worker.context import RunContext
from worker.errors import BadSpec, EmptyDataset
from worker.leaving import checker
from worker.taggers.base import Said, Tagger, View

REPORT_S = 0.5
MOST_WARNINGS = 10


def tag(context: RunContext) -> None:
    """Ask the model about every image that an earlier attempt has not asked about.

    Raises ModelMissing when there is no such model, WorkerError when it fails for every image, EmptyDataset, Stopped
    or Interrupted when asked to leave; what was said until then stays.
    """
    if not isinstance(context.spec, TagSpec | MaskSpec):
        raise BadSpec(f"The run's kind is {context.spec.kind}; tag or mask was asked for.", "Start the run again.")
    check = checker(context)
    context.log.append(PhaseChanged(phase="loading"))
    rows = context.run_dir.read_dataset()
    if not rows:
        raise EmptyDataset("There is no image to look at.", "Add images, or look at more of them.")
    book = Book(book_path(context.run_dir))
    left = [row for row in rows if row.sha256 not in book.seen]
    check()
    telling = Telling(context, len(rows))
    if left:
        tagger = load(context.spec, context.run_dir)
        for start in range(0, len(left), tagger.batch):
            telling.moved(len(rows) - len(left) + start)
            check()
            lines = look(tagger, left[start : start + tagger.batch])
            book.write(lines)
            telling.noted(lines)
    telling.close()


def load(spec: TagSpec | MaskSpec, run_dir: RunDir) -> Tagger:
    """Load the model that the spec names; only the libraries it needs are loaded. Raises ModelMissing.

    Masks that it makes go into the run's folder.
    """
    if isinstance(spec, MaskSpec):
        from worker.taggers.subject import SubjectFinder  # noqa: PLC0415 - see above

        return SubjectFinder(spec, run_dir)
    if spec.tagger == "wd":
        from worker.taggers.wd import WdTagger  # noqa: PLC0415 - see above

        return WdTagger(spec)
    if spec.tagger == "endpoint":
        from worker.taggers.endpoint import EndpointTagger  # noqa: PLC0415 - see above

        return EndpointTagger(spec)
    from worker.taggers.captioner import Captioner  # noqa: PLC0415 - see above

    return Captioner(spec)


def look(tagger: Tagger, rows: Sequence[DatasetRow]) -> list[Looked]:
    """Show some images to the model; one that cannot be read is noted and holds nothing up."""
    opened = [_open(row) for row in rows]
    views = [view for view in opened if isinstance(view, View)]
    said = iter(tagger.look(views)) if views else iter(())
    return [
        _line(row, next(said)) if isinstance(view, View) else _line(row, view)
        for row, view in zip(rows, opened, strict=True)
    ]


def _open(row: DatasetRow) -> View | Said:
    try:
        return View(row, open_rgb(Path(row.path), row.recipe))
    except UNREADABLE as error:
        return Said(note=f"The image cannot be read: {str(error).splitlines()[0] if str(error) else 'no reason given'}")


def _line(row: DatasetRow, said: Said) -> Looked:
    return Looked(sha256=row.sha256, name=row.name, answers=said.answers, note=said.note, subject=said.subject)


class Telling:
    """Tells how far the run is, twice a second at most, and names the images of which nothing could be said."""

    def __init__(self, context: RunContext, total: int) -> None:
        self._log = context.log
        self._total = total
        self._done = 0
        self._told_at = float("-inf")
        self._notes = 0

    def moved(self, done: int) -> None:
        """So many images are done."""
        self._done = done
        if time.monotonic() - self._told_at >= REPORT_S:
            self._tell()

    def noted(self, lines: Sequence[Looked]) -> None:
        """Warn of images of which nothing could be said; the first few by name."""
        for line in lines:
            if line.note:
                self._notes += 1
                if self._notes <= MOST_WARNINGS:
                    self._log.append(Warned(message=f"{line.name}: {line.note}", hint="It has no suggestion."))

    def close(self) -> None:
        """Tell that all is done."""
        self._done = self._total
        if self._notes > MOST_WARNINGS:
            self._log.append(Warned(message=f"{self._notes} images got no suggestion; the first are named above."))
        self._tell()

    def _tell(self) -> None:
        self._log.append(PhaseChanged(phase="sampling", done=self._done, total=self._total))
        self._told_at = time.monotonic()

"""One import from beginning to end: its files gathered by several lanes, written down in short transactions."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from sqlalchemy import Engine

from app.collect import blobs
from app.collect.gather import Gathered
from app.collect.lanes import in_order
from app.collect.outcomes import Target, write_down
from app.collect.plans import Plan, Workshop, plan
from app.collect.refusals import Refused
from app.collect.sources import PathSource, ZipSource, read_source
from app.errors import AppError
from app.store import imports
from app.store.db import write
from app.store.imports import NewItem
from app.store.models import Import

BATCH = 100
# So that the first pictures are seen soon, and a busy machine still tells how far it is.
BATCH_S = 0.4
NAMESPACE = UUID("6f2f4c1e-9f3c-4d57-8d0b-9b8f0a7b1f10")
BROKE_OFF = "What came in stays; go on with it for the rest."
NOT_TRIED = "Nothing else changed; try the files again then."

IsOver = Callable[[], bool]
Tell = Callable[[NewItem, int], None]


@dataclass(frozen=True)
class Job:
    """An import on its way; `is_over` tells that it was cancelled or the studio closes."""

    workshop: Workshop
    row: Import
    is_over: IsOver
    tell: Tell | None = None

    @property
    def engine(self) -> Engine:
        """The store."""
        return self.workshop.engine

    @property
    def target(self) -> Target:
        """Where its files go; every entry of the history carries the same batch, also after a restart."""
        batch = str(uuid5(NAMESPACE, f"{self.row.project_id}/{self.row.id}/{self.row.at_us}"))
        return Target(self.row.project_id, self.row.id, self.row.by, batch)

    def run(self) -> bool:
        """Deal with every file that was not dealt with yet; False when it broke off, which the report tells."""
        try:
            made = self._plan()
            with write(self.engine) as session:
                done = imports.done_names(session, self.row.id)
                imports.recount(session, self.row.id)
                imports.set_total(session, self.row.id, len({task.name for task in made.tasks} | done))
            self._work(replace(made, tasks=[task for task in made.tasks if task.name not in done]), len(made.tasks))
        except (AppError, OSError) as error:
            return self._ended(error, BROKE_OFF)
        return True

    def retry(self, names: Sequence[str]) -> bool:
        """Try some files once more; those that are no longer there keep their row. False when it broke off.

        What lies in a folder that could not be read before, and can be now, is added to the report.
        """
        try:
            self._retry(set(names))
        except (AppError, OSError) as error:
            return self._ended(error, NOT_TRIED)
        finally:
            with write(self.engine) as session:
                imports.recount(session, self.row.id)
        return True

    def _retry(self, names: Collection[str]) -> None:
        with write(self.engine) as session:
            rows = imports.refused_names(session, self.row.id)
            done = imports.done_names(session, self.row.id)
            again = {name: item_id for name, item_id in rows.items() if name in names}
            imports.recount(session, self.row.id, less=len(again))
        made = self._plan()
        for batch in self._gathered(replace(made, tasks=[task for task in made.tasks if task.name in again])):
            self._settle(batch)
            write_down(self.engine, self.target, batch, again)
        here = {task.name for task in made.tasks}
        for folder, item_id in again.items():
            inside = [task for task in made.tasks if task.name.startswith(f"{folder}/") and task.name not in done]
            if folder not in here and inside:
                self._open(replace(made, tasks=inside), folder, item_id)

    def _plan(self) -> Plan:
        """List what is to be done, and keep what is to be said of the whole."""
        source = read_source(self.row.source)
        made = plan(source, self.workshop)
        if isinstance(source, PathSource | ZipSource):
            told = source.model_copy(update={"read_as": made.layouts, "notes": made.notes})
            with write(self.engine) as session:
                imports.set_source(session, self.row.id, told.model_dump_json())
        return made

    def _open(self, made: Plan, folder: str, item_id: int) -> None:
        """Take in what lies in a folder that can be read now."""
        self._work(made, len(made.tasks))
        words = f"It can be read now; its {len(made.tasks)} files are in this report."
        with write(self.engine) as session:
            imports.change_item(session, item_id, NewItem(folder, "known", "", words))
            imports.recount(session, self.row.id)
            imports.set_total(session, self.row.id, imports.get(session, self.row.id).done)

    def _work(self, made: Plan, total: int) -> None:
        for batch in self._gathered(made):
            self._settle(batch)
            items = write_down(self.engine, self.target, batch)
            if self.tell:
                for item in items:
                    self.tell(item, total)

    def _settle(self, batch: Sequence[Gathered]) -> None:
        named = [(each.new.sha256, each.new.extension) for each in batch if each.new is not None]
        blobs.settle(self.workshop.settings, named)

    def _gathered(self, made: Plan) -> Iterator[list[Gathered]]:
        """Batches in the order of the tasks, each as soon as it is full or has waited long enough."""
        batch: list[Gathered] = []
        since = time.monotonic()
        width = 1 if made.is_in_turn else self.workshop.decoders.size
        with ThreadPoolExecutor(width, thread_name_prefix="gather") as lanes:
            for gathered in in_order(lanes, [task.gather for task in made.tasks], self.is_over):
                batch.append(gathered)
                if len(batch) >= BATCH or time.monotonic() - since > BATCH_S:
                    yield batch
                    batch, since = [], time.monotonic()
        if batch:
            yield batch

    def _ended(self, error: AppError | OSError, way_out: str) -> bool:
        """Whether it ended because it was to end, as its decoders and archives tell by an error; else say why."""
        if self.is_over():
            return True
        if isinstance(error, AppError):
            code = error.code if isinstance(error, Refused) else "stopped"
            message, hint = f"It stopped: {error.message}", f"{error.hint} {way_out}".strip()
        else:
            code, message, hint = "stopped", f"It stopped: {error.strerror or type(error).__name__}.", way_out
        item = NewItem("the import", "refused", code, message, hint)
        with write(self.engine) as session:
            imports.put_trouble(session, self.row.id, item)
        if self.tell:
            self.tell(item, 0)
        return False

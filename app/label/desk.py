"""What labeling keeps in memory between two requests: the images of each project, tokenizers, vocabularies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

from sqlalchemy.orm import Session

from app.contract.buckets import Buckets, Size
from app.label.accepting import seen
from app.label.completion import Completion, Shelf, Vocabulary
from app.label.disagreements import Disagreements
from app.label.jobs import BulkJobs
from app.label.rows import Marks, Row, Table, TokenCounts
from app.label.tokens import Tokens, read_tokens
from app.store import filters, suggestions
from app.store.filters import Stamp
from app.store.suggestions import Standing

WHOLE_AGAIN = 2000
PROJECTS_KEPT = 4
COUNTS_AGE_S = 10.0
MARKS_AGE = 5
"""For how many times as long as it took the word of inspection is kept."""


@dataclass(frozen=True)
class Frame:
    """What a table needs to know beyond the images: trigger word, buckets, tokenizer."""

    trigger_word: str
    buckets: Buckets | tuple[Size, ...]
    tokenizer_folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Kept:
    stamp: Stamp
    rows: dict[int, Row]
    table: Table
    key: tuple[Frame, frozenset[int]]


class Desk:
    """Tables of the projects that were asked for last; after an edit only what changed is read again."""

    def __init__(self, inspect: Callable[[int], Marks] | None = None) -> None:
        """Keep nothing yet; `inspect` says what is found of the images of a project."""
        self._inspect = inspect
        self._marks: dict[int, tuple[float, Marks]] = {}
        self._lock = Lock()
        self._doubts_lock = Lock()
        self._kept: dict[int, _Kept] = {}
        self._tokens: dict[tuple[Path, ...], Tokens | None] = {}
        self._shelf = Shelf()
        self.bulk_jobs = BulkJobs()
        self._disagreements: dict[int, tuple[Standing, Table, Disagreements]] = {}
        self._completions: dict[int, tuple[float, Table, Vocabulary, Completion]] = {}

    def vocabulary(self, files: Sequence[Path]) -> Vocabulary:
        """What the starter list and some files know, read again when one of them changes."""
        return self._shelf.vocabulary(files)

    def completion(self, project_id: int, table: Table, files: Sequence[Path]) -> Completion:
        """What completes tags in a project, out of its own and those of the files; its counts may be seconds old."""
        vocabulary = self.vocabulary(files)
        if kept := self._completions.get(project_id):
            made_s, of_table, of_vocabulary, completion = kept
            is_fresh = of_table is table or monotonic() - made_s < COUNTS_AGE_S
            if of_vocabulary is vocabulary and is_fresh:
                return completion
        spellings = {key: counted.most_common(1)[0][0] for key, counted in table.spellings.items()}
        made = Completion(vocabulary, table.frequencies, spellings)
        with self._lock:
            self._completions.pop(project_id, None)
            self._completions[project_id] = (monotonic(), table, vocabulary, made)
            while len(self._completions) > PROJECTS_KEPT:
                del self._completions[next(iter(self._completions))]
        return made

    def tokens(self, folders: Sequence[Path]) -> Tokens | None:
        """The first tokenizer in these folders, read once; None when there is none."""
        key = tuple(folders)
        if key not in self._tokens:
            self._tokens[key] = read_tokens(key)
        return self._tokens[key]

    def table(self, session: Session, project_id: int, frame: Frame) -> Table:
        """The images of a project as they are now."""
        with self._lock:
            now = filters.stamp(session, project_id)
            suggested = frozenset(filters.suggested_ids(session, project_id))
            key = (frame, suggested)
            kept = self._kept.pop(project_id, None)
            if kept is None or kept.stamp != now or kept.key != key:
                rows = self._rows(session, project_id, kept, now)
                table = self._made(project_id, rows, frame, suggested)
                kept = _Kept(now, rows, table, key)
            self._kept[project_id] = kept
            while len(self._kept) > PROJECTS_KEPT:
                del self._kept[next(iter(self._kept))]
            return kept.table

    def disagreements(self, session: Session, project_id: int, table: Table) -> Disagreements:
        """Where captions and models disagree in a project as it is now; `table` is that of this very moment."""
        now = suggestions.standing(session, project_id)
        with self._doubts_lock:
            kept = self._disagreements.pop(project_id, None)
            if kept is None or kept[0] != now or kept[1] is not table:
                kept = (now, table, _renewed(session, project_id, now, kept, table))
            self._disagreements[project_id] = kept
            while len(self._disagreements) > PROJECTS_KEPT:
                del self._disagreements[next(iter(self._disagreements))]
            return kept[2]

    def _made(self, project_id: int, rows: dict[int, Row], frame: Frame, suggested: frozenset[int]) -> Table:
        def marks() -> Marks:
            started_s = monotonic()
            fresh_until_s, found = self._marks.get(project_id, (0.0, {}))
            if self._inspect and started_s > fresh_until_s:
                found = self._inspect(project_id)
                self._marks[project_id] = (monotonic() + MARKS_AGE * (monotonic() - started_s), found)
            return found

        counter = self._counter(frame)
        return Table(list(rows.values()), frame.trigger_word, frame.buckets, counter, suggested, marks)

    def _counter(self, frame: Frame) -> TokenCounts:
        def count(texts: Sequence[str]) -> list[int]:
            tokens = self.tokens(frame.tokenizer_folders)
            return tokens.counts(texts) if tokens else []

        return count

    def _rows(self, session: Session, project_id: int, kept: _Kept | None, now: Stamp) -> dict[int, Row]:
        if kept is None or kept.stamp.measured != now.measured:
            return {row.id: Row(row) for row in filters.rows(session, project_id)}
        changed = filters.changed_ids(session, project_id, kept.stamp.history_id)
        if len(changed) > WHOLE_AGAIN:
            return {row.id: Row(row) for row in filters.rows(session, project_id)}
        fresh = {row.id: Row(row) for row in filters.rows(session, project_id, changed)} if changed else {}
        rows = dict(kept.rows)
        for image_id in changed - fresh.keys():
            rows.pop(image_id, None)
        is_in_order = fresh.keys() <= rows.keys()
        rows |= fresh
        return rows if is_in_order else dict(sorted(rows.items()))


def _renewed(
    session: Session,
    project_id: int,
    now: Standing,
    kept: tuple[Standing, Table, Disagreements] | None,
    table: Table,
) -> Disagreements:
    """Read what has changed since; everything, where that does not lead to what is there now."""
    if kept is not None:
        then, _, found = kept
        changed = suggestions.changed_since(session, project_id, then.newest_us) if then != now else []
        dropped = [seen(row) for row in changed if row.state == "dismissed"]
        found.renew(table, [seen(row) for row in changed if row.state != "dismissed"], dropped)
        if found.ids == (now.count, now.id_sum):
            return found
    found = Disagreements()
    found.renew(table, map(seen, suggestions.of_project(session, project_id)))
    return found

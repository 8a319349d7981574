"""What labeling keeps in memory between two requests: the images of each project, tokenizers, vocabularies."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

from sqlalchemy.orm import Session

from app.contract.buckets import Size
from app.label.completion import Completion, Shelf, Vocabulary
from app.label.jobs import BulkJobs
from app.label.rows import Row, Table, TokenCounts
from app.label.tokens import Tokens, read_tokens
from app.store import filters
from app.store.filters import Stamp

WHOLE_AGAIN = 2000
PROJECTS_KEPT = 4
COUNTS_AGE_S = 10.0


@dataclass(frozen=True)
class Frame:
    """What a table needs to know beyond the images: trigger word, buckets, tokenizer."""

    trigger_word: str
    buckets: tuple[Size, ...]
    tokenizer_folders: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Kept:
    stamp: Stamp
    rows: dict[int, Row]
    table: Table
    key: tuple[Frame, frozenset[int]]


class Desk:
    """Tables of the projects that were asked for last; after an edit only what changed is read again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[int, _Kept] = {}
        self._tokens: dict[tuple[Path, ...], Tokens | None] = {}
        self._shelf = Shelf()
        self.bulk_jobs = BulkJobs()
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
                table = Table(list(rows.values()), frame.trigger_word, frame.buckets, self._counter(frame), suggested)
                kept = _Kept(now, rows, table, key)
            self._kept[project_id] = kept
            while len(self._kept) > PROJECTS_KEPT:
                del self._kept[next(iter(self._kept))]
            return kept.table

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

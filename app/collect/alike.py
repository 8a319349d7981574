"""The alike pictures of a project: its stored hashes compared, with what has been decided of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.collect.duplicates import Decision, Pair, Settled, Unions, find_pairs, groups, hashed
from app.collect.facts import is_unreadable
from app.store import relations
from app.store.relations import Likely


@dataclass(frozen=True)
class Alike:
    """Every near pair of a project, the decisions made, and how many images have no hash to compare yet."""

    images: Sequence[Likely]
    pairs: Sequence[Pair]
    decisions: Sequence[Decision]
    unmeasured: int

    def waiting(self) -> list[Pair]:
        """The pairs that nobody has decided yet, nearest first."""
        settled = Settled(self.decisions)
        return [pair for pair in self.pairs if not settled.says(pair.low, pair.high)]

    def groups(self) -> Unions[str]:
        """Pictures, by their content, that must not stand on both sides of a split."""
        return groups(self.pairs, self.decisions)


def alike(session: Session, project_id: int) -> Alike:
    """Compare the images of a project; seconds for 20,000 the first time, from memory until an image comes or goes."""
    rows = relations.likely(session, project_id)
    pictures = tuple(each for row in rows if (each := hashed(row.sha256, row.phash, row.phash_mirrored)))
    return Alike(
        images=rows,
        pairs=find_pairs(pictures),
        decisions=[
            Decision(row.low_sha256, row.high_sha256, row.kinship) for row in relations.decisions(session, project_id)
        ],
        unmeasured=_unmeasured(session, project_id, rows),
    )


def _unmeasured(session: Session, project_id: int, rows: Sequence[Likely]) -> int:
    lacking = [row.sha256 for row in rows if row.phash is None]
    known = relations.measured(session, project_id) if lacking else {}
    return sum(not is_unreadable(known.get(sha256)) for sha256 in lacking)

"""Alike pictures: every pair whose perceptual hashes are near, and what the decisions about some say of others."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np

SAME_MOST = 4
LOOK_MOST = 10
# So many rows are compared with all others at a time: 40 MB for 20,000 pictures.
BLOCK = 256
MOST_PAIRS = 20_000
# A hash with almost no bit set, or almost all, is that of an even picture, which resembles every other.
FEWEST_BITS = 6
HASH_BITS = 64

Likeness = Literal["same", "look"]
Key = TypeVar("Key", bound=Hashable)
Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
Distances = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


class Hashed(NamedTuple):
    """A picture's content hash, its perceptual hash and that of its mirror image."""

    sha256: str
    phash: int
    mirrored: int


@dataclass(frozen=True, order=True)
class Pair:
    """Two alike pictures, nearest pairs first; the content hashes stand in their order."""

    distance: int
    low: str
    high: str
    is_mirrored: bool = False

    @property
    def likeness(self) -> Likeness:
        """`same` for hashes that nearly agree, `look` for those a person should look at."""
        return "same" if self.distance <= SAME_MOST else "look"


def hashed(sha256: str, phash: str | None, mirrored: str | None) -> Hashed | None:
    """Read stored hashes; None for a picture that was not measured, or that is too even to be told by its hash."""
    if phash is None or mirrored is None:
        return None
    bits = int(phash, 16)
    if not FEWEST_BITS <= bits.bit_count() <= HASH_BITS - FEWEST_BITS:
        return None
    return Hashed(sha256, bits, int(mirrored, 16))


@lru_cache(maxsize=4)
def find_pairs(pictures: tuple[Hashed, ...], most: int = LOOK_MOST) -> tuple[Pair, ...]:
    """Return every pair at most so far apart, nearest first; the nearest 20,000 where there are more.

    The mirror image of one is compared with the other, too. Equal arguments are answered from memory.
    """
    ordered = sorted({each.sha256: each for each in pictures}.values(), key=lambda each: each.sha256)
    straight = np.array([each.phash for each in ordered], dtype=np.uint64)
    mirrored = np.array([each.mirrored for each in ordered], dtype=np.uint64)
    found: list[Pair] = []
    limit = most
    for start in range(0, len(ordered), BLOCK):
        rows = slice(start, start + BLOCK)
        for low, high, distance, is_mirrored in _near(straight, mirrored, rows, limit):
            found.append(Pair(distance, ordered[low].sha256, ordered[high].sha256, is_mirrored))
        if len(found) > 2 * MOST_PAIRS:
            found = sorted(found)[:MOST_PAIRS]
            limit = found[-1].distance
    return tuple(sorted(found)[:MOST_PAIRS])


def _near(straight: Hashes, mirrored: Hashes, rows: slice, most: int) -> Iterator[tuple[int, int, int, bool]]:
    """Compare some rows with all behind them; a pair counts by the nearer of its two distances."""
    rest = slice(rows.start, None)
    plain = _distances(straight[rows], straight[rest])
    turned = _distances(mirrored[rows], straight[rest])
    nearest = np.minimum(plain, turned)
    low, high = np.nonzero(nearest <= most)
    is_behind = high > low
    low, high = low[is_behind], high[is_behind]
    # More than this of one block cannot all be shown: keep its nearest.
    order = np.argsort(nearest[low, high], kind="stable")[:MOST_PAIRS]
    for one, other in zip(low[order].tolist(), high[order].tolist(), strict=True):
        is_mirrored = bool(turned[one, other] < plain[one, other])
        yield rows.start + one, rows.start + other, int(nearest[one, other]), is_mirrored


def _distances(some: Hashes, others: Hashes) -> Distances:
    return np.bitwise_count(np.bitwise_xor(some[:, None], others[None, :]))


class Unions(Generic[Key]):
    """Things that belong together, joined one pair after the other."""

    def __init__(self, joined: Iterable[tuple[Key, Key]] = ()) -> None:
        self._parents: dict[Key, Key] = {}
        for one, other in joined:
            self.join(one, other)

    def root(self, key: Key) -> Key:
        """The one that stands for all that belong together with this."""
        while (parent := self._parents.get(key, key)) != key:
            self._parents[key] = self._parents.get(parent, parent)
            key = parent
        return key

    def join(self, one: Key, other: Key) -> None:
        """Say that two belong together."""
        self._parents[self.root(other)] = self.root(one)

    def are_joined(self, one: Key, other: Key) -> bool:
        """Whether two belong together."""
        return self.root(one) == self.root(other)


@dataclass(frozen=True)
class Decision:
    """What a person said of two pictures; the hashes stand in their order."""

    low: str
    high: str
    kinship: Literal["better", "same", "alternate", "unrelated"]


class Settled:
    """What the decisions made so far say of any pair: of these two, and of those they are the same as.

    If a is the same as b and b as c, then a is the same as c. Alternates of one thing are alternates of each other. If
    a is the same as b and b is not related to c, then a is not related to c either.
    """

    def __init__(self, decisions: Iterable[Decision]) -> None:
        made = list(decisions)
        self._same = Unions((each.low, each.high) for each in made if each.kinship in ("better", "same"))
        root = self._same.root
        self._alternate = Unions((root(each.low), root(each.high)) for each in made if each.kinship == "alternate")
        self._apart = {frozenset((root(each.low), root(each.high))) for each in made if each.kinship == "unrelated"}

    def says(self, low: str, high: str) -> bool:
        """Whether a pair needs no decision any more."""
        one, other = self._same.root(low), self._same.root(high)
        return one == other or self._alternate.are_joined(one, other) or frozenset((one, other)) in self._apart


def open_pairs(pairs: Sequence[Pair], decisions: Sequence[Decision]) -> list[Pair]:
    """The pairs that still need a decision, in order."""
    settled = Settled(decisions)
    return [pair for pair in pairs if not settled.says(pair.low, pair.high)]


def groups(pairs: Iterable[Pair], decisions: Sequence[Decision]) -> Unions[str]:
    """Pictures that must not stand on both sides of a split: near ones, unless a person said they are not related."""
    apart = {(each.low, each.high) for each in decisions if each.kinship == "unrelated"}
    joined = Unions((pair.low, pair.high) for pair in pairs if (pair.low, pair.high) not in apart)
    for each in decisions:
        if each.kinship != "unrelated":
            joined.join(each.low, each.high)
    return joined


def merged_caption(keeper: str, other: str) -> tuple[str, tuple[str, ...]]:
    """Add to a caption what only the other says; return the whole and the parts that are new.

    Parts are set apart by commas and compared without case; lines of the keeper stay as they are.
    """
    known = {part.strip().casefold() for line in keeper.splitlines() for part in line.split(",")}
    new: list[str] = []
    for part in (part.strip() for line in other.splitlines() for part in line.split(",")):
        if part and part.casefold() not in known:
            known.add(part.casefold())
            new.append(part)
    if not new:
        return keeper, ()
    added = ", ".join(new)
    kept = keeper.rstrip().rstrip(",")
    return (f"{kept}, {added}" if kept.strip() else added), tuple(new)

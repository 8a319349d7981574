"""The tags of a dataset: how often each stands there and with which others, and what looks like two for one."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.label.completion import Vocabulary
from app.label.facets import spelling
from app.label.rows import Table, fold

MOST_PAIRS = 40
SHORTEST = 4
PLURALS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"))
OPPOSITES = (
    ("day", "night"),
    ("indoors", "outdoors"),
    ("short hair", "long hair"),
    ("standing", "sitting"),
    ("standing", "lying"),
    ("open mouth", "closed mouth"),
    ("open eyes", "closed eyes"),
    ("from above", "from below"),
    ("from behind", "from front"),
    ("close-up", "full body"),
    ("close-up", "wide shot"),
    ("colour", "monochrome"),
    ("simple background", "detailed background"),
    ("smile", "frown"),
    ("1girl", "2girls"),
    ("1boy", "2boys"),
    ("solo", "2girls"),
    ("solo", "2boys"),
    ("solo", "crowd"),
    ("no humans", "solo"),
)
COLOURS = frozenset(
    (
        *("black", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "gray"),
        *("blonde", "blond", "silver", "golden"),
    )
)
DIGITS = re.compile(r"\d")


@dataclass(frozen=True)
class TagRow:
    """A tag with the number of captions it stands in and their share of all."""

    tag: str
    category: str
    count: int
    share_pct: float


@dataclass(frozen=True)
class Pair:
    """Two tags of which `odd` may have been meant as `usual`, or that contradict one another in `count` captions."""

    odd: str
    usual: str
    count: int


@dataclass(frozen=True)
class Doubts:
    """What looks inconsistent, of each kind the most frequent first."""

    spellings: Sequence[Pair]
    plurals: Sequence[Pair]
    aliases: Sequence[Pair]
    contradictions: Sequence[Pair]


def tag_rows(table: Table, vocabulary: Vocabulary, search: str = "", order: str = "count") -> list[TagRow]:
    """Every tag that a search finds, the most frequent first or by name."""
    wanted, total = fold(search.strip()), max(1, len(table.rows))
    found = [
        TagRow(spelling(table, key), vocabulary.category(key), count, 100 * count / total)
        for key, count in table.frequencies.items()
        if wanted in key
    ]
    return sorted(found, key=lambda row: (fold(row.tag),) if order == "name" else (-row.count, fold(row.tag)))


def together(table: Table, tag: str, most: int = 20) -> list[TagRow]:
    """The tags that stand beside a tag; the share is of the captions that have it."""
    key = fold(tag)
    beside = Counter(other for row in table.rows if key in row.keys for other in row.keys if other != key)
    total = max(1, table.frequencies[key])
    return [TagRow(spelling(table, other), "", count, 100 * count / total) for other, count in beside.most_common(most)]


def doubts(table: Table, vocabulary: Vocabulary) -> Doubts:
    """Look for near spellings, plurals beside singulars, other names of a known tag, and contradictions."""
    plurals = list(_plurals(table))
    known = {frozenset((fold(pair.odd), fold(pair.usual))) for pair in plurals}
    near = [pair for pair in _near(table) if frozenset((fold(pair.odd), fold(pair.usual))) not in known]
    return Doubts(_top(near), _top(plurals), _top(_aliases(table, vocabulary)), _top(_contradictions(table)))


def _top(pairs: Iterator[Pair] | Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: (-pair.count, pair.odd))[:MOST_PAIRS]


def _pair(table: Table, one: str, other: str) -> Pair:
    """The rarer of two is the odd one."""
    odd, usual = sorted((one, other), key=lambda key: (table.frequencies[key], key))
    return Pair(spelling(table, odd), spelling(table, usual), table.frequencies[odd])


def _near(table: Table) -> Iterator[Pair]:
    """Pairs that one letter added, dropped or changed makes equal; numbers mean something, so they never count."""
    by_rest: dict[str, set[str]] = defaultdict(set)
    for key in table.frequencies:
        if len(key) > SHORTEST and not DIGITS.search(key):
            for place in range(len(key)):
                by_rest[key[:place] + key[place + 1 :]].add(key)
            by_rest[key].add(key)
    seen: set[frozenset[str]] = set()
    for rest, keys in by_rest.items():
        for one, other in combinations(sorted(keys)[:20], 2):
            pair = frozenset((one, other))
            if pair not in seen and _is_slip(one, other, rest):
                seen.add(pair)
                yield _pair(table, one, other)


def _is_slip(one: str, other: str, rest: str) -> bool:
    """Whether two keys differ at one place; a short word with another letter is more likely another word."""
    if abs(len(one) - len(other)) == 1:
        return True
    place = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    swaps = one[:place] + one[place + 1 : place + 2] + one[place : place + 1] + one[place + 2 :] == other
    return swaps or (
        one[place + 1 :] == other[place + 1 :] and max(map(len, one.split())) > 2 * SHORTEST and bool(rest)
    )


def _plurals(table: Table) -> Iterator[Pair]:
    for key in table.frequencies:
        for ending, single in PLURALS:
            other = key.removesuffix(ending) + single
            if key.endswith(ending) and len(other) >= SHORTEST - 1 and other in table.frequencies and other != key:
                yield _pair(table, key, other)
                break


def _aliases(table: Table, vocabulary: Vocabulary) -> Iterator[Pair]:
    for key, count in table.frequencies.items():
        if key not in vocabulary.by_key and (name := vocabulary.canonical(key)):
            yield Pair(spelling(table, key), name, count)


def _contradictions(table: Table) -> Iterator[Pair]:
    for one, other in OPPOSITES:
        if one in table.frequencies and other in table.frequencies:
            count = sum(1 for row in table.rows if one in row.keys and other in row.keys)
            if count:
                yield Pair(one, other, count)
    counted: Counter[tuple[str, str]] = Counter()
    for row in table.rows:
        by_noun: dict[str, list[str]] = defaultdict(list)
        for key in row.keys:
            colour, _, noun = key.partition(" ")
            if noun and colour in COLOURS:
                by_noun[noun].append(key)
        for keys in by_noun.values():
            counted.update(combinations(sorted(keys), 2))
    for (one, other), count in counted.items():
        yield Pair(spelling(table, one), spelling(table, other), count)

"""Completion of tags: the dataset's own, the user's lists and a small list of ours, found by the start of any word."""

import csv
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from app.contract.captions import kind_of
from app.label.rows import fold

MOST = 20
LONGEST_WORDS, LONGEST_LETTERS = 6, 60
MAX_ROWS = 2_000_000
STARTER = Path(__file__).with_name("starter_tags.csv")
CATEGORIES = {
    "0": "general",
    "1": "artist",
    "3": "copyright",
    "4": "character",
    "5": "meta",
    "7": "meta",
    "9": "rating",
}
WORD_START = re.compile(r"(?<=[^a-z])[a-z0-9\u0080-\uffff]")
LAST = "\U0010ffff"


@dataclass(frozen=True)
class Known:
    """A tag of a vocabulary: its name as it is written, what it is, how often the world uses it, its other names."""

    tag: str
    category: str
    count: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A tag to offer; `alias_of` is the other name that was typed, empty when the tag's own was."""

    tag: str
    category: str
    count_here: int
    count: int
    alias_of: str


class Vocabulary:
    """Tags with sorted starts: of the whole name, of every word in it, and of its aliases."""

    def __init__(self, known: Iterable[Known]) -> None:
        merged: dict[str, Known] = {}
        for each in known:
            merged.setdefault(fold(each.tag), each)
        self.known = list(merged.values())
        self.by_key = {key: place for place, key in enumerate(merged)}
        starts = [(key, place) for place, key in enumerate(merged)]
        words = [(key[at.start() :], place) for place, key in enumerate(merged) for at in WORD_START.finditer(key)]
        aliases = [
            (fold(alias), place, alias) for place, each in enumerate(self.known) for alias in each.aliases if alias
        ]
        self._starts, self._words, self._aliases = sorted(starts), sorted(words), sorted(aliases)
        self._whole = [key for key, _ in self._starts]
        self._inner = [key for key, _ in self._words]
        self._other = [key for key, _, _ in self._aliases]

    def starting(self, query: str) -> Iterator[int]:
        """Places of the tags that begin with a folded query."""
        return (self._starts[at][1] for at in _span(self._whole, query))

    def holding(self, query: str) -> Iterator[int]:
        """Places of the tags of which a later word begins so."""
        return (self._words[at][1] for at in _span(self._inner, query))

    def named(self, query: str) -> Iterator[tuple[int, str]]:
        """Places of the tags with an alias that begins so, with the alias."""
        return (self._aliases[at][1:] for at in _span(self._other, query))

    def category(self, key: str) -> str:
        """What a folded tag is; empty when it is not known."""
        return self.known[self.by_key[key]].category if key in self.by_key else ""

    def canonical(self, key: str) -> str:
        """The tag that a folded name is an alias of, as it is written into captions; empty when it is none."""
        at = bisect_left(self._other, key)
        return shown(self.known[self._aliases[at][1]].tag) if at < len(self._other) and self._other[at] == key else ""


def is_offered(words: str) -> bool:
    """Whether somebody may want these words again: a tag, not a sentence or a choice of several."""
    is_short = len(words) <= LONGEST_LETTERS and len(words.split()) <= LONGEST_WORDS
    return is_short and "\n" not in words and kind_of(words) == "tag"


def _span(keys: Sequence[str], query: str) -> range:
    return range(bisect_left(keys, query), bisect_left(keys, query + LAST))


class Completion:
    """Answers what a person may be typing, out of one vocabulary and the counts of one dataset."""

    def __init__(self, vocabulary: Vocabulary, here: Mapping[str, int], spellings: Mapping[str, str]) -> None:
        self._world = vocabulary
        self._here = here
        self._spellings = spellings
        self._own = Vocabulary(
            Known(spellings.get(key, key), "", 0) for key in here if key not in vocabulary.by_key and is_offered(key)
        )
        self._short: dict[str, list[Found]] = {}

    def find(self, typed: str, hidden: frozenset[str] = frozenset()) -> list[Found]:
        """At most 20 tags: exact, prefix, word start, alias; then those used here, then the world's count."""
        query = fold(typed.strip())
        if not query:
            return []
        if len(query) > 2:
            return self._search(query, hidden)
        key = f"{query}\n{len(hidden)}\n{hash(hidden)}"
        if key not in self._short:
            self._short[key] = self._search(query, hidden)
        return self._short[key]

    def _search(self, query: str, hidden: frozenset[str]) -> list[Found]:
        ranked: dict[str, tuple[tuple[int, int, int, str], Known, str]] = {}
        for rank, candidates in self._ranks(query):
            if len(ranked) >= MOST:
                break
            for known, alias in candidates:
                key = fold(known.tag)
                if key not in ranked and (not hidden or hidden.isdisjoint(key.split())):
                    exact = 0 if key == query else rank
                    ranked[key] = ((exact, -self._here.get(key, 0), -known.count, key), known, alias)
        best = sorted(ranked.values(), key=lambda each: each[0])[:MOST]
        return [
            Found(
                tag=self._spellings.get(rank[3], shown(known.tag)),
                category=known.category,
                count_here=-rank[1],
                count=known.count,
                alias_of=shown(alias),
            )
            for rank, known, alias in best
        ]

    def _ranks(self, query: str) -> Iterator[tuple[int, Iterator[tuple[Known, str]]]]:
        """What begins so, then what has a word that does, then what has another name that does."""
        both = (self._own, self._world)
        yield 1, ((each.known[at], "") for each in both for at in each.starting(query))
        yield 2, ((each.known[at], "") for each in both for at in each.holding(query))
        yield 3, ((each.known[at], alias) for each in both for at, alias in each.named(query))


class Shelf:
    """The vocabulary of the starter list and the user's files, read once and again when one of them changes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._vocabulary = Vocabulary(())

    def vocabulary(self, files: Sequence[Path]) -> Vocabulary:
        """Everything that the files and the starter list know; what cannot be read is passed over."""
        every = [*files, STARTER]
        seen = tuple((str(path), stat.st_mtime_ns, stat.st_size) for path in every if (stat := _stat(path)))
        with self._lock:
            if seen != self._seen:
                self._vocabulary = Vocabulary(each for path, _, _ in seen for each in read_vocabulary(Path(path)))
                self._seen = seen
            return self._vocabulary


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def shown(tag: str) -> str:
    """A tag as it is written into a caption: spaces for underscores, but not in faces such as ^_^."""
    return tag.replace("_", " ") if re.search(r"[^\W\d_]{2}", tag) else tag


def read_vocabulary(path: Path) -> list[Known]:
    """Read a tag list: name, category, count and aliases, or a name with fewer columns, or a tagger's own list.

    Odd rows are read as far as they make sense: a header is passed over, text in the place of the count is no count.
    """
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError:
        return []
    return list(parse_vocabulary(text))


def parse_vocabulary(text: str) -> Iterator[Known]:
    """Read the rows of a tag list."""
    is_numbered = text[:100].casefold().startswith("tag_id,")
    for place, cells in enumerate(csv.reader(text.replace("\0", "").splitlines()[:MAX_ROWS])):
        row = cells[1:] if is_numbered else cells
        name = row[0].strip() if row else ""
        if not name or name.startswith("#") or (place == 0 and name.casefold() in ("name", "tag", "tag_id")):
            continue
        yield _known(name, row)


def _known(name: str, row: Sequence[str]) -> Known:
    category = row[1].strip() if len(row) > 1 else ""
    numbers = [cell for cell in row[2:3] if cell.strip().isdigit()]
    # Some lists leave the category or the count out, so that the aliases stand one column earlier.
    aliases = row[3] if len(row) > 3 else row[2] if len(row) == 3 and not numbers else ""
    has_aliases = len(row) <= 4 and (numbers or len(row) == 3)
    return Known(
        tag=name,
        category=CATEGORIES.get(category, category if category.isalpha() else "general" if category else ""),
        count=int(numbers[0]) if numbers and len(numbers[0]) < 15 else 0,
        aliases=tuple(alias.strip() for alias in aliases.split(",") if alias.strip()) if has_aliases else (),
    )

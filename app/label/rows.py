"""The images of a project with their words as filters, facets and bulk edits read them, all in memory."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from app.contract.buckets import Buckets, Fit, Size, fit
from app.contract.captions import LINE, PLACEHOLDER, has_trigger, tags, unescape
from app.contract.recipe import UNTOUCHED, Recipe, read_recipe, size_after
from app.label.suggestions import Reading
from app.store.filters import FilterRow

Writer = Literal["", "person", "model", "import"]
TokenCounts = Callable[[Sequence[str]], Sequence[int]]
Marks = Mapping[int, frozenset[str]]
"""What inspection says of images, by id: how grave, which rule, its code, all in small letters."""
SAME_PICTURE_BITS = 4
ONE_BUCKET = (Size(512, 512),)
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))


def fold(tag: str) -> str:
    """A tag as tags are told apart: without case and escapes, underscores as spaces."""
    plain = unescape(tag) if "\\" in tag else tag
    return plain.replace("_", " ").casefold()


@dataclass(eq=False)
class Row:
    """One image; what is worked out of its words is worked out once."""

    stored: FilterRow

    @property
    def id(self) -> int:
        """The image's id."""
        return self.stored.id

    @cached_property
    def caption(self) -> str:
        """Its words, empty where nobody has written any."""
        return self.stored.caption or ""

    @cached_property
    def has_words(self) -> bool:
        """Whether the caption says anything."""
        return bool(self.caption.strip())

    @cached_property
    def folded(self) -> str:
        """The caption without case."""
        return self.caption.casefold()

    @cached_property
    def folded_name(self) -> str:
        """The name without case."""
        return self.stored.name.casefold()

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The words between the separators, as written."""
        return tags(self.caption)

    @cached_property
    def keys(self) -> frozenset[str]:
        """Its tags as tags are told apart."""
        return frozenset(map(fold, self.tags))

    @cached_property
    def reading(self) -> Reading:
        """The caption, ready to be asked whether it says a tag."""
        return Reading(self.caption, self.tags)

    @cached_property
    def lines(self) -> int:
        """How many lines of the caption say anything."""
        return sum(1 for line in LINE.split(self.caption) if line.strip())

    @cached_property
    def recipe(self) -> Recipe:
        """What is done to the picture on read."""
        return UNTOUCHED if self.stored.recipe == "{}" else read_recipe(self.stored.recipe)

    @cached_property
    def size(self) -> Size:
        """What is left after the recipe."""
        return size_after(self.recipe, Size(self.stored.width_px, self.stored.height_px))

    @cached_property
    def facts(self) -> dict[str, object]:
        """What the one decode found; empty where it has not been measured."""
        read = json.loads(self.stored.facts) if self.stored.facts else {}
        return read if isinstance(read, dict) else {}

    @cached_property
    def hashes(self) -> tuple[int, ...]:
        """The perceptual hash and that of the mirror image; empty where it has not been measured."""
        found = (self.stored.phash, self.stored.phash_mirrored)
        return tuple(int(each, 16) for each in found if each)

    @property
    def writer(self) -> Writer:
        """Who wrote the caption."""
        if not self.has_words:
            return ""
        if self.stored.is_as_imported:
            return "import"
        return "model" if ", accepted by " in self.stored.by else "person"

    def has_trigger(self, trigger_word: str) -> bool:
        """Whether the caption names the trigger word, by itself or by its placeholder."""
        return has_trigger(self.caption, trigger_word) or bool(PLACEHOLDER.search(self.caption))


class Table:
    """Every image of a project at one moment, in the order they were added."""

    def __init__(
        self,
        rows: Sequence[Row],
        trigger_word: str = "",
        buckets: Buckets | tuple[Size, ...] = ONE_BUCKET,
        count_tokens: TokenCounts | None = None,
        suggested: Collection[int] = (),
        inspect: Callable[[], Marks] | None = None,
    ) -> None:
        self.rows = rows
        self.suggested = frozenset(suggested)
        self.trigger_word = trigger_word
        self.buckets = buckets
        self._count_tokens = count_tokens
        self._inspect = inspect

    @property
    def marks(self) -> Marks:
        """What inspection says of the images now."""
        return self._inspect() if self._inspect else {}

    @cached_property
    def by_id(self) -> dict[int, Row]:
        """The rows by their ids."""
        return {row.id: row for row in self.rows}

    @cached_property
    def frequencies(self) -> Counter[str]:
        """In how many captions each folded tag stands."""
        return Counter(key for row in self.rows for key in row.keys)

    @cached_property
    def spellings(self) -> dict[str, Counter[str]]:
        """How often each folded tag is spelled in which way."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows:
            for tag in set(row.tags):
                found.setdefault(fold(tag), Counter())[tag] += 1
        return found

    @cached_property
    def tokens(self) -> dict[int, int]:
        """The tokens of the longest line of each caption, by image id; empty where no tokenizer is at hand."""
        if self._count_tokens is None:
            return {}
        lines = [(row.id, line) for row in self.rows for line in LINE.split(row.caption)]
        counts = self._count_tokens([unescape(line) for _, line in lines])
        longest: dict[int, int] = {}
        # Without a tokenizer there are no counts.
        for (image_id, _), count in zip(lines, counts, strict=False):
            longest[image_id] = max(longest.get(image_id, 0), count)
        return longest

    @cached_property
    def twin_ids(self) -> frozenset[int]:
        """The images whose picture stands in the project a second time, or nearly."""
        bands: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for row in self.rows:
            for bits in row.hashes:
                for shift, width in BANDS:
                    bands.setdefault((shift, bits >> shift & ((1 << width) - 1)), []).append((row.id, bits))
        twins: set[int] = set()
        for group in bands.values():
            # A set of flat pictures shares one hash; telling each pair of them apart would take for ever.
            for place, (image_id, bits) in enumerate(group[:500]):
                for other_id, other in group[place + 1 : 500]:
                    if image_id != other_id and (bits ^ other).bit_count() <= SAME_PICTURE_BITS:
                        twins |= {image_id, other_id}
        return frozenset(twins)

    def place(self, row: Row) -> Fit:
        """Where an image trains."""
        if row.size not in self._fits:
            buckets = self.buckets
            self._fits[row.size] = buckets.fit(row.size) if isinstance(buckets, Buckets) else fit(row.size, buckets)
        return self._fits[row.size]

    @cached_property
    def _fits(self) -> dict[Size, Fit]:
        return {}

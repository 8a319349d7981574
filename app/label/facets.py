"""Facets: how many of the images a filter finds have what, each with the term that would find them."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel

from app.label.filters import FilterError, read_filter
from app.label.rows import Row, Table, fold
from app.label.terms import matching, read_term

MOST_TAGS = 200
MOST_BUCKETS = 8
INSPECTED = ("With an error of inspection", "is:error")
MOST_INSPECTED = 3000
TERMS = (
    ("Without a caption", "is:untagged"),
    ("Not reviewed", "is:unreviewed"),
    ("Reviewed", "is:reviewed"),
    ("Written by a person", "by:person"),
    ("Written by a model", "by:model"),
    ("As imported", "by:import"),
    ("With suggestions", "has:suggestion"),
    ("Trigger word missing", "trigger:missing is:tagged"),
    ("Trigger word not first", "trigger:late"),
    ("Trigger word misspelled", "trigger:typo"),
    ("Several lines", "lines:>1"),
    ("Over 75 tokens", "tokens:>75"),
    ("Held out", "split:val"),
    ("Regularisation", "split:reg"),
    ("Repeated", "repeats:>1"),
    INSPECTED,
    ("Masked", "is:masked"),
    ("Cropped", "is:cropped"),
    ("Near duplicates", "is:dup"),
    ("Enlarged to train", "is:upscaled"),
    ("No licence", "-has:license"),
)


class TagCount(BaseModel):
    """A tag as it is mostly spelled, and in how many captions it stands."""

    tag: str
    count: int


class Facet(BaseModel):
    """Something that some of the images have."""

    label: str
    term: str
    count: int


class Facets(BaseModel):
    """What there is to filter by among some images."""

    tags: Sequence[TagCount]
    facets: Sequence[Facet]


def facets(table: Table, text: str) -> Facets:
    """Count what the images that a filter finds have. Raises FilterError."""
    ids = set(matching(table, text))
    rows = [row for row in table.rows if row.id in ids]
    counted = Counter(key for row in rows for key in row.keys)
    tags = [
        TagCount(tag=spelling(table, key), count=count)
        for key, count in counted.most_common(MOST_TAGS + 1)
        if key != fold(table.trigger_word)
    ]
    terms = [each for each in TERMS if each != INSPECTED or len(table.rows) <= MOST_INSPECTED]
    found = [facet for label, term in terms if (facet := _facet(table, rows, label, term))]
    return Facets(tags=tags[:MOST_TAGS], facets=[*found, *_buckets(table, rows)])


def spelling(table: Table, key: str) -> str:
    """The way in which a tag is mostly written in a dataset."""
    return table.spellings[key].most_common(1)[0][0] if key in table.spellings else key


def _facet(table: Table, rows: Sequence[Row], label: str, term: str) -> Facet | None:
    try:
        test = read_filter(term, table, read_term)
    except FilterError:
        # Without a trigger word or a tokenizer there is nothing to count.
        return None
    count = sum(map(test, rows))
    return Facet(label=label, term=term, count=count) if count else None


def _buckets(table: Table, rows: Sequence[Row]) -> list[Facet]:
    sizes = Counter(table.place(row).bucket for row in rows)
    return [
        Facet(label=f"Bucket {size.width} × {size.height}", term=f"bucket:{size.width}x{size.height}", count=count)
        for size, count in sizes.most_common(MOST_BUCKETS)
    ]

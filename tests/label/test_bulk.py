"""Bulk edits: what is meant changes, every other byte stays."""

from random import Random

import pytest

from app.contract.captions import tags
from app.errors import Invalid
from app.label.bulk import OPERATIONS, Wish, describe, plan
from app.label.rows import Row, Table
from tests.label.test_filters import row

PIECES = (
    "a",
    "red hat",
    "Red_Hat",
    "b",
    ",",
    ", ",
    " ,",
    "|||",
    " ||| ",
    ";;;",
    "\n",
    "\r\n",
    " ",
    "rdfx",
    "A fox sits here.",
)


def table(*captions: str | None) -> Table:
    """Images with these captions, from 1."""
    rows: list[Row] = [row(place, caption) for place, caption in enumerate(captions, 1)]
    return Table(rows, "rdfx")


def edited(caption: str | None, **wish: object) -> str:
    """What becomes of one caption."""
    changes = plan(table(caption), [1], Wish(**wish))  # type: ignore[arg-type]  # written out by each test
    return str(changes[0].after) if changes else (caption or "")


@pytest.mark.parametrize(
    ("caption", "wish", "after"),
    [
        ("a, b", {"operation": "add", "tags": "c, d"}, "a, b, c, d"),
        ("a,b", {"operation": "add", "tags": "c"}, "a,b,c"),
        ("a, b,", {"operation": "add", "tags": "c"}, "a, b, c"),
        ("a, b \n", {"operation": "add", "tags": "c"}, "a, b, c \n"),
        (None, {"operation": "add", "tags": "c"}, "c"),
        ("a, C", {"operation": "add", "tags": "c"}, "a, C"),
        ("a, b\nA red fox sits here.", {"operation": "add", "tags": "c"}, "a, b, c\nA red fox sits here."),
        (" a,  b", {"operation": "add", "tags": "c", "place": "front"}, " c,  a,  b"),
        ("||| a", {"operation": "add", "tags": "c", "place": "front"}, "c ||| a"),
        ("a, b", {"operation": "add", "tags": "c", "place": "after", "after": "A"}, "a, c, b"),
        ("a, b", {"operation": "add", "tags": "c", "place": "after", "after": "x"}, "a, b"),
        ("a,  b , c", {"operation": "remove", "tags": "b"}, "a , c"),
        ("a, b", {"operation": "remove", "tags": "a"}, "b"),
        ("a ||| b, c", {"operation": "remove", "tags": "b"}, "a ||| c"),
        ("a, b ||| c", {"operation": "remove", "tags": "b"}, "a ||| c"),
        ("x, sky;;;cloud, y", {"operation": "remove", "tags": "cloud"}, "x, sky, y"),
        ("x, sky;;;cloud, y", {"operation": "remove", "tags": "sky"}, "x, cloud, y"),
        ("red_hat, blue hat, cat", {"operation": "remove", "tags": "*hat"}, "cat"),
        ("poster (object), x", {"operation": "remove", "tags": "poster (object)"}, "x"),
        ("a, Red_Hat, b", {"operation": "rename", "tags": "red hat", "value": "crimson cap"}, "a, crimson cap, b"),
        ("a, red hat", {"operation": "rename", "tags": "red hat", "value": "red hat"}, "a, red hat"),
        ("cap, red hat, b", {"operation": "rename", "tags": "red hat", "value": "cap"}, "cap, b"),
        ("a, red hat", {"operation": "rename", "tags": "red hat", "value": "red, hat"}, "a, red, hat"),
        ("a, red, hat, b", {"operation": "merge", "tags": "red, hat", "value": "red hat"}, "a, red hat, b"),
        ("a, red, b", {"operation": "merge", "tags": "red, hat", "value": "red hat"}, "a, red, b"),
        ("a, b, A, b", {"operation": "dedupe"}, "a, b"),
        ("b, c, a", {"operation": "front", "tags": "a"}, "a, b, c"),
        ("b, rdfx, c", {"operation": "trigger"}, "rdfx, b, c"),
        ("b, [trigger]", {"operation": "trigger"}, "[trigger], b"),
        ("b\nc", {"operation": "trigger"}, "rdfx, b\nrdfx, c"),
        ("A fine rdfx stands here, now.", {"operation": "trigger"}, "A fine rdfx stands here, now."),
        (None, {"operation": "trigger"}, "rdfx"),
        ("rdfx, c,b , a", {"operation": "sort"}, "rdfx, a,b , c"),
        ("z, y ||| c, b", {"operation": "sort"}, "z, y ||| b, c"),
        ("Cat and cat", {"operation": "replace", "tags": "cat", "value": r"\1"}, r"\1 and \1"),
        ("Cat and cat", {"operation": "replace", "tags": "cat", "value": "x", "is_exact": True}, "Cat and x"),
        ("12 cats", {"operation": "replace", "tags": r"(\d+) (\w+)", "value": r"\2 \1", "is_regex": True}, "cats 12"),
    ],
)
def test_what_an_operation_does(caption: str | None, wish: dict[str, object], after: str) -> None:
    assert edited(caption, **wish) == after


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"operation": "add", "tags": " , "}, "tags"),
        ({"operation": "rename", "tags": "a"}, "value"),
        ({"operation": "replace"}, "tags"),
        ({"operation": "replace", "tags": "(", "is_regex": True}, "tags"),
        ({"operation": "replace", "tags": "a", "value": r"\3", "is_regex": True}, "tags"),
        ({"operation": "repeats", "value": "0"}, "value"),
        ({"operation": "repeats", "value": "many"}, "value"),
        ({"operation": "split", "value": "x"}, "value"),
        ({"operation": "copy", "image_id": 9}, "image_id"),
    ],
)
def test_a_wish_that_cannot_be_met_names_its_field(wish: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        edited("a", **wish)
    assert refused.value.field == field


def test_a_pattern_that_would_never_end_is_given_up() -> None:
    with pytest.raises(Invalid) as refused:
        edited("a" * 60 + "!", operation="replace", tags="^(a|aa)+$", value="b", is_regex=True)
    assert refused.value.field == "tags"
    assert "too long" in refused.value.message


def test_fields_and_copies() -> None:
    made = table("a", "b", None)
    assert [change.after for change in plan(made, [1, 2, 3], Wish("repeats", value="4"))] == [4, 4, 4]
    assert plan(made, [1, 2, 3], Wish("split", value="train")) == []
    copied = plan(made, [1, 2, 3], Wish("copy", image_id=1))
    assert [(change.image_id, change.before, change.after) for change in copied] == [(2, "b", "a"), (3, None, "a")]


def test_sorting_by_count_puts_the_common_first() -> None:
    made = table("a, z", "z", "b, a, z")
    assert [change.after for change in plan(made, [1, 2, 3], Wish("sort", order="count"))] == ["z, a", "z, a, b"]


@pytest.mark.parametrize("seed", range(20))
def test_added_tags_can_be_taken_out_again_without_a_trace_in_the_others(seed: int) -> None:
    random = Random(seed)
    for _ in range(60):
        text = "".join(random.choices(PIECES, k=random.randrange(12)))
        added = edited(text, operation="add", tags="new tag", place=random.choice(["back", "front"]))
        assert "new tag" in tags(added)
        assert [tag for tag in tags(added) if tag != "new tag"] == list(tags(text))
        without = edited(added, operation="remove", tags="new tag")
        assert tags(without) == tags(text)
        for operation in ("dedupe", "sort", "trigger"):
            once = edited(text, operation=operation)
            assert edited(once, operation=operation) == once


def test_every_operation_has_words() -> None:
    for operation in OPERATIONS:
        assert describe(Wish(operation, tags="a", value="2"), "rdfx")

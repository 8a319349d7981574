"""The filter language: what it finds, what it refuses and where, and that nothing typed can break it."""

from collections.abc import Callable
from random import Random

import pytest

from app.contract.buckets import make_buckets
from app.label.filters import FilterError
from app.label.offers import offers
from app.label.rows import Row, Table
from app.label.terms import EXAMPLES, READERS, edits, is_near_spelling, matching, pattern
from app.store.filters import FilterRow

BASE = FilterRow(
    id=0,
    name="x.png",
    width_px=640,
    height_px=480,
    caption=None,
    by="",
    came_from=None,
    is_as_imported=False,
    recipe="{}",
    split="train",
    repeats=1,
    revision=0,
    reviewed_by=None,
    source="",
    author="",
    licence="",
    no_ai=False,
    phash=None,
    phash_mirrored=None,
    facts=None,
)


def row(image_id: int, caption: str | None = None, **columns: object) -> Row:
    """A row with some columns of its own."""
    values = {**vars(BASE), "id": image_id, "name": f"{image_id}.png", "caption": caption, "by": "ann", **columns}
    return Row(FilterRow(**values))  # type: ignore[arg-type]  # made from a row


@pytest.fixture(scope="module")
def table() -> Table:
    """Eight images."""
    rows = [
        row(1, "rdfx, red_hair, looking up, cat", width_px=1024, height_px=1024, reviewed_by="ann"),
        row(2, "blue hair, rdfx, cat or dog", split="held-out", repeats=3, licence="CC0", author="Ann Lee"),
        row(3, None, width_px=300, height_px=900, source="https://example.org/a"),
        row(4, "rdfy, Miku_(Vocaloid), cat\nA second line stands here.", is_as_imported=True, came_from="4.txt"),
        row(5, " \n", recipe='{"crop":{"left":0,"top":0,"width":64,"height":64}}', no_ai=True),
        row(6, "[trigger], re:zero, cat", by="wd, accepted by ann", facts='{"sharpness": 50.0, "has_alpha": true}'),
        row(7, "rdfx, 100%, a*b, cat", phash="00000000000000ff", phash_mirrored="ff00000000000000", name="Red.JPG"),
        row(8, "rdfx, cat, {red|blue} hat", phash="00000000000000fe", phash_mirrored="7f00000000000000"),
    ]
    return Table(rows, "rdfx", make_buckets(512, 64), lambda texts: [len(text.split()) for text in texts], {6})


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("hair", [1, 2]),
        ("HAIR", [1, 2]),
        ("hair cat", [1, 2]),
        ("hair AND up", [1]),
        ("up OR dog", [1, 2]),
        ("up or dog", [1, 2]),
        ("hair -up", [2]),
        ("hair NOT up", [2]),
        ("-cat", [3, 5]),
        ("--cat hair", [1, 2]),
        ("-(hair OR split:val) cat", [4, 6, 7, 8]),
        ("up OR dog is:reviewed", [1]),
        ("(up OR dog) is:reviewed", [1]),
        ('"cat or dog"', [2]),
        ("'or'", [2]),
        ("tag:cat", [1, 4, 6, 7, 8]),
        ('tag:"red hair"', [1]),
        ("tag:red_hair", [1]),
        ("tag:*hair", [1, 2]),
        ("tag:c?t", [1, 4, 6, 7, 8]),
        ("tag:miku_(vocaloid)", [4]),
        ("(tag:miku_(vocaloid) OR up)", [1, 4]),
        (r"caption:a\*b", [7]),
        ('"re:zero"', [6]),
        ("tag:re:zero", [6]),
        ("name:*.jpg", [7]),
        ("red", [1, 7, 8]),
        ("is:untagged", [3, 5]),
        ("is:tagged -is:reviewed", [2, 4, 6, 7, 8]),
        ("is:cropped", [5]),
        ("is:noai", [5]),
        ("is:dup", [7, 8]),
        ("near:7", [7, 8]),
        ("has:caption has:trigger", [1, 2, 6, 7, 8]),
        ("has:suggestion", [6]),
        ("has:alpha", [6]),
        ("has:license", [2]),
        ("has:licence", [2]),
        ("has:wildcard", [8]),
        ("w:1024", [1]),
        ("w:>640", [1]),
        ("h:480..900 -w:640", [3]),
        ("mp:<0.01", [5]),
        ("ar:4:3 -repeats:1", [2]),
        ("ar:1.33 repeats:>1", [2]),
        ("ar:!=4:3", [1, 3, 5]),
        ("repeats:>=3", [2]),
        ("lines:2", [4]),
        ("tags:>4", []),
        ("tags:4", [1, 4, 7]),
        ("chars:0", [3]),
        ("tokens:>5", [2]),
        ("blur:<100", [6]),
        ("src:example", [3]),
        ("licence:cc0", [2]),
        ("author:ann", [2]),
        ("by:person", [1, 2, 7, 8]),
        ("by:model", [6]),
        ("by:import", [4]),
        ("by:wd*", [6]),
        ("split:val", [2]),
        ("split:train is:untagged", [3, 5]),
        ("trigger:missing", [3, 4, 5]),
        ("trigger:present", [1, 2, 6, 7, 8]),
        ("trigger:first", [1, 6, 7, 8]),
        ("trigger:late", [2]),
        ("trigger:typo", [4]),
        ("df:1 is:reviewed", [1]),
        ("df:>60%", [1, 4, 6, 7, 8]),
        ("bucket:512x512", [1, 5]),
        ("bucket:portrait", [3]),
        ("bucket:upscaled", [5]),
        ("is:upscaled", [5]),
    ],
)
def test_what_a_filter_finds(table: Table, text: str, ids: list[int]) -> None:
    assert matching(table, text) == ids


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("cat AND", 7, "missing at the end"),
        ("cat OR OR dog", 7, 'Write "OR" in quotes'),
        ("(cat", 0, "not closed"),
        ("cat)", 3, "no opening one"),
        ("()", 1, "missing before"),
        ('cat "dog', 4, "not closed"),
        ("cat colour:red", 4, "no key “colour:”"),
        ("is:", 3, "Say what “is:” should find"),
        ("is:pretty", 3, "is: knows"),
        ("w:big", 2, "no number"),
        ("w:50%", 2, "no number"),
        ("near:99", 5, "no image 99"),
        ("near:cat", 5, "number of an image"),
        ("bucket:huge", 7, "size like 512x768"),
        ("-", 1, "missing at the end"),
        ("(" * 60 + "a" + ")" * 60, 40, "at most 40 deep"),
        ("a" * 3000, 2000, "at most 2000"),
    ],
)
def test_what_cannot_be_read_says_where(table: Table, text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError) as refused:
        matching(table, text)
    assert refused.value.column == column
    assert words in refused.value.message


@pytest.mark.parametrize("key", sorted(READERS))
def test_every_key_has_an_example_that_works(table: Table, key: str) -> None:
    example = "near:1" if key == "near" else EXAMPLES[key]
    assert example.startswith(f"{key}:")
    matching(table, example)


def test_no_trigger_word_is_said() -> None:
    with pytest.raises(FilterError, match="no trigger word"):
        matching(Table([row(1)]), "trigger:missing")


def attempt(table: Table, text: str) -> tuple[list[int], int, str]:
    """What a filter finds, or where and why it cannot be read."""
    try:
        return matching(table, text), 0, ""
    except FilterError as refused:
        return [], refused.column, refused.message


@pytest.mark.parametrize("seed", range(30))
def test_nothing_typed_breaks_it(table: Table, seed: int) -> None:
    random = Random(seed)
    pieces = [
        *(
            "(",
            ")",
            "-",
            '"',
            "'",
            "\\",
            " ",
            ":",
            "*",
            "?",
            "..",
            "%",
            ">",
            "<=",
            "!",
            "OR",
            "and",
            "NOT",
            "cat",
            "1",
            "0.5",
        ),
        *(f"{key}:" for key in READERS),
        *(
            "untagged",
            "missing",
            "512x512",
            "3:2",
            "3:0",
            "猫",
            "\x00",
            "[a-z]",
            "|||",
            "(?:",
            "$",
            "\U0010ffff",
            "ß",
            "İ",
        ),
    ]
    for _ in range(300):
        text = "".join(random.choices(pieces, k=random.randrange(1, 12)))
        found, column, message = attempt(table, text)
        assert set(found) <= set(range(1, 9))
        assert 0 <= column <= len(text)
        assert message or column == 0


def test_many_stars_take_no_time() -> None:
    finds: Callable[[str], bool] = pattern("a*" * 40 + "b")
    assert not finds("a" * 20_000)
    assert pattern("*b", is_whole=True)("ab")
    assert not pattern("a*a", is_whole=True)("a")


def test_edits_between_words() -> None:
    assert [edits("rdfx", each) for each in ("rdfx", "rdxf", "rdf", "xrdfx", "abcd")] == [0, 1, 1, 1, 4]
    assert is_near_spelling("watercolor", "watercolour")
    assert not is_near_spelling("cat", "bat")


def test_what_inspection_found_can_be_filtered_by() -> None:
    marks = {1: frozenset({"error", "equal-files", "d01"}), 2: frozenset({"warning", "no-caption", "f09"})}
    inspected = Table([row(1, "cat"), row(2), row(3, "dog")], inspect=lambda: marks)
    assert matching(inspected, "is:error") == [1]
    assert matching(inspected, "finding:F09") == matching(inspected, "finding:no-caption") == [2]
    assert matching(inspected, "finding:*") == [1, 2]
    assert matching(inspected, "-finding:* OR is:error") == [1, 3]
    assert matching(Table([row(1, "cat")]), "is:error") == []


def test_a_filter_is_completed_term_by_term(table: Table) -> None:
    def terms(word: str) -> list[str]:
        return [each.term for each in offers(table, word)]

    assert terms("is:e") == ["is:edited", "is:error"]
    assert terms("-HAS:m") == ["-has:mask"]
    assert terms("find") == ["finding:"]
    assert terms("w:") == ["w:>=512"]
    assert terms("bl") == ["blur:", '"blue hair"']
    assert terms('tag:"red') == ["tag:red_hair"]
    assert terms("") == terms("zzz") == terms("nokey:x") == []
    # Whatever is offered can be read.
    for key in READERS:
        for each in offers(table, f"{key}:"):
            if key not in ("tokens", "near", "finding"):
                matching(table, each.term)

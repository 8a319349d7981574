"""Tag counts and what looks like two for one."""

from app.label.completion import Known, Vocabulary
from app.label.facets import facets, spelling
from app.label.frequency import doubts, tag_rows, together
from app.label.rows import Table
from tests.label.test_filters import row

WORLD = Vocabulary([Known("automobile", "general", 9, ("motorcar",))])
TABLE = Table(
    [
        row(1, "Red hat, cat, watercolour, day, night"),
        row(2, "red_hat, cats, watercolor, red hair, blue hair"),
        row(3, "red hat, cat, watercolour, motorcar, 1girl"),
        row(4, "2girls"),
    ]
)


def test_tags_are_counted_by_images_however_they_are_spelled() -> None:
    rows = tag_rows(TABLE, WORLD)
    assert (rows[0].tag, rows[0].count, rows[0].share_pct) == (spelling(TABLE, "red hat"), 3, 75.0)
    assert [each.tag for each in tag_rows(TABLE, WORLD, "girl", "name")] == ["1girl", "2girls"]
    beside = {each.tag: each.share_pct for each in together(TABLE, "Red_Hat")}
    assert round(beside["watercolour"]) == 67


def test_what_looks_inconsistent() -> None:
    found = doubts(TABLE, WORLD)
    assert [(pair.odd, pair.usual) for pair in found.spellings] == [("watercolor", "watercolour")]
    assert [(pair.odd, pair.usual) for pair in found.plurals] == [("cats", "cat")]
    assert [(pair.odd, pair.usual) for pair in found.aliases] == [("motorcar", "automobile")]
    assert {(pair.odd, pair.usual) for pair in found.contradictions} == {("day", "night"), ("blue hair", "red hair")}


def test_facets_count_within_the_filter() -> None:
    told = facets(TABLE, "cat")
    assert {each.tag: each.count for each in told.tags}["watercolour"] == 2
    assert all(each.count for each in told.facets)
    assert "trigger:late" not in {each.term for each in told.facets}

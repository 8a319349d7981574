"""Completion: what is offered first, other names, odd lists, faces."""

from pathlib import Path

import pytest

from app.label.completion import Completion, Known, Shelf, Vocabulary, parse_vocabulary, shown

WORLD = [
    Known("red_hair", "general", 900, ("crimson_hair", "ginger")),
    Known("red", "general", 10),
    Known("red_hat", "general", 500),
    Known("dark_red", "general", 800),
    Known("ginger_(plant)", "general", 3),
    Known("^_^", "general", 50),
    Known("nero_(fate/extra)", "character", 40),
]


def completed(typed: str, hidden: frozenset[str] = frozenset()) -> list[str]:
    """What is offered in a dataset that knows two tags."""
    completion = Completion(Vocabulary(WORLD), {"red hat": 7, "red shoes": 2}, {"red hat": "Red hat"})
    return [found.tag for found in completion.find(typed, hidden)]


def test_exact_then_start_then_word_then_other_name() -> None:
    assert completed("red") == ["red", "Red hat", "red shoes", "red hair", "dark red"]
    assert completed("RED_H") == ["Red hat", "red hair"]
    assert completed("hair") == ["red hair"]
    assert completed("ginger") == ["ginger (plant)", "red hair"]
    assert completed("") == completed("zzz") == []


def test_sentences_of_the_dataset_are_no_tags() -> None:
    here = dict.fromkeys(
        ("red", "red fox", "red fox. it is snowing.", "red {fox|hare}", "red fox in the snow under a tree at night"), 1
    )
    found = Completion(Vocabulary(()), here, {}).find("red")
    assert [each.tag for each in found] == ["red", "red fox"]


def test_a_word_behind_a_parenthesis_is_found() -> None:
    assert completed("fate") == ["nero (fate/extra)"]
    assert completed("extra") == ["nero (fate/extra)"]


def test_an_other_name_leads_to_the_tag() -> None:
    completion = Completion(Vocabulary(WORLD), {}, {})
    (found,) = completion.find("crim")
    assert (found.tag, found.alias_of, found.count, found.category) == ("red hair", "crimson hair", 900, "general")
    assert Vocabulary(WORLD).canonical("crimson hair") == "red hair"
    assert Vocabulary(WORLD).canonical("crimson") == ""


def test_hidden_words_are_never_offered() -> None:
    assert completed("red", frozenset({"hat", "dark"})) == ["red", "red shoes", "red hair"]
    assert completed("re", frozenset({"hat"})) != completed("re")


def test_faces_keep_their_underscores() -> None:
    assert completed("^") == ["^_^"]
    assert [shown(tag) for tag in ("o_o", "red_hat", ">_<")] == ["o_o", "red hat", ">_<"]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ('1girl,0,600,"a,b"', Known("1girl", "general", 600, ("a", "b"))),
        ("plain", Known("plain", "", 0)),
        ('safe,1,"other,name"', Known("safe", "artist", 0, ("other", "name"))),
        ("masterpiece,5,Quality tag,,何か", Known("masterpiece", "meta", 0)),
        ("name,category,count\r\nred,4,3", Known("red", "character", 3)),
        ("tag_id,name,category,count\n9,red,0,3", Known("red", "general", 3)),
        ("a:b,11,4\n\n# note\n", Known("a:b", "general", 4)),
    ],
)
def test_odd_lists_are_read_as_far_as_they_make_sense(text: str, known: Known) -> None:
    assert list(parse_vocabulary(text)) == [known]


THREE_COLUMNS = """name,category,count
solo,0,600
oc:fire_storm,7,40
solo,4,9
Solo,1,2
safe,0,Quality tag
"red, round",0,3
"""


def test_a_list_of_three_columns_with_header_and_doubles() -> None:
    rows = list(parse_vocabulary(THREE_COLUMNS))
    assert [(each.tag, each.count, each.aliases) for each in rows] == [
        ("solo", 600, ()),
        ("oc:fire_storm", 40, ()),
        ("solo", 9, ()),
        ("Solo", 2, ()),
        ("safe", 0, ("Quality tag",)),
        ("red, round", 3, ()),
    ]
    # Of one name written twice the first counts: lists begin with what is used most.
    vocabulary = Vocabulary(rows)
    assert [(each.tag, each.count, each.category) for each in vocabulary.known] == [
        ("solo", 600, "general"),
        ("oc:fire_storm", 40, rows[1].category),
        ("safe", 0, "general"),
        ("red, round", 3, "general"),
    ]
    found = Completion(vocabulary, {}, {}).find("sol")
    assert [(each.tag, each.count) for each in found] == [("solo", 600)]
    assert [each.tag for each in Completion(vocabulary, {}, {}).find("fire")] == ["oc:fire storm"]


def test_a_list_is_read_again_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbffox,0,3\nfox,0,9\n\xff\xfe bad,0,1\n")
    shelf = Shelf()
    first = shelf.vocabulary([path, tmp_path / "gone.csv"])
    assert shelf.vocabulary([path]) is first
    assert first.category("fox") == "general"
    assert first.canonical("closeup") == "close-up"
    path.write_text("wolf,0,3,\n", "utf-8")
    assert "wolf" in shelf.vocabulary([path]).by_key

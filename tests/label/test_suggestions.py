"""Accepting into captions, and where captions and models disagree."""

import pytest

from app.contract.suggestions import DOUBT, spoken, tag_key
from app.label.suggestions import Reading, Seen, disagreeing, ghosts, with_caption, with_tags, without_tag


def seen(text: str, confidence: float = 0.9, category: str = "general", **more: object) -> Seen:
    values = {"id": 1, "image_id": 1, "kind": "tag", "model": "wd", **more}
    return Seen(text=text, confidence=confidence, category=category, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("caption", "tags", "after"),
    [
        ("", ["red", "cat"], "red, cat"),
        ("  ", ["red"], "red"),
        ("cat", ["red"], "cat, red"),
        ("cat, ", ["red"], "cat, red"),
        ("a cat sits on a chair.", ["red", "cat"], "a cat sits on a chair. red"),
        ("Red_Cat, dog", ["red cat", "DOG", "sun"], "Red_Cat, dog, sun"),
        ("cat\na second line", ["red"], "cat, red\na second line"),
        ("\ncat", ["red"], "\ncat, red"),
        (r"fox \(animal\)", ["fox (animal)", "red"], r"fox \(animal\), red"),
        ("rdct ||| cat;;;chair", ["red"], "rdct ||| cat;;;chair, red"),
        ("cat\r\n", ["red"], "cat, red\r\n"),
        ("cat", ["a,b"], r"cat, a\,b"),
        ("cat", ["red", "Red"], "cat, red"),
    ],
)
def test_accepted_tags_are_added_behind_what_is_there(caption: str, tags: list[str], after: str) -> None:
    assert with_tags(caption, tags) == after
    assert with_tags(after, tags) == after


def test_a_caption_replaces_only_an_empty_one_unless_told_so() -> None:
    assert with_caption(" ", "A cat.", "empty") == "A cat."
    assert with_caption("mine", "A cat.", "empty") is None
    assert with_caption("mine", "A cat.", "replace") == "A cat."
    assert with_caption("mine\n", "A cat.", "line") == "mine\nA cat."


@pytest.mark.parametrize(
    ("caption", "tag", "after"),
    [
        ("red, cat,  dog", "cat", "red, dog"),
        ("red, cat", "red", "cat"),
        ("red, cat", "cat", "red"),
        ("cat", "cat", ""),
        ("Red_Cat, dog,", "red cat", "dog,"),
        ("cat, red\ncat, blue", "cat", "red\nblue"),
        ("a cat, red", "cat", "a cat, red"),
        ("dog ,cat , sun", "cat", "dog ,sun"),
    ],
)
def test_a_doubted_tag_leaves_and_all_else_stays(caption: str, tag: str, after: str) -> None:
    assert without_tag(caption, tag) == after


def test_a_sentence_says_its_words_and_a_tag_only_itself() -> None:
    prose = Reading("A red cat sits on the old chair, smiling")
    assert prose.has("red cat")
    assert prose.has("old_chair")
    assert prose.has("smiling")
    assert not prose.has("dog")
    assert not prose.has("hair")
    tags = Reading("red cat, chair")
    assert not tags.has("cat")
    assert tags.has("Red_Cat")
    assert not tags.has(">_<")


def test_ghosts_say_what_the_caption_does_not() -> None:
    found = ghosts(
        "red, a caption",
        [
            seen("cat", 0.5),
            seen("red", 0.99),
            seen("Cat", 0.7, model="other"),
            seen("red", 0.1, DOUBT),
            seen("A red cat.", 1.0, "", kind="caption"),
            seen("red, a caption", 1.0, "", kind="caption"),
        ],
    )
    assert [(each.text, each.confidence) for each in found] == [("A red cat.", 1.0), ("Cat", 0.7)]


def test_disagreements_go_both_ways() -> None:
    first = Reading("red, blue")
    all_of_it = [seen("cat", 0.8), seen("red", 0.9), seen("blue", 0.1, DOUBT), seen("green", 0.1, DOUBT)]
    missing, doubted = disagreeing("missing", first, all_of_it), disagreeing("doubted", first, all_of_it)
    assert [each.text for each in missing] == ["cat"]
    assert [each.text for each in doubted] == ["blue"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("long_hair", "long hair"), (">_<", ">_<"), ("o_o", "o_o"), ("(o)_(o)", "(o)_(o)"), ("1girl", "1girl")],
)
def test_faces_keep_their_underscores(name: str, text: str) -> None:
    assert spoken(name) == text
    assert tag_key(spoken(name)) == tag_key(name)

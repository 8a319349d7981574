"""Training text: segments, trigger word, and the text of each visit."""

from random import Random

import pytest

from app.contract.captions import Kind, compose, has_trigger, parse, tags, unescape, vary
from app.contract.spec import Data

ALWAYS = Data(caption_dropout=0)
PIECES = (
    *(
        "a",
        "red fox",
        " ",
        "  ",
        ",",
        ", ",
        "，",
        "|||",
        "||",
        "|",
        ";;;",
        ";",
        "{",
        "}",
        "{{",
        "}}",
        "{a|b}",
        "{a, b|c}",
    ),
    *(
        "\\,",
        "\\(",
        "\\)",
        "\\",
        "[trigger]",
        "[Trigger]",
        "\n",
        "\r\n",
        "\r",
        ".",
        "A fox sits. ",
        "Snow falls, softly.",
        ":3",
    ),
    *("猫", "é", "\u2028", "\x00", "👩‍🚀", "\ufeff", "nero_(fate/extra)", "<script>", "!?", "5.5"),
)


def shapes(text: str) -> list[tuple[str, Kind]]:
    """The segments of one line but its gaps."""
    (line,) = parse(text).lines
    return [(segment.text, segment.kind) for segment in line.segments if segment.kind != "gap"]


@pytest.mark.parametrize("seed", range(40))
def test_joining_what_was_read_gives_back_the_exact_text(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        text = "".join(random.choices(PIECES, k=random.randrange(14)))
        read = parse(text)
        assert read.text == text
        assert all(segment.text for line in read.lines for segment in line.segments)
        assert all(tag.strip() == tag != "" for tag in read.tags)
        assert read.tags == tags(text)


@pytest.mark.parametrize("seed", range(20))
def test_a_training_text_composed_again_stays_as_it_is(seed: int) -> None:
    random = Random(seed)
    for _ in range(100):
        text = "".join(random.choices(PIECES, k=random.randrange(14)))
        for word in ("", "pebblo"):
            once = compose(text, word)
            assert compose(once, word) == once
            assert all(has_trigger(line, word) for line in once.split("\n")) or not word


def test_tags_are_trimmed_and_never_empty() -> None:
    assert tags(" a cat ,, on grass\n猫 ,\r\n") == ("a cat", "on grass", "猫")
    assert tags(" , \n ") == ()
    assert tags(r"poster \(object\), a\, b, {red, blue|green} hat") == (
        r"poster \(object\)",
        r"a\, b",
        "{red, blue|green} hat",
    )


def test_every_kind_of_segment_is_told_apart() -> None:
    assert shapes("[trigger], 1girl ||| sky;;;cloud, a {red|blue} hat, {{x}}") == [
        ("[trigger]", "trigger"),
        ("1girl", "tag"),
        ("|||", "keep"),
        ("sky", "tag"),
        (";;;", "group"),
        ("cloud", "tag"),
        ("a {red|blue} hat", "wildcard"),
        ("{{x}}", "tag"),
    ]


def test_a_sentence_keeps_its_commas() -> None:
    assert shapes("pebblo, A red fox, looking up, stands in snow. It waits, snow, forest") == [
        ("pebblo", "tag"),
        ("A red fox, looking up, stands in snow. It waits", "prose"),
        ("snow", "tag"),
        ("forest", "tag"),
    ]
    assert shapes("A fox sits in the snow, looking up.") == [("A fox sits in the snow, looking up.", "prose")]
    assert shapes("Hatsune Miku, smile, :3, mr. x") == [
        ("Hatsune Miku", "tag"),
        ("smile", "tag"),
        (":3", "tag"),
        ("mr. x", "tag"),
    ]


@pytest.mark.parametrize(
    ("caption", "word", "is_there"),
    [
        ("a PEBBLO in snow", "pebblo", True),
        ("pebblo's hat", "pebblo", True),
        ("pebblos", "pebblo", False),
        ("repebblo", "pebblo", False),
        ("c++ code", "c++", True),
        ("anything", "", False),
        ("straße", "STRASSE", False),
        ("un été, chaud", "été", True),
    ],
)
def test_the_trigger_word_is_a_word_of_its_own(caption: str, word: str, is_there: bool) -> None:
    assert has_trigger(caption, word) is is_there


@pytest.mark.parametrize(
    ("caption", "word", "text"),
    [
        ("a cat, on grass", "pebblo", "pebblo, a cat, on grass"),
        ("a Pebblo cat", "pebblo", "a Pebblo cat"),
        ("", "pebblo", "pebblo"),
        (" ,\n", "", ""),
        ("a cat.\nIt sleeps.", "", "a cat.\nIt sleeps."),
        ("a cat ,red\r\n\n A dog", "pebblo", "pebblo, a cat, red\npebblo, A dog"),
        ("1girl ||| sky;;;cloud,x", "pebblo", "pebblo, 1girl ||| sky;;;cloud, x"),
        ("||| x", "pebblo", "pebblo ||| x"),
        ("x, [trigger] smiles", "pebblo", "x, pebblo smiles"),
        ("[trigger], x of [trigger] here", "", "x of here"),
    ],
)
def test_the_trigger_word_leads_each_line_once(caption: str, word: str, text: str) -> None:
    assert compose(caption, word) == text
    assert compose(text, word) == text


def test_a_shuffle_keeps_the_first_tags_and_every_tag() -> None:
    text = "pebblo, a, b, c, d, e"
    data = Data(caption_dropout=0, shuffles_tags=True, keep_tags=2)
    variants = {vary(text, Random(seed), data) for seed in range(50)}
    assert len(variants) > 10
    for variant in variants:
        assert tags(variant)[:2] == ("pebblo", "a")
        assert sorted(tags(variant)) == sorted(tags(text))
    assert vary(text, Random(7), data) == vary(text, Random(7), data)


def test_a_plain_text_draws_as_it_always_did() -> None:
    """Runs made before lines and wildcards resume with the very same texts."""
    words = ["a", "b", "c", "d", "e"]
    random = Random("42/3/abc")
    random.random()
    tail = words[1:]
    random.shuffle(tail)
    drawn = vary(", ".join(words), Random("42/3/abc"), Data(shuffles_tags=True, caption_dropout=0.05))
    assert drawn == ", ".join(["a", *tail])


def test_what_stands_before_the_bar_stays_and_groups_move_together() -> None:
    data = Data(caption_dropout=0, shuffles_tags=True, keep_tags=0)
    variants = {vary("pebblo, hat ||| sky;;;cloud, x, y ||| end", Random(seed), data) for seed in range(60)}
    assert len(variants) == 6
    for variant in variants:
        assert variant.startswith("pebblo, hat, ")
        assert variant.endswith(", end")
        assert "sky, cloud" in variant
        assert "|" not in variant
    assert vary("pebblo ||| sky;;;cloud", Random(1), ALWAYS) == "pebblo, sky, cloud"


def test_tag_dropout_thins_out_behind_the_kept_ones() -> None:
    data = Data(caption_dropout=0, tag_dropout=0.5, keep_tags=1)
    random = Random(3)
    sizes = [len(tags(vary("pebblo, a, b, c, d", random, data))) for _ in range(2000)]
    assert min(sizes) == 1
    assert 2.8 < sum(sizes) / len(sizes) < 3.2
    everything = data.model_copy(update={"tag_dropout": 1.0})
    assert vary("pebblo, a, b", Random(1), everything) == "pebblo"


def test_lines_are_drawn_or_the_first_is_read() -> None:
    text = "\n one, two\n\nthree\r\nfour"
    assert vary(text, Random(1), ALWAYS) == " one, two"
    any_line = Data(caption_dropout=0, lines="any")
    assert {vary(text, Random(seed), any_line) for seed in range(30)} == {" one, two", "three", "four"}


def test_wildcards_are_drawn_only_when_asked() -> None:
    text = "a {red|blue, dark|} hat, {{x}}, {y}"
    assert vary(text, Random(1), ALWAYS) == text
    drawn = {vary(text, Random(seed), Data(caption_dropout=0, uses_wildcards=True)) for seed in range(40)}
    assert drawn == {"a red hat, {x}, y", "a blue, dark hat, {x}, y", "a  hat, {x}, y"}


def test_backslashes_are_never_trained() -> None:
    assert vary(r"poster \(object\), a\, b", Random(1), ALWAYS) == "poster (object), a, b"
    assert unescape(r"\(\)\,\n") == r"(),\n"


def test_dropout_drops_whole_texts_at_its_rate() -> None:
    random = Random(1)
    dropped = sum(vary("a", random, Data(caption_dropout=0.25)) == "" for _ in range(4000))
    assert 900 < dropped < 1100
    assert vary("a", random, Data(caption_dropout=1)) == ""
    assert vary("a", random, ALWAYS) == "a"


def drawn(text: str, **settings: object) -> set[str]:
    """Every text that a caption trains as over many visits."""
    data = Data.model_validate({"caption_dropout": 0, "keep_tags": 0, **settings})
    return {vary(text, Random(seed), data) for seed in range(120)}


SHUFFLED = {"shuffles_tags": True}
WILD = {"uses_wildcards": True}


@pytest.mark.parametrize(
    ("text", "settings", "texts"),
    [
        # Lines: the first alone, or one of those that are not blank; line breaks of every kind.
        ("a, b\nc", {}, {"a, b"}),
        ("\n \na, b\nc", {}, {"a, b"}),
        ("a, b\r\n\r\nc\rd", {"lines": "any"}, {"a, b", "c", "d"}),
        # Braces: literal unless wildcards are on; doubled ones are braces; an option may be empty or hold commas.
        ("{red|blue} hat", {}, {"{red|blue} hat"}),
        ("{red|blue} hat", WILD, {"red hat", "blue hat"}),
        ("{a|b} {c|d}", WILD, {"a c", "a d", "b c", "b d"}),
        ("{{a|b}}, {c}", WILD, {"{a|b}, c"}),
        ("x, {a, b|}", WILD, {"x, a, b", "x"}),
        ("{a|b}\n{c|d}", {**WILD, "lines": "any"}, {"a", "b", "c", "d"}),
        ("{a|b}\n{c|d}", WILD, {"a", "b"}),
        # A shuffle moves tags; the first ones, or what stands before the bar and behind the second, stay.
        ("a, b", SHUFFLED, {"a, b", "b, a"}),
        ("a, b, c", {**SHUFFLED, "keep_tags": 1}, {"a, b, c", "a, c, b"}),
        ("a, b", {**SHUFFLED, "keep_tags": 5}, {"a, b"}),
        ("k, l ||| a, b", {**SHUFFLED, "keep_tags": 1}, {"k, l, a, b", "k, l, b, a"}),
        ("k ||| a, b ||| z", SHUFFLED, {"k, a, b, z", "k, b, a, z"}),
        ("k ||| a, b ||| z", {}, {"k, a, b, z"}),
        # A group moves as one, and is written with commas.
        ("a;;;b, c", SHUFFLED, {"a, b, c", "c, a, b"}),
        ("a;;;b, c", {}, {"a, b, c"}),
        # Wildcards are drawn before the shuffle, so that an option's commas part tags.
        ("{a, b|c}", {**WILD, **SHUFFLED}, {"a, b", "b, a", "c"}),
        # Dropout: whole texts, or tags behind the kept ones; never the kept ones; a group goes as one.
        ("a, b", {"caption_dropout": 0.5}, {"", "a, b"}),
        ("a, b", {"caption_dropout": 1}, {""}),
        ("k, a", {"keep_tags": 1, "tag_dropout": 0.5}, {"k", "k, a"}),
        ("k ||| a ||| z", {"tag_dropout": 1}, {"k, z"}),
        ("k ||| a;;;b", {"tag_dropout": 0.5}, {"k", "k, a, b"}),
        # Backslashes are for prompts and would be learnt; an escaped comma parts nothing.
        (r"miku \(cosplay\), a\, b", SHUFFLED, {"miku (cosplay), a, b", "a, b, miku (cosplay)"}),
        # Commas and spaces are tidied where tags move, and left alone where none does.
        ("a ,, b,", SHUFFLED, {"a, b", "b, a"}),
        ("a,b", {}, {"a,b"}),
        ("", {**WILD, **SHUFFLED}, {""}),
    ],
)
def test_what_a_caption_trains_as(text: str, settings: dict[str, object], texts: set[str]) -> None:
    assert drawn(text, **settings) == texts

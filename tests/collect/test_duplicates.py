"""Alike pictures: pairs by their hashes, and decisions that reach further than the pair they were made of."""

from io import BytesIO
from random import Random

import pytest
from PIL import Image, ImageDraw, ImageOps

from app.collect.duplicates import (
    Decision,
    Hashed,
    Pair,
    Unions,
    find_pairs,
    groups,
    hashed,
    merged_caption,
    open_pairs,
)
from app.collect.phash import hashes


def scene(seed: int, size: int = 256) -> Image.Image:
    """A picture of a few shapes."""
    random = Random(seed)
    image = Image.new("RGB", (size, size), (random.randrange(256), 200, 120))
    draw = ImageDraw.Draw(image)
    for _ in range(7):
        x, y, side = (random.randrange(size) for _ in range(3))
        draw.ellipse((x, y, x + side // 2, y + side // 3), fill=tuple(random.randrange(256) for _ in range(3)))
    return image


def hashed_of(name: str, image: Image.Image) -> Hashed | None:
    return hashed(name, *hashes(image))


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def test_scales_qualities_and_mirrors_are_found_and_nothing_else() -> None:
    one = scene(1)
    made = {
        "a": one,
        "b": one.resize((128, 128)),
        "c": one.resize((700, 700)),
        "d": jpeg(one, 40),
        "e": ImageOps.mirror(one),
        "f": one.crop((3, 3, 256, 256)),
        "x": scene(2),
        "y": scene(3),
    }
    pictures = tuple(each for name, image in made.items() if (each := hashed_of(name, image)))
    assert len(pictures) == len(made)
    pairs = find_pairs(pictures)
    assert {pair.low + pair.high for pair in pairs} == {
        "ab", "ac", "ad", "ae", "af", "bc", "bd", "be", "bf", "cd", "ce", "cf", "de", "df", "ef",
    }  # fmt: skip
    by_names = {pair.low + pair.high: pair for pair in pairs}
    assert by_names["ab"].likeness == by_names["ad"].likeness == by_names["ae"].likeness == "same"
    assert {names for names, pair in by_names.items() if pair.is_mirrored} == {"ae", "be", "ce", "de", "ef"}
    assert list(pairs) == sorted(pairs)


def test_even_and_unmeasured_pictures_are_told_by_nothing() -> None:
    assert hashed_of("white", Image.new("RGB", (64, 64), "white")) is None
    assert hashed_of("grey", Image.new("RGB", (64, 64), (90, 90, 90))) is None
    assert hashed("a", None, None) is None
    assert hashed("a", "f" * 8 + "0" * 8, "0" * 8 + "f" * 8) == Hashed("a", 0xFFFFFFFF00000000, 0xFFFFFFFF)


def test_every_pair_of_random_hashes_is_the_one_that_counting_finds() -> None:
    random = Random(4)
    base = [random.getrandbits(64) for _ in range(40)]
    pictures = tuple(
        Hashed(f"{number:03d}", base[number % 40] ^ (1 << random.randrange(64)), random.getrandbits(64))
        for number in range(600)
    )
    expected = {
        (one.sha256, other.sha256)
        for place, one in enumerate(pictures)
        for other in pictures[place + 1 :]
        if (one.phash ^ other.phash).bit_count() <= 10 or (one.mirrored ^ other.phash).bit_count() <= 10
    }
    assert {(pair.low, pair.high) for pair in find_pairs(pictures)} == expected


def test_thousands_of_equal_pictures_stay_few_enough() -> None:
    alike = tuple(Hashed(f"{number:04d}", 0xF0F0F0F0F0F0F0F0, 1) for number in range(700))
    assert len(find_pairs(alike)) == 20_000


PAIRS = [Pair(0, "a", "b"), Pair(1, "b", "c"), Pair(2, "a", "c"), Pair(3, "c", "d"), Pair(4, "b", "d")]


@pytest.mark.parametrize(
    ("decisions", "left"),
    [
        ([], ["ab", "bc", "ac", "cd", "bd"]),
        ([("a", "b", "same"), ("b", "c", "better")], ["cd", "bd"]),
        ([("a", "b", "same"), ("c", "d", "same")], ["bc", "ac", "bd"]),
        ([("b", "c", "same"), ("c", "d", "unrelated")], ["ab", "ac"]),
        ([("a", "b", "alternate"), ("b", "c", "alternate")], ["cd", "bd"]),
        ([("a", "b", "unrelated"), ("b", "c", "unrelated")], ["ac", "cd", "bd"]),
        ([("a", "b", "alternate"), ("b", "c", "unrelated")], ["ac", "cd", "bd"]),
    ],
)
def test_decisions_reach_further(decisions: list[tuple[str, str, str]], left: list[str]) -> None:
    made = [Decision(*each) for each in decisions]  # type: ignore[arg-type]
    assert [pair.low + pair.high for pair in open_pairs(PAIRS, made)] == left


def test_groups_for_a_split() -> None:
    joined = groups(PAIRS[:1] + PAIRS[3:4], [Decision("c", "d", "unrelated"), Decision("d", "e", "alternate")])
    assert joined.are_joined("a", "b")
    assert not joined.are_joined("c", "d")
    assert joined.are_joined("d", "e")
    chain = Unions((number, number + 1) for number in range(5000))
    assert chain.are_joined(0, 5000)


def test_captions_join() -> None:
    assert merged_caption("a cat, red", "Red, on a chair,\nat night") == (
        "a cat, red, on a chair, at night",
        ("on a chair", "at night"),
    )
    assert merged_caption("a cat,", "A cat") == ("a cat,", ())
    assert merged_caption("", "a, b") == ("a, b", ("a", "b"))

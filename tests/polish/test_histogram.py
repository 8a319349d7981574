"""The histogram: every image once, in the bucket it will train in, and what is wrong with it there."""

from random import Random
from time import process_time

from app.contract.buckets import Buckets, Size
from app.contract.recipe import UNTOUCHED, Crop, Recipe
from app.polish.addresses import picture_url, stage_url, thumb_url
from app.polish.histogram import doubtful, histogram
from app.store.recipes import SizedImage

BUCKETS = Buckets(512, 64)


def image(number: int, width: int, height: int, repeats: int = 1, recipe: Recipe = UNTOUCHED) -> SizedImage:
    """An image by its size."""
    return SizedImage(number, Size(width, height), recipe, repeats)


def test_every_image_stands_in_the_bucket_it_trains_in() -> None:
    random = Random(1)
    images = [image(n, random.randint(20, 3000), random.randint(20, 3000)) for n in range(300)]
    bars = histogram(images, BUCKETS, 2)
    assert sum(bar.images for bar in bars) == 300
    assert [bar.bucket.aspect for bar in bars] == sorted((bar.bucket.aspect for bar in bars), reverse=True)
    for bar in bars:
        assert all(BUCKETS.fit(each.image.size).bucket == bar.bucket for each in bar.placed)


def test_doubts_are_counted_and_named() -> None:
    cropped = Recipe(crop=Crop(left=0, top=0, width=200, height=200))
    images = [
        image(1, 1024, 1024),
        image(2, 1024, 1024, 1, cropped),
        image(3, 4000, 500),
        image(4, 512, 640, repeats=3),
    ]
    bars = histogram(images, BUCKETS, 2)
    assert {each.image.id for each in doubtful(bars, "upscaled")} == {2}
    assert {each.image.id for each in doubtful(bars, "cropped")} == {3}
    assert {each.image.id for each in doubtful(bars, "few")} == {3}
    assert [bar.visits for bar in bars if bar.is_short] == [1]
    assert histogram([], BUCKETS, 2) == []


def test_twenty_thousand_sizes_take_no_time_to_speak_of() -> None:
    random = Random(2)
    images = [image(n, random.randint(200, 4000), random.randint(200, 4000)) for n in range(20_000)]
    started = process_time()
    histogram(images, BUCKETS, 2)
    assert process_time() - started < 2


def test_an_address_changes_with_the_look_alone() -> None:
    class Row:
        id, sha256 = 7, "ab" * 32

        def __init__(self, recipe: Recipe) -> None:
            self.recipe = recipe

    plain = Row(Recipe(mask="a" * 64))
    assert thumb_url(plain) == f"/media/thumbs/{plain.sha256}.webp"
    assert picture_url(plain) == f"/media/pictures/{plain.sha256}.webp"
    turned, mirrored = Row(Recipe(quarter_turns=1)), Row(Recipe(mirrored=True))
    assert thumb_url(turned).startswith("/media/images/7/thumb.webp?v=")
    assert len({thumb_url(turned), thumb_url(mirrored), picture_url(turned), stage_url(turned, "turned")}) == 4

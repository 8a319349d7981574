"""Buckets: sizes a picture may train at, and how it lands in one."""

from itertools import product
from math import log
from random import Random

import pytest

from app.contract.buckets import MAX_ASPECT, Buckets, Size, fit, fits, make_buckets, nearest
from app.contract.families import FAMILIES, bucket_step

RESOLUTIONS = [(512, 64), (768, 64), (1024, 64), (64, 16), (96, 24), (100, 8)]


@pytest.mark.parametrize(("resolution", "step"), RESOLUTIONS)
def test_every_bucket_is_a_size_that_trains(resolution: int, step: int) -> None:
    buckets = make_buckets(resolution, step)
    assert Size(resolution, resolution) in buckets
    assert len(set(buckets)) == len(buckets)
    for bucket in buckets:
        assert bucket.area <= resolution**2
        assert 1 / MAX_ASPECT <= bucket.aspect <= MAX_ASPECT
        assert Size(bucket.height, bucket.width) in buckets
        if bucket != Size(resolution, resolution):
            assert (bucket.width % step, bucket.height % step) == (0, 0)


@pytest.mark.parametrize(("resolution", "step"), RESOLUTIONS)
def test_sdxl_and_square_sizes_are_reached(resolution: int, step: int) -> None:
    widths = {bucket.width for bucket in make_buckets(resolution, step)}
    assert min(widths) <= resolution <= max(widths)
    if resolution == 1024:
        assert Size(832, 1216) in make_buckets(resolution, step)


@pytest.mark.parametrize("picture", [Size(w, h) for w, h in product((1, 33, 640, 1000, 7000), (1, 47, 480, 1001))])
def test_a_picture_covers_its_bucket_and_is_cut_evenly(picture: Size) -> None:
    place = fit(picture, make_buckets(512, 64))
    assert place.scaled.width >= place.bucket.width
    assert place.scaled.height >= place.bucket.height
    # One side is exact: nothing is scaled further than it must be.
    assert place.scaled.width == place.bucket.width or place.scaled.height == place.bucket.height
    assert 0 <= place.left <= place.scaled.width - place.bucket.width - place.left <= place.left + 1
    assert 0 <= place.top <= place.scaled.height - place.bucket.height - place.top <= place.top + 1
    assert 0 <= place.lost < 1
    assert place.upscaled == (place.scaled.width > picture.width)


def test_the_nearest_aspect_wins_and_ties_go_to_the_larger() -> None:
    buckets = (Size(512, 512), Size(256, 512), Size(512, 256), Size(256, 256))
    assert fit(Size(300, 300), buckets).bucket == Size(512, 512)
    assert fit(Size(100, 190), buckets).bucket == Size(256, 512)
    assert fit(Size(190, 100), buckets).bucket == Size(512, 256)


def test_an_exact_picture_loses_nothing() -> None:
    place = fit(Size(1024, 1024), make_buckets(512, 64))
    assert (place.lost, place.upscaled, place.left, place.top) == (0, False, 0, 0)
    assert place.scaled == Size(512, 512)


def test_a_tiny_base_has_buckets_of_its_own() -> None:
    step = bucket_step(FAMILIES["sd15"], 64)
    assert step == 16
    assert len(make_buckets(64, step)) > 3
    assert bucket_step(FAMILIES["sdxl"], 1024) == 64


def test_the_nearest_is_the_one_that_a_look_at_all_finds() -> None:
    random = Random(3)
    for resolution, step in RESOLUTIONS:
        buckets = make_buckets(resolution, step)
        for _ in range(500):
            picture = Size(random.randint(1, 5000), random.randint(1, 5000))
            best = min(buckets, key=lambda b: (round(abs(log(b.aspect / picture.aspect)), 9), -b.area))
            assert nearest(picture, buckets) == best
        pictures = [Size(random.randint(1, 900), random.randint(1, 900)) for _ in range(50)]
        assert fits(pictures, buckets) == [fit(picture, buckets) for picture in pictures]
        for bucket in buckets:
            assert nearest(bucket, buckets).aspect == bucket.aspect


def documented_buckets(resolution: int, least: int, most: int) -> set[Size]:
    """Every multiple of 64 as a width, the tallest height within resolution², both ways round, and the square."""
    found = {Size(resolution, resolution)}
    for width in range(least, most + 1, 64):
        height = min(most, resolution * resolution // width // 64 * 64)
        if height >= least:
            found |= {Size(width, height), Size(height, width)}
    return found


@pytest.mark.parametrize(("resolution", "least", "most"), [(512, 256, 1024), (1024, 512, 2048)])
def test_the_buckets_are_those_that_other_trainers_make(resolution: int, least: int, most: int) -> None:
    """With their usual limits of half and twice the resolution."""
    assert set(make_buckets(resolution, 64)) == documented_buckets(resolution, least, most)


# Picture; bucket, scaled size and crop (left, top) at 512; the same at 1024.
TABLE: tuple[tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]], ...] = (
    ((512, 512), (512, 512, 512, 512, 0, 0), (1024, 1024, 1024, 1024, 0, 0)),
    ((4096, 4096), (512, 512, 512, 512, 0, 0), (1024, 1024, 1024, 1024, 0, 0)),
    ((600, 400), (640, 384, 640, 427, 0, 21), (1216, 832, 1248, 832, 16, 0)),
    ((400, 600), (384, 640, 427, 640, 21, 0), (832, 1216, 832, 1248, 0, 16)),
    ((1920, 1080), (640, 384, 683, 384, 21, 0), (1344, 768, 1365, 768, 10, 0)),
    ((1080, 1920), (384, 640, 384, 683, 0, 21), (768, 1344, 768, 1365, 0, 10)),
    ((1024, 768), (576, 448, 597, 448, 10, 0), (1152, 896, 1195, 896, 21, 0)),
    ((3000, 4000), (448, 576, 448, 597, 0, 10), (896, 1152, 896, 1195, 0, 21)),
    ((1000, 999), (512, 512, 513, 512, 0, 0), (1024, 1024, 1025, 1024, 0, 0)),
    ((333, 777), (320, 768, 329, 768, 4, 0), (640, 1536, 658, 1536, 9, 0)),
    ((777, 333), (768, 320, 768, 329, 0, 4), (1536, 640, 1536, 658, 0, 9)),
    ((1216, 832), (576, 448, 655, 448, 39, 0), (1216, 832, 1216, 832, 0, 0)),
    ((2000, 500), (1024, 256, 1024, 256, 0, 0), (2048, 512, 2048, 512, 0, 0)),
    ((10000, 50), (1024, 256, 51200, 256, 25088, 0), (2048, 512, 102400, 512, 50176, 0)),
    ((50, 10000), (256, 1024, 256, 51200, 0, 25088), (512, 2048, 512, 102400, 0, 50176)),
    ((60, 60), (512, 512, 512, 512, 0, 0), (1024, 1024, 1024, 1024, 0, 0)),
)


@pytest.mark.parametrize(("picture", "at_512", "at_1024"), TABLE, ids=lambda value: "x".join(map(str, value)))
def test_bucket_scale_and_crop_on_a_table_of_sizes(
    picture: tuple[int, int], at_512: tuple[int, ...], at_1024: tuple[int, ...]
) -> None:
    """The nearest aspect ratio; scaled until it covers the bucket; half of what sticks out is cut from each side."""
    for resolution, expected in ((512, at_512), (1024, at_1024)):
        place = fit(Size(*picture), make_buckets(resolution, 64))
        found = (place.bucket.width, place.bucket.height, place.scaled.width, place.scaled.height)
        assert (*found, place.left, place.top) == expected


# Picture; bucket, scaled size and crop (left, top) at 512 without enlarging.
SMALL: tuple[tuple[tuple[int, int], tuple[int, ...]], ...] = (
    ((512, 512), (512, 512, 512, 512, 0, 0)),
    ((300, 300), (256, 256, 300, 300, 22, 22)),
    ((300, 417), (256, 384, 300, 417, 22, 16)),
    ((417, 300), (384, 256, 417, 300, 16, 22)),
    ((511, 513), (448, 512, 511, 513, 31, 0)),
    ((64, 64), (64, 64, 64, 64, 0, 0)),
    ((2000, 100), (1984, 64, 2000, 100, 8, 18)),
    # One side is less than a step, which no bucket can be.
    ((60, 60), (64, 64, 64, 64, 0, 0)),
    ((50, 300), (64, 384, 64, 384, 0, 0)),
    ((10000, 50), (4096, 64, 12800, 64, 4352, 0)),
    # Larger than the resolution, but no shared bucket is as narrow.
    ((3000, 200), (1920, 128, 1983, 132, 31, 2)),
)


@pytest.mark.parametrize(("picture", "expected"), SMALL, ids=lambda value: "x".join(map(str, value)))
def test_small_pictures_keep_their_size_and_lose_what_is_no_whole_step(
    picture: tuple[int, int], expected: tuple[int, ...]
) -> None:
    place = Buckets(512, 64, enlarges=False).fit(Size(*picture))
    found = (place.bucket.width, place.bucket.height, place.scaled.width, place.scaled.height)
    assert (*found, place.left, place.top) == expected
    assert place.upscaled is (min(picture) < 64)


@pytest.mark.parametrize(("resolution", "step"), [(512, 64), (1024, 64), (64, 16), (520, 8)])
def test_without_enlarging_other_trainers_rule_holds_and_nothing_else_changes(resolution: int, step: int) -> None:
    """Theirs: a picture of no more pixels than the resolution is not scaled; each side is rounded down to the step."""
    random, buckets = Random(resolution + step), Buckets(resolution, step, enlarges=False)
    pictures = [Size(random.randint(1, 2 * resolution), random.randint(1, 2 * resolution)) for _ in range(2000)]
    assert buckets.fits(pictures) == [buckets.fit(picture) for picture in pictures]
    for picture, place in zip(pictures, buckets.fits(pictures), strict=True):
        assert place.bucket.area <= resolution * resolution
        assert place.bucket.width % step == place.bucket.height % step == 0
        shared = fit(picture, make_buckets(resolution, step))
        if not shared.upscaled:
            assert place == shared
        elif min(picture.width, picture.height) < step:
            assert min(place.bucket.width, place.bucket.height) == step
        else:
            assert not place.upscaled
            if picture.area <= resolution * resolution:
                assert place.scaled == picture
                assert place.bucket == Size(
                    picture.width - picture.width % step, picture.height - picture.height % step
                )


def test_with_enlarging_the_buckets_are_the_shared_ones() -> None:
    random = Random(3)
    pictures = [Size(random.randint(20, 2000), random.randint(20, 2000)) for _ in range(300)]
    assert Buckets(512, 64).fits(pictures) == fits(pictures, make_buckets(512, 64))

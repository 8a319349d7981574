"""Pictures for the screen: drawn once by a child, kept under a name of what they are made of, told of when lost."""

import hashlib
from collections.abc import Iterator

import pytest
from PIL import Image

from app.collect.blobs import blob_path
from app.collect.decoders import Decoders
from app.collect.drawing import DrawWish
from app.collect.screen import Screen
from app.config import Settings
from app.contract.recipe import Recipe
from app.contract.rundir import publish
from app.errors import NotFound
from tests.drawing import picture

ORIGINAL = picture(1, 60, 40)
SHA256 = hashlib.sha256(ORIGINAL).hexdigest()


@pytest.fixture
def screen(settings: Settings) -> Iterator[Screen]:
    settings.make_folders()
    publish(blob_path(settings, SHA256, "png"), ORIGINAL)
    decoders = Decoders(settings, size=1)
    yield Screen(settings, decoders)
    decoders.close()


def test_a_copy_is_drawn_once_and_each_recipe_has_its_own(settings: Settings, screen: Screen) -> None:
    plain = DrawWish(sha256=SHA256, extension="png", recipe=Recipe(), side_px=320)
    first = screen.path(plain)
    assert first is not None
    drawn = first.stat().st_mtime_ns
    assert screen.path(plain) == first
    assert first.stat().st_mtime_ns == drawn
    turned = screen.path(plain.model_copy(update={"recipe": Recipe(quarter_turns=1)}))
    assert turned not in (None, first)
    with Image.open(turned or first) as image:
        assert image.size == (40, 60)


def test_what_is_not_there_or_lost(settings: Settings, screen: Screen) -> None:
    wish = DrawWish(sha256=SHA256, extension="png", recipe=Recipe(), layer="alpha")
    assert screen.path(wish) is None
    assert screen.path(wish.model_copy(update={"layer": "subject"})) is None
    with pytest.raises(NotFound, match="mask or the original") as caught:
        screen.path(wish.model_copy(update={"layer": "mask", "mask": "f" * 64}))
    assert "draw it again" in caught.value.hint
    blob_path(settings, SHA256, "png").write_bytes(b"damaged")
    with pytest.raises(NotFound, match="The original is gone"):
        screen.path(DrawWish(sha256=SHA256, extension="png", recipe=Recipe(), side_px=320))

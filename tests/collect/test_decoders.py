"""The decoding children: they die of a file and the next file still comes in."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from app.collect import blobs
from app.collect.decode_child import Request
from app.collect.decoders import Decoder, Decoders
from app.collect.drawing import DrawWish
from app.collect.masks import MaskWish
from app.collect.refusals import Refused
from app.config import Settings
from app.contract.recipe import Recipe
from app.errors import Unavailable
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise


@pytest.fixture
def fox(settings: Settings) -> Path:
    """A picture on the disk."""
    settings.make_folders()
    path = settings.data / "fox.png"
    path.write_bytes(encoded(noise(1)))
    return path


def test_a_child_publishes_original_and_copies(settings: Settings, fox: Path) -> None:
    decoder = Decoder(settings)
    measured = decoder.measure(Request.of(fox, "fox.png"))
    decoder.close()
    assert blobs.blob_path(settings, measured.sha256, "png").read_bytes() == fox.read_bytes()
    assert blobs.thumb_path(settings, measured.sha256).stat().st_size > 0
    assert decoder.pid is None


def test_a_child_that_dies_costs_one_file(settings: Settings, fox: Path) -> None:
    decoder = Decoder(settings)
    decoder.measure(Request.of(fox, "fox.png"))
    pipe = settings.data / "slow.png"
    os.mkfifo(pipe)
    first = decoder.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    killer = threading.Timer(0.3, os.kill, (first, signal.SIGKILL))
    killer.start()
    with pytest.raises(Refused, match=r"bad\.png crashed the image decoder \(signal 9\)"):
        decoder.measure(Request.of(fox, "bad.png"))
    killer.join()
    assert decoder.measure(Request.of(fox, "fox.png")).width_px == 128
    assert decoder.pid != first
    decoder.close()


def test_a_child_that_hangs_is_ended(settings: Settings, fox: Path) -> None:
    decoder = Decoder(settings, time_limit_s=0.5)
    patient = Decoder(settings)
    patient.measure(Request.of(fox, "fox.png"))
    patient.close()
    started = time.monotonic()
    with pytest.raises(Refused, match=r"took longer than 0 s|took longer than 1 s"):
        # Starting Python alone takes longer than this child is given.
        stopped(decoder, fox)
    assert time.monotonic() - started < 20
    decoder.close()


def stopped(decoder: Decoder, fox: Path) -> None:
    """Ask a child that has been stopped in its tracks."""
    decoder._living()
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGSTOP)
    decoder.measure(Request.of(fox, "slow.png"))


def test_a_bomb_stays_in_the_child(settings: Settings) -> None:
    settings.make_folders()
    path = settings.data / "bomb.png"
    path.write_bytes(fixtures.bomb(10_000))
    decoders = Decoders(settings, 1)
    before = resident_mb()
    measured = decoders.measure(path, "bomb.png")
    decoders.close()
    assert (measured.width_px, measured.height_px) == (10_000, 10_000)
    assert [note.text for note in measured.notes] == ["It has 100 million pixels, which makes every step slow."]
    assert resident_mb() - before < 50


def resident_mb() -> float:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_a_mask_becomes_grey_and_as_large_as_its_picture(settings: Settings) -> None:
    settings.make_folders()
    path = settings.data / "mask.png"
    path.write_bytes(encoded(noise(2, 64, 48)))
    decoders = Decoders(settings, 1)
    measured = decoders.measure(path, "mask.png", as_mask=MaskWish(width_px=128, height_px=96, fills=True))
    decoders.close()
    assert (measured.width_px, measured.height_px, measured.facts.mode) == (128, 96, "L")
    assert blobs.blob_path(settings, measured.sha256, "png").is_file()


def test_pages_have_a_child_of_their_own_while_all_others_are_busy(settings: Settings, fox: Path) -> None:
    decoders = Decoders(settings, 1)
    measured = decoders.measure(fox, "fox.png")
    wish = DrawWish(sha256=measured.sha256, extension="png", recipe=Recipe(mirrored=True), side_px=320)
    drawn: list[bool] = []

    def draw() -> None:
        drawn.append(decoders.draw(fox, "fox.png", wish))

    page, waits = threading.Thread(target=draw), threading.Thread(target=decoders.measure, args=(fox, "fox.png"))
    with decoders._lent() as busy:
        waits.start()
        page.start()
        page.join(30)
        assert drawn == [True]
        assert waits.is_alive()
        assert busy not in decoders._kept
    waits.join(30)
    assert not waits.is_alive()
    children = [each.pid for each in (*decoders._idle, *decoders._kept)]
    assert len(children) == 2
    decoders.rest()
    assert [each.pid for each in (*decoders._idle, *decoders._kept)] == [None, None]
    decoders.close()


def test_a_full_store_is_not_the_files_fault(settings: Settings, fox: Path) -> None:
    settings.blobs.rmdir()
    settings.blobs.write_text("a file where the folder was")
    decoders = Decoders(settings, 1)
    with pytest.raises(Unavailable, match="Nothing can be stored"):
        decoders.measure(fox, "fox.png")
    decoders.close()
    with pytest.raises(Unavailable, match="closing"):
        decoders.measure(fox, "fox.png")

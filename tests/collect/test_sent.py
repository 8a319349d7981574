"""Folders that browsers send: their places kept, ways out closed, never more than the disk may hold."""

from pathlib import Path

import pytest

from app.collect import sent
from app.collect.refusals import Refused
from app.collect.sent import SentFolders, label_of_sent, sent_name
from app.config import Settings
from app.errors import Invalid, Unavailable


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("X/1.png", "X/1.png"),
        ("/X/../../etc/passwd", "X/etc/passwd"),
        ("C:\\X\\1.png", "X/1.png"),
        ("X/./a\x00\n/1.png", "X/a/1.png"),
        ("X/nul.png", "X/nul_.png"),
        ("Com1/AUX", "Com1_/AUX_"),
        ("X/1.png. ", "X/1.png"),
        ("X/犬.png", "X/犬.png"),
        ("D:evil/y:s.png", "D_evil/y_s.png"),
        ('X/a<b>"c|?*.png', "X/a_b__c___.png"),
    ],
)
def test_a_name_leads_nowhere_else(name: str, kept: str) -> None:
    assert sent_name(name).as_posix() == kept


@pytest.mark.parametrize("name", ["", "1.png", "..", "../1.png", "X/.hidden/1.png", "X/" + "a/" * 40 + "1.png"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refusal:
        sent_name(name)
    assert refusal.value.hint


def put(folders: SentFolders, tmp_path: Path, drop: str, name: str, data: bytes = b"x") -> None:
    """Send a file."""
    staged = tmp_path / "staged"
    staged.write_bytes(data)
    folders.take(1, drop, name, staged)


def test_a_folder_is_handed_over_as_it_was(settings: Settings, tmp_path: Path) -> None:
    folders = SentFolders(settings)
    for name in ("X/1.png", "X/in/1.png", "Y/1.png", "X/1.png"):
        put(folders, tmp_path, "one", name, name.encode())
    put(folders, tmp_path, "other", "Z/1.png")
    with pytest.raises(Invalid, match="4 of 5 files"):
        folders.check_whole(1, "one", 5)
    folders.check_whole(1, "one", 4)
    roots = folders.hand_over(1, "one", tmp_path / "kept")
    assert [root.name for root in roots] == ["X", "Y"]
    assert label_of_sent(roots) == "X and 1 more"
    found = sorted(path.relative_to(tmp_path / "kept").as_posix() for path in (tmp_path / "kept").rglob("*.png"))
    assert found == ["X/1 (2).png", "X/1.png", "X/in/1.png", "Y/1.png"]
    folders.check_whole(1, "other", 1)
    with pytest.raises(Invalid):
        folders.check_whole(2, "other", 1)


def test_what_cannot_be_kept_is_refused_by_name(settings: Settings, tmp_path: Path) -> None:
    folders = SentFolders(settings)
    put(folders, tmp_path, "one", "X/a")
    with pytest.raises(Refused, match=r"X/a/1\.png is left out"):
        put(folders, tmp_path, "one", "X/a/1.png")
    with pytest.raises(Refused, match="is left out"):
        put(folders, tmp_path, "one", "X/" + "犬" * 150 + ".png")
    folders.check_whole(1, "one", 1)


def test_caps_hold_as_for_archives(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "MAX_MEMBERS", 2)
    monkeypatch.setattr(sent, "MAX_TOTAL_BYTES", 100)
    folders = SentFolders(settings)
    put(folders, tmp_path, "one", "X/1.png")
    with pytest.raises(Unavailable, match="larger than the disk"):
        put(folders, tmp_path, "one", "X/2.png", bytes(100))
    put(folders, tmp_path, "one", "X/3.png")
    with pytest.raises(Unavailable, match="more than 2 files"):
        put(folders, tmp_path, "one", "X/4.png")


def test_nothing_is_left_of_what_is_taken_back(settings: Settings, tmp_path: Path) -> None:
    folders, root = SentFolders(settings), settings.data / "imports" / "sent"
    put(folders, tmp_path, "one", "X/1.png")
    put(folders, tmp_path, "two", "X/1.png")
    folders.discard(1, "one")
    assert len(list(root.rglob("*.png"))) == 1
    with pytest.raises(Invalid):
        folders.check_whole(1, "one", 1)
    folders.clear()
    assert not root.exists()


def test_a_folder_that_nobody_goes_on_sending_is_deleted(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = SentFolders(settings)
    put(folders, tmp_path, "one", "X/1.png")
    monkeypatch.setattr(sent, "ABANDONED_S", -1)
    put(folders, tmp_path, "two", "X/1.png")
    assert len(list((settings.data / "imports" / "sent").rglob("*.png"))) == 1


def test_a_file_that_was_on_its_way_brings_no_discarded_folder_back(settings: Settings, tmp_path: Path) -> None:
    folders = SentFolders(settings)
    put(folders, tmp_path, "one", "X/1.png")
    folders.discard(1, "one")
    with pytest.raises(Unavailable, match="given up"):
        put(folders, tmp_path, "one", "X/2.png")
    assert not list(settings.data.rglob("*.png"))

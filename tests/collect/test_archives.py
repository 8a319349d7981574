"""Zip archives: what comes out, what is refused, and that nothing of theirs reaches any other place."""

import os
import zipfile
from pathlib import Path

import pytest

from app.collect.archives import glance, unpack
from app.collect.formats import HEAD_BYTES
from app.collect.layouts import read
from app.collect.refusals import Refused
from tests.collect import fixtures
from tests.collect.fixtures import encoded, noise


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_hostile_archive_harms_nothing(tmp_path: Path) -> None:
    archive, into = tmp_path / "evil.zip", tmp_path / "deep" / "down" / "files"
    fixtures.hostile_zip(archive)
    before = everything(tmp_path)
    unpacked = unpack(archive, into, "evil.zip")
    names = sorted(found.rel.as_posix() for found in unpacked.found)
    assert names == sorted(
        [
            "up.png",
            "root.png",
            "back.png",
            "drive.png",
            "deep/etc/out.png",
            "Twin.png",
            "twin.png",
            "日本/猫.png",
            "broken.png",
            "inner.zip",
        ]
    )
    assert not next(found.path for found in unpacked.found if found.rel.name == "inner.zip").exists()
    assert {(left.found.rel.as_posix(), left.refusal.code) for left in unpacked.leftovers} == {
        ("link.png", "F08"),
        ("zeros.bmp", "F07"),
    }
    new = everything(tmp_path) - before
    assert all(name in ("deep", "deep/down", "deep/down/files") or name.startswith("deep/down/files/0") for name in new)
    assert not any(path.is_symlink() for path in into.iterdir())


def test_a_name_without_the_flag_is_read_as_utf8(tmp_path: Path) -> None:
    fixtures.unflagged_zip(tmp_path / "a.zip", "画像/猫 ü.png", encoded(noise(1)))
    (found,) = unpack(tmp_path / "a.zip", tmp_path / "files", "a.zip").found
    assert found.rel.as_posix() == "画像/猫 ü.png"


def test_a_lying_size_and_a_broken_member_are_refused_alone(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("good.png", encoded(noise(1)))
        made.writestr("bad.png", os.urandom(5000))
    data = bytearray(archive.read_bytes())
    start = data.rindex(b"bad.png", 0, data.index(b"PK\x01\x02"))
    data[start + 200 : start + 260] = b"\xff" * 60
    archive.write_bytes(bytes(data))
    unpacked = unpack(archive, tmp_path / "files", "a.zip")
    assert [found.rel.name for found in unpacked.found] == ["good.png"]
    assert [left.refusal.code for left in unpacked.leftovers] == ["F01"]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 half", b"no zip at all"])
def test_what_is_no_archive_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(Refused, match=r"a\.zip is no whole zip archive"):
        unpack(tmp_path / "a.zip", tmp_path / "files", "a.zip")


def test_names_that_become_equal_are_told_apart(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("x.png", encoded(noise(1)))
        made.writestr("../x.png", encoded(noise(2)))
    found = unpack(tmp_path / "a.zip", tmp_path / "files", "a.zip").found
    assert [each.rel.as_posix() for each in found] == ["x.png", "x (2).png"]


def test_every_member_is_there_by_name_and_small_unknown_ones_by_their_bytes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("photo", encoded(noise(1)))
        made.writestr("noise", b"nothing")
        made.writestr("a.tags", b"fox, red")
        made.writestr("film.mp4", b"x" * 10)
        made.writestr("cache.npz", b"x" * 200_000)
    unpacked = unpack(tmp_path / "a.zip", tmp_path / "files", "a.zip")
    assert {found.rel.name: found.path.exists() for found in unpacked.found} == {
        "photo": True,
        "noise": False,
        "a.tags": True,
        "film.mp4": False,
        "cache.npz": False,
    }
    reading = read(unpacked.found)
    assert [entry.picture.rel.name for entry in reading.entries] == ["photo"]
    assert sorted(left.found.rel.name for left in reading.leftovers) == ["film.mp4", "noise"]


def test_a_glance_writes_lists_and_no_picture(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a.png", encoded(noise(1)))
        made.writestr("photo", encoded(noise(2)))
        made.writestr("metadata.jsonl", "{}")
    seen = glance(tmp_path / "a.zip", tmp_path / "files", "a.zip")
    sizes = {found.rel.name: found.path.stat().st_size if found.path.exists() else 0 for found in seen.found}
    assert sizes == {"a.png": 0, "photo": HEAD_BYTES, "metadata.jsonl": 2}
    assert {rel.name for rel, size in seen.sizes.items() if size > 100} == {"a.png", "photo"}

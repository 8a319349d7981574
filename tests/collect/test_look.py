"""What a look tells before an import: as much as then comes in, of folders and of archives."""

import json
import zipfile
from pathlib import Path

import pytest

from app.collect.look import FolderLook, holds_pictures, look
from app.errors import Invalid
from tests.collect.fixtures import encoded, noise

PNG = encoded(noise(1, 16, 16))
ONETRAINER: dict[str, str | bytes] = {
    "concepts.json": json.dumps([{"path": "/pc/on"}, {"path": "off", "enabled": False}]),
    "on/a.png": PNG,
    "on/a-masklabel.png": PNG,
    "on/b.png": PNG,
    "on/b.txt": "b",
    "off/c.png": PNG,
}
HUGGING_FACE: dict[str, str | bytes] = {
    "metadata.jsonl": json.dumps({"file_name": "a.png", "text": "one"}),
    "a.png": PNG,
    "photo": PNG,
    "film.mp4": "x",
}


def looked(tmp_path: Path, files: dict[str, str | bytes], *, is_archive: bool) -> FolderLook:
    """Write files into a folder or an archive, and look into it."""
    if is_archive:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as made:
            for name, content in files.items():
                made.writestr(name, content)
        return look(tmp_path / "set.zip")
    for name, content in files.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return look(tmp_path / "set")


@pytest.mark.parametrize("is_archive", [True, False])
def test_masks_and_what_is_switched_off_are_no_images(tmp_path: Path, is_archive: bool) -> None:
    seen = looked(tmp_path, ONETRAINER, is_archive=is_archive)
    assert (seen.pictures, seen.captions, seen.masks, seen.others) == (2, 1, 1, 0)
    assert seen.size_bytes == 2 * len(PNG)
    assert "OneTrainer concepts.json: 2 concepts" in seen.layouts
    assert any("off switched off, so that its image is left out: c.png" in note for note in seen.notes)


@pytest.mark.parametrize("is_archive", [True, False])
def test_captions_of_lists_count(tmp_path: Path, is_archive: bool) -> None:
    seen = looked(tmp_path, HUGGING_FACE, is_archive=is_archive)
    assert (seen.pictures, seen.captions, seen.others) == (2, 1, 1)
    assert seen.layouts == ("metadata.jsonl: 1 row",)
    assert "film.mp4 is a video file" in seen.left[0]


def test_a_picture_without_an_ending_is_enough_to_import(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("x")
    assert not holds_pictures(tmp_path)
    (tmp_path / "photo").write_bytes(PNG)
    assert holds_pictures(tmp_path)


def test_what_is_no_archive_is_told_beside_the_field(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(Invalid, match="no whole zip archive") as refusal:
        look(tmp_path / "a.zip")
    assert refusal.value.field == "path"

"""The command line as a person runs it: pictures in, a LoRA out, without a server or a browser."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.collect import pebblo
from app.config import ROOT


def run(data: Path, *words: str, expects: int = 0) -> dict[str, object]:
    """Run one command and return the JSON it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "--data", str(data), *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == expects, done.stderr
    answer: dict[str, object] = json.loads(done.stdout) if done.stdout else {}
    return answer


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data, caption in pebblo.drawings()[:4]:
        (folder / name).write_bytes(data)
        (folder / name).with_suffix(".txt").write_text(caption)
    return folder


@pytest.mark.timeout(400)
def test_from_a_folder_to_a_lora(tmp_path: Path, pictures: Path) -> None:
    data = tmp_path / "data"
    (pictures / "bad.png").write_bytes(b"")
    report = run(
        data, "import", "Pebblo", str(pictures), "--purpose", "character", "--trigger", "pebblo", "--json", expects=1
    )
    files = report["files"]
    assert isinstance(files, list)
    assert sorted(file["status"] for file in files) == ["added"] * 4 + ["refused"]
    checked = run(data, "check", "Pebblo", "--json")
    assert checked["images"] == 4
    settings = ["optimization.steps=4", "saving.every_steps=2", "sampling.every_steps=4", "sampling.inference_steps=2"]
    words = [word for setting in settings for word in ("--set", setting)]
    trained = run(data, "train", "Pebblo", *words, "--wait", "--json")
    assert trained["status"] == "completed"
    checkpoints = trained["checkpoints"]
    assert isinstance(checkpoints, list)
    assert [saved["step"] for saved in checkpoints] == [2, 4]
    exported = run(data, "export", "Pebblo", "--to", str(tmp_path / "out"), "--json")
    lora = Path(str(exported["lora"]))
    assert lora.is_file()
    assert json.loads(lora.with_suffix(".json").read_text())["activation text"] == "pebblo"
    run(data, "export", "Pebblo", "--dataset", "kohya", "--to", str(tmp_path / "set"))
    assert len(list((tmp_path / "set" / "img" / "1_pebblo").glob("*.txt"))) == 4


@pytest.mark.parametrize(
    "words",
    [
        ("check", "Nobody"),
        ("train", "Nobody"),
        ("import", "Cats", "/does/not/exist"),
        ("export", "Nobody", "--to", "out"),
    ],
)
def test_a_wrong_call_is_told_in_words(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert run(tmp_path / "data", *words, expects=2) == {}


def test_a_wrong_setting_is_named(tmp_path: Path, pictures: Path) -> None:
    data = tmp_path / "data"
    run(data, "import", "Pebblo", str(pictures))
    run(data, "train", "Pebblo", "--set", "optimization.stepz=4", expects=2)


def test_an_unknown_preset_is_not_replaced_by_another(tmp_path: Path, pictures: Path) -> None:
    data = tmp_path / "data"
    run(data, "import", "Pebblo", str(pictures))
    run(data, "train", "Pebblo", "--preset", "wild", "--json", expects=2)


def test_what_the_disk_refuses_is_told_without_a_stack(tmp_path: Path, pictures: Path) -> None:
    data = tmp_path / "data"
    run(data, "import", "Pebblo", str(pictures))
    (tmp_path / "file").write_text("in the way")
    for words in (
        ("--data", str(tmp_path / "file"), "check", "Pebblo"),
        ("--data", str(data), "export", "Pebblo", "--dataset", "plain", "--to", str(tmp_path / "file" / "out")),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert str(tmp_path / "file") in done.stderr
        assert "Traceback" not in done.stderr


def test_json_reaches_a_pipe_of_any_encoding(tmp_path: Path, pictures: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "--data", str(tmp_path / "data"), "import", "🎈", str(pictures), "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["project"] == "🎈"

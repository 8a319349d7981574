"""The run folder: paths inside it, and files that are whole or not there."""

import json
from pathlib import Path

import pytest

from app.contract.buckets import Size
from app.contract.rundir import DatasetRow, RunDir, publish, publish_dir, publish_json


def test_every_path_lies_in_the_folder(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    paths = [getattr(run_dir, name) for name, value in vars(RunDir).items() if isinstance(value, property)]
    assert len(paths) == len(set(paths)) >= 9
    for path in (*paths, run_dir.sample(1, 0, 42, 1.0), run_dir.lora(1), run_dir.checkpoint(1)):
        assert path.is_relative_to(tmp_path)


def test_samples_have_a_path_each() -> None:
    run_dir = RunDir(Path("run"))
    keys = [(s, p, seed, x) for s in (0, 250) for p in (0, 11) for seed in (1, 11) for x in (-0.6, 0, 0.6, 1, 1.25)]
    assert len({run_dir.sample(*key) for key in keys}) == len(keys)
    assert run_dir.sample(1, 0, 42, 0.29) == run_dir.sample(1, 0, 42, 0.29)


def test_checkpoints_sort_by_step() -> None:
    run_dir = RunDir(Path("run"))
    steps = [0, 50, 250, 1000, 99_999, 100_000]
    assert sorted(run_dir.checkpoint(step) for step in steps) == [run_dir.checkpoint(step) for step in steps]


def test_a_published_file_is_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    publish(path, b"one")
    publish(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_published_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    publish(path, b"old")
    with pytest.raises(TypeError):
        publish(path, "text")  # type: ignore[arg-type] - the wrong type is the point
    assert path.read_bytes() == b"old"


def test_json_is_readable(tmp_path: Path) -> None:
    publish_json(tmp_path / "a.json", {"été": [1, None]})
    assert "été" in (tmp_path / "a.json").read_text("utf-8")
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"été": [1, None]}


def test_a_published_folder_replaces_the_older(tmp_path: Path) -> None:
    final = tmp_path / "step-000001"
    for content in ("one", "two"):
        staging = tmp_path / ".staging"
        (staging / "state").mkdir(parents=True)
        (staging / "state" / f"{content}.bin").write_text(content)
        publish_dir(staging, final)
        assert not staging.exists()
    assert [path.name for path in sorted(final.rglob("*"))] == ["state", "two.bin"]


def test_a_dataset_comes_back_as_it_was_frozen(tmp_path: Path) -> None:
    rows = [
        DatasetRow(
            sha256="0" * 64,
            path="/blobs/00.png",
            name=f"{n}\u2028.png",
            size=Size(640, 480),
            bucket=Size(576, 448),
            caption="a\ncat\u2028 猫\x85",
            text="a, cat",
            repeats=n,
        )
        for n in (1, 2)
    ]
    run_dir = RunDir(tmp_path)
    publish(run_dir.dataset, "".join(row.model_dump_json() + "\n" for row in rows).encode())
    assert run_dir.read_dataset() == rows
    publish(run_dir.dataset, b"")
    assert run_dir.read_dataset() == []


def test_a_full_disk_keeps_no_half_written_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        publish(tmp_path / "a.png", b"bytes")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_only_a_file_of_the_run_is_inside(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    publish(run.lora(5), b"lora")
    publish(tmp_path / "secret", b"secret")
    (run.path / "link").symlink_to(tmp_path / "secret")
    assert run.inside("checkpoints/step-000005/lora.safetensors") == run.lora(5).resolve()
    for name in (
        "../secret",
        str(tmp_path / "secret"),
        "link",
        "checkpoints",
        "absent",
        "",
        "checkpoints/../../secret",
    ):
        assert run.inside(name) is None, name

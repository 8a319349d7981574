"""Handing over: a LoRA with its sidecar and preview."""

import json
from pathlib import Path

import pytest

from app.contract.events import CheckpointSaved, SampleDrawn
from app.contract.rundir import RunDir, publish
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import RunState, fold
from app.errors import Conflict, NotFound
from app.export.lora import hand_over

SPEC = TrainSpec(
    name="Red cat",
    project="Cats",
    purpose="style",
    trigger_word="rdct",
    base=BaseModelRef(name="base", path="/models/base", family="sdxl", sha256="0" * 64),
)


def run_with_checkpoints(tmp_path: Path) -> tuple[RunDir, RunState]:
    folder = RunDir(tmp_path / "0001-red-cat")
    events = []
    for step in (5, 10):
        publish(folder.lora(step), f"lora {step}".encode())
        path = folder.lora(step).relative_to(folder.path).as_posix()
        events.append(CheckpointSaved(step=step, path=path, size_bytes=6, sha256="ab"))
    drawn = folder.sample(10, 0, 42, 1.0)
    publish(drawn, b"png")
    sample = SampleDrawn(step=10, prompt_index=0, prompt="a", seed=42, path=drawn.relative_to(folder.path).as_posix())
    return folder, fold([*events, sample])


def test_the_newest_checkpoint_with_sidecar_and_preview(tmp_path: Path) -> None:
    folder, state = run_with_checkpoints(tmp_path)
    written = hand_over(folder, SPEC, state, None, tmp_path / "out")
    assert written.step == 10
    assert written.lora.read_bytes() == b"lora 10"
    assert written.preview is not None
    assert written.preview.read_bytes() == b"png"
    sidecar = json.loads(written.sidecar.read_text())
    assert (sidecar["activation text"], sidecar["sd version"]) == ("rdct", "SDXL")
    assert len({path.stem for path in (tmp_path / "out").iterdir()}) == 1


def test_a_named_step_and_what_is_in_the_way(tmp_path: Path) -> None:
    folder, state = run_with_checkpoints(tmp_path)
    written = hand_over(folder, SPEC, state, 5, tmp_path / "out")
    assert written.preview is None
    assert hand_over(folder, SPEC, state, 5, tmp_path / "out") == written
    written.lora.write_bytes(b"somebody else's")
    with pytest.raises(Conflict, match="other content"):
        hand_over(folder, SPEC, state, 5, tmp_path / "out")
    with pytest.raises(NotFound) as refused:
        hand_over(folder, SPEC, state, 7, tmp_path / "out")
    assert "5, 10" in refused.value.hint
    with pytest.raises(NotFound, match="no checkpoint yet"):
        hand_over(folder, SPEC, fold([]), None, tmp_path / "out")

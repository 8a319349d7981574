"""Memory measures of the worker that need no GPU: words for too little of it, and no limit where there is none."""

import pytest
import torch

from app.contract.memory import GB
from app.contract.spec import BaseModelRef, TrainSpec
from worker.errors import OutOfMemory
from worker.memory import Machine, less_memory, limit_memory, needs_tiles, out_of_memory_in_words, peak_bytes

CPU = torch.device("cpu")


def sdxl(**optimization: object) -> TrainSpec:
    return TrainSpec.model_validate(
        {
            "name": "x",
            "project": "x",
            "purpose": "style",
            "trigger_word": "x",
            "base": BaseModelRef(name="b", path="/b", family="sdxl", sha256="0" * 64),
            "data": {"resolution_px": 1024},
            "optimization": optimization,
        }
    )


def test_running_out_is_told_with_the_change_that_fits() -> None:
    spec = sdxl(gradient_checkpointing=False, memory_limit_gb=8, batch=1)
    with pytest.raises(OutOfMemory, match=r"more than the limit of 8\.0 GB") as told, out_of_memory_in_words(spec, CPU):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert told.value.hint.startswith("Turn on gradient checkpointing: about 6.")


def test_other_failures_pass() -> None:
    with pytest.raises(RuntimeError, match="else"), out_of_memory_in_words(sdxl(), CPU):
        raise RuntimeError("something else")


def test_a_run_that_should_have_fitted_is_told_the_cheapest_change() -> None:
    assert less_memory(sdxl(batch=1), 24 * GB).startswith("Choose the optimizer adamw-8bit: about ")
    least = sdxl(batch=1, optimizer="adamw-8bit", base_storage="nf4", offloads_blocks=True)
    smallest = least.model_copy(update={"data": least.data.model_copy(update={"resolution_px": 512})})
    assert "more memory" in less_memory(smallest, GB / 2)


def test_a_computer_without_gpu_has_no_limit_and_no_tiles() -> None:
    limit_memory(Machine(CPU, torch.float32), 1.0)
    assert peak_bytes(CPU) == 0
    assert not needs_tiles(CPU, 4096 * 4096)

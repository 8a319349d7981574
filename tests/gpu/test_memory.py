"""On a GPU: real architectures with random weights, trained under the caps that the studio promises.

`python -m pytest tests/gpu/test_memory.py -m gpu -s` prints what was reckoned beside what was held.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from app.contract.families import FAMILIES, FamilyKey
from app.contract.memory import CONTEXT_BYTES, GB, forecast
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from app.contract.state import read_state
from tests.worker import ldm_layout, tiny
from worker.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

CASES: dict[str, tuple[FamilyKey, float, dict[str, Any]]] = {
    "SD 1.5, 512, batch 4, no checkpointing, 8 GB": ("sd15", 8, {"batch": 4, "gradient_checkpointing": False}),
    "SDXL, 1024, batch 1, 8 GB": ("sdxl", 8, {"batch": 1}),
    "SDXL, 1024, batch 1, int8, 6 GB": ("sdxl", 6, {"batch": 1, "base_storage": "int8"}),
    "SDXL, 1024, batch 1, nf4, 6 GB": ("sdxl", 6, {"batch": 1, "base_storage": "nf4"}),
    "SDXL, 1024, batch 1, offloaded, 4 GB": ("sdxl", 4, {"batch": 1, "offloads_blocks": True}),
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """One precision a process is accelerate's rule, and one limit a process torch's."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.cuda.set_per_process_memory_fraction(1.0)
    gc.collect()
    torch.cuda.empty_cache()


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[FamilyKey, BaseModelRef]:
    """One single file a family, as large as the published ones."""
    folder, found = tmp_path_factory.mktemp("full"), {}
    for family in FAMILIES:
        torch.manual_seed(1)
        tensors = {key: drawn(each) for key, each in ldm_layout.tensors_on_meta(family).items()}
        path = ldm_layout.write(folder / f"{family}.safetensors", tensors)
        found[family] = BaseModelRef(name=family, path=str(path), family=family, sha256="0" * 64)
    return found


def drawn(shape_of: Tensor) -> Tensor:
    """Small random weights, and ones where a norm scales."""
    if shape_of.dim() < 2:
        return torch.ones(shape_of.shape, dtype=torch.float16)
    return (torch.randn(shape_of.shape) * shape_of.shape[1] ** -0.5 * 0.5).half()


@pytest.mark.parametrize("case", CASES)
def test_it_fits_and_was_reckoned_right(case: str, bases: dict[FamilyKey, BaseModelRef], tmp_path: Path) -> None:
    family, limit_gb, changes = CASES[case]
    spec = spec_of(bases[family], limit_gb, changes)
    side = spec.data.resolution_px
    run_dir = tiny.new_run(tmp_path, spec, ((side, side), (side + 64, side), (side, side)))
    torch.cuda.reset_peak_memory_stats()
    train(tiny.context_of(run_dir, spec))
    held = most_held(run_dir)
    phases = {phase.key: phase.size - CONTEXT_BYTES for phase in forecast(spec, limit_gb * GB)}
    reckoned = max(phases.values())
    told = ", ".join(f"{key} {size / GB:.2f}" for key, size in phases.items())
    print(f"\n{case}: held {held / GB:.2f} GB, reckoned {reckoned / GB:.2f} GB ({told}), {held / reckoned - 1:+.0%}")
    assert run_dir.lora(3).is_file()
    assert held < limit_gb * GB


def most_held(run_dir: RunDir) -> float:
    """The peak of a whole run in bytes: the run itself asks for it now and then, and each time it begins anew."""
    told = [each.value * GB for each in read_state(run_dir.events).metrics if each.name == "peak_memory_gb"]
    assert told, "a run on a GPU records its peak"
    return max(*told, torch.cuda.max_memory_reserved())


def spec_of(base: BaseModelRef, limit_gb: float, changes: dict[str, Any]) -> TrainSpec:
    side = FAMILIES[base.family].resolution_px
    settings = {
        "steps": 3,
        "memory_limit_gb": limit_gb,
        "learning_rate": 1e-6,
        "gradient_checkpointing": True,
        **changes,
    }
    made = tiny.make_spec(base, network={"rank": 16, "alpha": 8}, optimization=settings)
    data = made.model_dump()
    data["data"] |= {"resolution_px": side, "bucket_step_px": 64}
    data["sampling"] |= {"width_px": side, "height_px": side, "every_steps": 3, "prompts": [{"text": "x"}]}
    data["saving"] |= {"every_steps": 3}
    return TrainSpec.model_validate(data)

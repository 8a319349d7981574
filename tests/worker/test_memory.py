"""Memory measures of the worker that need no GPU: no limit where there is none."""

import torch

from worker.memory import Machine, limit_memory, needs_tiles, peak_bytes

CPU = torch.device("cpu")


def test_a_computer_without_gpu_has_no_limit_and_no_tiles() -> None:
    limit_memory(Machine(CPU, torch.float32), 1.0)
    assert peak_bytes(CPU) == 0
    assert not needs_tiles(CPU, 4096 * 4096)

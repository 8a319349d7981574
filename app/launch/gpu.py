"""The GPU of this computer, asked of its driver: the studio itself never loads what would know it."""

import shutil
import subprocess
from functools import cache

MIB = 2**20
DRIVER_TOOL = "nvidia-smi"
PATIENCE_S = 10.0


@cache
def gpu_bytes() -> int | None:
    """Return the memory of the first NVIDIA GPU, or None without one; asked once, for it does not change."""
    return ask_driver()


def ask_driver() -> int | None:
    """Ask the driver's own tool for the first GPU's memory."""
    tool = shutil.which(DRIVER_TOOL)
    if tool is None:
        return None
    question = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(question, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
        return int(told.split()[0]) * MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None

"""Which optimizers this installation can run: some come in packages of their own, which nobody is made to install."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import get_args

from app.contract.spec import Optimizer

FALLBACK: Optimizer = "adamw"
NEEDS_NVIDIA: tuple[Optimizer, ...] = ("adamw-8bit",)


@dataclass(frozen=True)
class Package:
    """What is imported, and under which name it is installed."""

    module: str
    name: str


PACKAGES: Mapping[Optimizer, Package] = {
    "adamw-8bit": Package("bitsandbytes", "bitsandbytes"),
    "prodigy-schedule-free": Package("prodigyplus", "prodigy-plus-schedule-free"),
}


def missing_package(optimizer: Optimizer) -> str:
    """Return the package that an optimizer waits for; empty when all that it needs is there."""
    package = PACKAGES.get(optimizer)
    return package.name if package is not None and find_spec(package.module) is None else ""


def available() -> frozenset[Optimizer]:
    """The optimizers whose packages are installed."""
    return frozenset(each for each in get_args(Optimizer) if not missing_package(each))


def way_out(optimizer: Optimizer) -> str:
    """Say how to get an optimizer that is missing, or what to choose in its place."""
    return (
        f"Install {missing_package(optimizer)} beside the studio (pip install {missing_package(optimizer)} in its "
        f".venv), or choose {FALLBACK}."
    )

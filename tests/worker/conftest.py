"""Bases made once a session, and torch on one thread: on a shared machine more threads wait for each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from app.contract.families import FAMILIES, FamilyKey
from app.contract.rundir import RunDir
from app.contract.spec import BaseModelRef, TrainSpec
from tests.worker import tiny
from worker.train import train

# diffusers hands torch tensors to numpy in a way that numpy 2 is going to refuse one day.
NUMPY_COPY = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the one warning of the libraries pass in this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(NUMPY_COPY))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[FamilyKey, BaseModelRef]:
    """One tiny base a family."""
    folder = tmp_path_factory.mktemp("bases")
    for family, write in tiny.WRITERS.items():
        write(folder / family)
    return {family: tiny.base_ref(family, folder / family) for family in tiny.WRITERS}


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def base(request: pytest.FixtureRequest, bases: dict[FamilyKey, BaseModelRef]) -> BaseModelRef:
    """The tiny base of each family in turn."""
    return bases[request.param]


@pytest.fixture(scope="session")
def trained(base: BaseModelRef, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, TrainSpec]:
    """A whole run of each family, unbroken, with its text encoders trained too."""
    folder = tmp_path_factory.mktemp("trained")
    spec = tiny.make_spec(base, **tiny.text_rates(base.family, 1e-3))
    run_dir = tiny.make_run(folder / "run", spec, tiny.make_pictures(folder / "pictures", spec))
    train(tiny.context_of(run_dir, spec))
    return run_dir, spec

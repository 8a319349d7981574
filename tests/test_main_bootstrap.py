"""The first start on a fresh machine: a real venv and pip, and a checkout that needs no network."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.__main__ import pip_hint
from app.config import ROOT

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny-studio"
version = "0.1"
[project.optional-dependencies]
test = []
"""

# Stands where setuptools stands in the real checkout: makes an editable wheel, fails or waits when told to.
BACKEND = """\
import pathlib, sys, time, zipfile

HERE = pathlib.Path(__file__).parent

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    calls = HERE / "calls.txt"
    calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
    if (HERE / "fail.txt").exists():
        sys.exit((HERE / "fail.txt").read_text())
    while (HERE / "wait.txt").exists():
        time.sleep(0.02)
    name = "tiny_studio-0.1-py3-none-any.whl"
    info = "tiny_studio-0.1.dist-info"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("tiny_studio.pth", str(HERE))
        metadata = "Metadata-Version: 2.1\\nName: tiny-studio\\nVersion: 0.1\\nProvides-Extra: test\\n"
        wheel.writestr(f"{info}/METADATA", metadata)
        tags = "Generator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\n{tags}")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""

CLI = """\
import sys

def main(argv):
    print("cli", argv, sys.prefix)
    return 7
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with our bootstrap, and next to nothing to install."""
    folder = tmp_path / "checkout"
    (folder / "app").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "cli.py").write_text(CLI)
    (folder / "app" / "checks.py").write_text(CLI.replace("cli", "checks"))
    shutil.copy(ROOT / "app" / "__main__.py", folder / "app")
    return folder


def bootstrap_env() -> dict[str, str]:
    """The environment of a person who has set nothing, with no package index in reach."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LORA_STUDIO", "PIP_"))}
    return env | {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


def start(checkout: Path, *argv: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """Start the checkout with an interpreter that sees no installed package; `before` runs first in it."""
    code = f"import runpy, sys; {before}; runpy.run_module('app', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-S", "-c", code, *argv],
        cwd=checkout,
        env=bootstrap_env(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def pip_calls(checkout: Path) -> int:
    """How often pip has built the checkout."""
    calls = checkout / "calls.txt"
    return len(calls.read_text()) if calls.exists() else 0


def wait_until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    """Wait for a condition, up to a deadline."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_first_start_installs_and_later_starts_do_not(checkout: Path) -> None:
    first = start(checkout)
    assert first.returncode == 7, first.stderr
    assert first.stdout.split() == ["cli", "['serve']", str(checkout / ".venv")]
    assert "Making" in first.stderr
    assert "All installed." in first.stderr

    # Whoever asked for pip now would find that it is gone.
    (pip,) = (checkout / ".venv" / "lib").glob("python*/site-packages/pip")
    away = pip.rename(checkout / "pip-away")
    second = start(checkout, "import", "a b", "--x")
    away.rename(pip)
    assert second.returncode == 7
    assert second.stdout.startswith("cli ['import', 'a b', '--x']")
    assert second.stderr == ""
    assert pip_calls(checkout) == 1

    tested = start(checkout, "test", "-k", "one")
    assert tested.stdout.startswith("checks ['-k', 'one']")
    assert pip_calls(checkout) == 2
    with (checkout / "pyproject.toml").open("a") as changed:
        changed.write("# changed\n")
    assert start(checkout).returncode == 7
    assert pip_calls(checkout) == 3
    assert json.loads((checkout / ".venv" / "lora-studio.json").read_text())["extras"] == ["test"]
    assert start(checkout, "test").returncode == 7
    assert pip_calls(checkout) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_interrupted_install_is_finished_next_time(checkout: Path) -> None:
    (checkout / "wait.txt").touch()
    process = subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=checkout,
        env=bootstrap_env(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: pip_calls(checkout) == 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (checkout / "wait.txt").unlink()
    again = start(checkout)
    assert again.returncode == 7, again.stderr
    assert "Making" not in again.stderr
    assert pip_calls(checkout) == 2


@pytest.mark.slow
def test_half_made_venv_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(checkout / "a Python that was removed")
    assert start(checkout).returncode == 7


@pytest.mark.slow
def test_failed_install_says_why_and_the_way_out(checkout: Path) -> None:
    (checkout / "fail.txt").write_text("OSError: [Errno 28] No space left on device")
    failed = start(checkout)
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert f"The disk is full: PyTorch and the rest need about 8 GB under {checkout}." in failed.stderr
    assert "run the same command again" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (checkout / ".venv" / "lora-studio.json").exists()


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        ("NewConnectionError: Name resolution failed", "check the network connection"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build for this Python"),
        ("something else", "Check the network connection and the free disk space"),
    ],
)
def test_hint_fits_what_pip_said(said: str, way_out: str) -> None:
    assert way_out in pip_hint(said)


def test_missing_ensurepip_names_the_package_to_install(checkout: Path) -> None:
    failed = start(checkout, before="sys.modules['ensurepip'] = None")
    assert failed.returncode == 1
    assert "ensurepip is missing" in failed.stderr
    assert "apt install python3-venv" in failed.stderr
    assert not (checkout / ".venv").exists()


def test_old_python_is_told_so(checkout: Path) -> None:
    failed = start(checkout, before="sys.version_info = (3, 9, 2)")
    assert failed.returncode == 1
    assert "needs Python 3.11 or newer; this is Python 3.9.2" in failed.stderr
    assert not (checkout / ".venv").exists()


def test_bootstrap_is_readable_by_old_pythons_and_imports_the_standard_library_alone() -> None:
    tree = ast.parse((ROOT / "app" / "__main__.py").read_text("utf-8"), feature_version=(3, 7))
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.module.split(".")[0] in sys.stdlib_module_names

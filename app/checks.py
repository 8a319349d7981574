"""`python3 -m app test`: format, lint, types and tests, each named and timed, whether or not another fails."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

from app.config import ROOT

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@dataclass(frozen=True)
class Check:
    """One command that has to succeed."""

    name: str
    command: tuple[str, ...]


def main(argv: list[str]) -> int:
    """Run every check; the arguments go to pytest. Returns 1 if any failed."""
    for lack in lacks():
        print(f"Note: {lack}")
    results = [(check, *run(check)) for check in checks(argv)]
    print("\nChecks:")
    for check, is_good, took_s in results:
        print(f"  {check.name:<8}{'ok' if is_good else 'FAILED':<8}{took_s:6.1f} s")
    return 0 if all(is_good for _, is_good, _ in results) else 1


def checks(pytest_arguments: list[str]) -> list[Check]:
    """List the checks in the order in which they are cheapest to fail."""
    return [
        Check("format", ("ruff", "format", "--check", ".")),
        Check("lint", ("ruff", "check", ".")),
        Check("types", ("mypy",)),
        # A file's tests stay together: many share a server, a browser or a trained run. One process more than there are
        # cores, since those of a browser wait for the most part.
        Check("tests", ("pytest", "-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", *pytest_arguments)),
    ]


def run(check: Check) -> tuple[bool, float]:
    """Run one check in the checkout. Returns whether it succeeded and its seconds."""
    print(f"\n== {check.name}: {' '.join(check.command)}", flush=True)
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *check.command], cwd=ROOT, check=False)
    return done.returncode == 0, time.monotonic() - started


def lacks() -> list[str]:
    """Name what this machine does not have, and what follows for the tests."""
    found = []
    if find_chromium() is None:
        found.append(
            "no Chromium here, so the browser tests are skipped. Install it (Debian: apt install chromium), "
            "or name one in LORA_STUDIO_CHROMIUM."
        )
    if shutil.which("nvidia-smi") is None:
        found.append("no NVIDIA GPU here, so the gpu tests are skipped.")
    return found


def find_chromium() -> str | None:
    """Return the path of a Chromium for the browser tests."""
    named = os.environ.get("LORA_STUDIO_CHROMIUM")
    return named or next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)

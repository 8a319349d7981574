"""A whole studio as a person starts it: the real command, with its server and worker, on a data folder of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.config import ROOT

START_S = 60.0
ADDRESS = re.compile(r"http://\S+?(?=/?\s)")


class Studio:
    """A running studio; `address` has no slash at its end."""

    def __init__(self, data: Path, *words: str, command: str = "serve") -> None:
        """Start it and wait until it answers on its address."""
        self.data = data
        self.log = data.with_name(f"{data.name}-{time.monotonic_ns()}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "--data", str(data), command, "--port", "0", "--no-browser", *words],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(lambda: ADDRESS.search(self.output()) or self.process.poll() is not None, "the address", START_S)
        found = ADDRESS.search(self.output())
        assert found, self.output()
        self.address = found[0].rstrip("/")

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End the server as kill -9 does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def kill_part(self, *words: str) -> None:
        """End one of its processes, known by words of its command line, as kill -9 does."""
        (pid,) = [
            pid for pid, command in _commands() if str(self.data) in command and all(word in command for word in words)
        ]
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def until(condition: Callable[[], object], what: str, deadline_s: float) -> None:
    """Wait for a condition; fail with its name when the time is up."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s:.0f} s for {what}")
        time.sleep(0.05)


def _commands() -> Iterator[tuple[int, str]]:
    """Every process with its command line, its words set apart by spaces."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        yield int(entry.name), command

"""Keep the worker alive as a process of its own, and end it with the server."""

import logging
import os
import subprocess
import sys
import threading
import time

from app.config import ROOT, Settings

log = logging.getLogger("lora_studio")

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
# A worker that lived this long did not die of the same thing at once: start over with short waits.
HEALTHY_S = 60.0
WIND_DOWN_S = 20.0
KILL_S = 5.0
STANDARD_ERROR = 2


def worker_command(settings: Settings) -> list[str]:
    """Name the command that runs the worker on our data folder."""
    return [sys.executable, "-m", "worker", "--data", str(settings.data)]


class WorkerProcess:
    """A worker that is started again whenever it dies, with growing waits, until `stop`.

    The worker's standard input is a pipe that nothing is written to: it closes when we stop or die,
    by kill -9 too, and tells the worker to wind down.
    """

    def __init__(self, command: list[str], first_wait_s: float = FIRST_WAIT_S) -> None:
        self._command = command
        self._first_wait_s = first_wait_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog = threading.Thread(target=self._watch, name="worker watchdog", daemon=True)

    @property
    def pid(self) -> int | None:
        """The process id of the worker, if one runs now."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the worker and the thread that watches it."""
        self._watchdog.start()

    def stop(self, wind_down_s: float = WIND_DOWN_S) -> None:
        """Close the worker's input, wait for it to save and leave, and only then use force."""
        self._stopping.set()
        with self._lock:
            process = self._process
        if process is not None:
            _end(process, wind_down_s)
        self._watchdog.join(KILL_S)

    def _watch(self) -> None:
        wait_s = self._first_wait_s
        while (process := self._spawn()) is not None:
            started = time.monotonic()
            code = process.wait()
            if self._stopping.is_set():
                return
            if process.stdin is not None:
                process.stdin.close()
            if time.monotonic() - started > HEALTHY_S:
                wait_s = self._first_wait_s
            log.warning("The GPU worker ended (exit code %d); it starts again in %.0f s.", code, wait_s)
            if self._stopping.wait(wait_s):
                return
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def _spawn(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopping.is_set():
                return None
            self._process = _start(self._command)
            return self._process


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # A group of its own, so that Ctrl-C in the terminal reaches the worker by way of the server alone.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    env = {name: value for name, value in os.environ.items() if name != "LORA_STUDIO_TOKEN"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        # Standard output belongs to the command that brought the worker along.
        stdout=STANDARD_ERROR,
        start_new_session=os.name == "posix",
        creationflags=flags,
    )


def _end(process: subprocess.Popen[bytes], wind_down_s: float) -> None:
    if process.stdin is not None:
        process.stdin.close()
    for force, wait_s in ((None, wind_down_s), (process.terminate, KILL_S), (process.kill, KILL_S)):
        if force is not None:
            log.warning("The GPU worker does not end by itself; ending it by force.")
            force()
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            continue
        return

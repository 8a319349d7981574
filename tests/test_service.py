"""Serving for real: one server a data folder, its address, its signals, its worker."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.config import ROOT, Settings
from app.service import address_of, is_loopback, refuse_exposure
from app.worker_process import WorkerProcess, worker_command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")

SERVE = """
import sys
from pathlib import Path
from app.config import Settings
from app.service import serve
settings = Settings(data=Path(sys.argv[1]), host=sys.argv[2], port=int(sys.argv[3]), starts_worker=False)
sys.exit(serve(settings, opens_browser=False))
"""

# The real server class around an app with nothing but a stream, and next to it a request that never ends.
STREAM = """
import asyncio, sys
from pathlib import Path
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from app.config import Settings
from app.service import StudioServer, open_listener
from dataclasses import replace

app = FastAPI()
app.state.stopping = asyncio.Event()

@app.get("/stream")
async def stream():
    async def beats():
        while not app.state.stopping.is_set():
            yield "data: beat\\n\\n"
            try:
                await asyncio.wait_for(app.state.stopping.wait(), 0.2)
            except TimeoutError:
                pass
        yield "data: ended\\n\\n"
    return StreamingResponse(beats(), media_type="text/event-stream")

settings = Settings(data=Path(sys.argv[1]), port=0)
listener = open_listener(settings)
settings = replace(settings, port=listener.getsockname()[1])
StudioServer(app, settings, opens_browser=False).run([listener])
print("cleaned up", flush=True)
"""


class Started:
    """A Python process of ours, ended with the test."""

    def __init__(self, code: str, *argv: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *argv],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def address(self) -> str:
        """Wait for the line that says where it is."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"LoRA Studio is at (http://\S+/)\n", line)
        assert found, line + self.finish()[1]
        return found[1]

    def finish(self, limit_s: float = 30) -> tuple[str, str]:
        """Wait for its end, and return the rest of what it said on both outputs."""
        return self.process.communicate(timeout=limit_s)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Start processes that end with the test."""
    started: list[Started] = []

    def begin(code: str, *argv: str) -> Started:
        started.append(Started(code, *argv))
        return started[-1]

    yield begin
    for each in started:
        each.close()


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A data folder that does not exist yet."""
    return str(tmp_path / "studio")


def wait_until(is_so: Callable[[], bool], limit_s: float = 20) -> None:
    """Wait for a condition, up to a deadline."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_streams_at_once_and_cleans_up(
    start: Callable[..., Started], data: str, sent: signal.Signals
) -> None:
    server = start(STREAM, data)
    with httpx.Client(base_url=server.address()) as http, http.stream("GET", "/stream") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: beat"
        server.process.send_signal(sent)
        # A stream that was cut off at last would not have said this.
        assert [line for line in lines if line][-1] == "data: ended"
        said, complained = server.finish()
    assert (said, complained, server.process.returncode) == ("cleaned up\n", "", 0)


def test_one_server_a_data_folder(start: Callable[..., Started], data: str) -> None:
    first = start(SERVE, data, "127.0.0.1", "0")
    address = first.address()
    assert httpx.get(f"{address}healthz").json() == {"ok": True}
    word = json.loads((Path(data) / ".server.json").read_text())
    assert word == {"pid": first.process.pid, "url": address}

    second = start(SERVE, data, "127.0.0.1", "0")
    _, complaint = second.finish()
    assert second.process.returncode == 3
    assert f"(process {first.process.pid}, at {address})" in complaint
    assert "--data" in complaint

    first.process.send_signal(signal.SIGTERM)
    first.finish()
    assert first.process.returncode == 0
    assert not (Path(data) / ".server.json").exists()

    third = start(SERVE, data, "127.0.0.1", "0")
    third.address()
    third.process.kill()
    third.finish()
    fourth = start(SERVE, data, "127.0.0.1", "0")
    assert httpx.get(f"{fourth.address()}healthz").status_code == 200


def test_everything_in_the_data_folder_is_for_its_owner_alone(start: Callable[..., Started], data: str) -> None:
    start(SERVE, data, "127.0.0.1", "0").address()
    made = [Path(data), *Path(data).rglob("*")]
    assert Path(data) / "store.db" in made
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_a_taken_port_is_named_with_the_way_out(start: Callable[..., Started], data: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = start(SERVE, data, "127.0.0.1", str(port))
        _, complaint = server.finish()
    assert server.process.returncode == 1
    assert f"127.0.0.1 port {port}" in complaint
    assert "--port" in complaint
    assert "Traceback" not in complaint


def test_a_damaged_store_is_told_in_words(start: Callable[..., Started], data: str) -> None:
    Path(data).mkdir()
    (Path(data) / "store.db").write_bytes(b"this is no store" * 1000)
    server = start(SERVE, data, "127.0.0.1", "0")
    said, complaint = server.finish()
    assert (said, server.process.returncode) == ("", 1)
    assert "store.db" in complaint
    assert "Traceback" not in complaint


def test_no_open_host_without_a_token(start: Callable[..., Started], data: str) -> None:
    server = start(SERVE, data, "0.0.0.0", "0")
    said, complaint = server.finish()
    assert (said, server.process.returncode) == ("", 2)
    assert "LORA_STUDIO_TOKEN" in complaint
    assert not Path(data).exists()


@pytest.mark.parametrize(
    ("host", "token", "is_refused"),
    [
        ("127.0.0.1", None, False),
        ("localhost", None, False),
        ("::1", None, False),
        ("", None, True),
        ("0.0.0.0", None, True),
        ("::", None, True),
        ("192.168.1.5", None, True),
        ("studio.lan", None, True),
        ("0.0.0.0", "a token that is long enough", False),
        ("0.0.0.0", "short", True),
        ("127.0.0.1", "short", True),
    ],
)
def test_exposure(settings: Settings, host: str, token: str | None, is_refused: bool) -> None:
    assert bool(refuse_exposure(replace(settings, host=host, token=token))) is is_refused


def test_address_is_one_that_a_browser_opens(settings: Settings) -> None:
    assert address_of(settings) == "http://127.0.0.1:7870/"
    assert address_of(replace(settings, host="::1")) == "http://[::1]:7870/"
    assert "0.0.0.0" not in address_of(replace(settings, host="0.0.0.0"))
    assert not is_loopback("localhost.evil.example")


COUNTS_AND_WAITS = """
import pathlib, sys
with pathlib.Path(sys.argv[1]).open("a") as out:
    out.write("started\\n")
    out.flush()
    sys.stdin.read()
    out.write("wound down\\n")
"""
COUNTS_AND_DIES = """
import pathlib, sys
with pathlib.Path(sys.argv[1]).open("a") as out:
    out.write("started\\n")
sys.exit(1)
"""
IGNORES_EVERYTHING = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("started\\n")
time.sleep(600)
"""
OWNER_OF_A_WORKER = """
import sys, time
from app.worker_process import WorkerProcess
WorkerProcess([sys.executable, "-c", sys.argv[1], sys.argv[2]]).start()
time.sleep(600)
"""


def words(path: Path) -> list[str]:
    """The lines that workers wrote so far."""
    return path.read_text().splitlines() if path.exists() else []


def test_worker_winds_down_when_its_input_closes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker = WorkerProcess([sys.executable, "-c", COUNTS_AND_WAITS, str(out)])
    worker.start()
    wait_until(lambda: words(out) == ["started"])
    assert worker.pid is not None
    worker.stop()
    assert words(out) == ["started", "wound down"]
    assert worker.pid is None


def test_worker_is_started_again_with_growing_waits_until_stopped(tmp_path: Path) -> None:
    out = tmp_path / "out"
    worker = WorkerProcess([sys.executable, "-c", COUNTS_AND_DIES, str(out)], first_wait_s=0.05)
    began = time.monotonic()
    worker.start()
    wait_until(lambda: len(words(out)) == 4)
    assert time.monotonic() - began > 0.05 + 0.1 + 0.2
    worker.stop()
    count = len(words(out))
    assert worker.pid is None
    assert len(words(out)) == count


def test_stubborn_worker_is_ended_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker_process.KILL_S", 0.2)
    out = tmp_path / "out"
    worker = WorkerProcess([sys.executable, "-c", IGNORES_EVERYTHING, str(out)])
    worker.start()
    wait_until(lambda: words(out) == ["started"])
    worker.stop(wind_down_s=0.1)
    assert worker.pid is None


def test_worker_winds_down_when_its_server_is_killed(start: Callable[..., Started], tmp_path: Path) -> None:
    out = tmp_path / "out"
    server = start(OWNER_OF_A_WORKER, COUNTS_AND_WAITS, str(out))
    wait_until(lambda: words(out) == ["started"])
    server.process.kill()
    wait_until(lambda: words(out) == ["started", "wound down"])


def test_worker_command_names_the_data_folder(settings: Settings) -> None:
    assert worker_command(settings) == [sys.executable, "-m", "worker", "--data", str(settings.data)]

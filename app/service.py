"""Serve the studio on one data folder: one server, one worker, one address, and a clean end."""

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from filelock import FileLock, Timeout
from uvicorn.server import HANDLED_SIGNALS

from app.config import Settings
from app.errors import AppError
from app.main import create_app
from app.store.db import migrate
from app.worker_process import WorkerProcess, worker_command

log = logging.getLogger("lora_studio")

EXIT_REFUSED = 2
EXIT_SECOND_SERVER = 3
SHORTEST_TOKEN = 16
# Streams end at once by their stop event; this is for an upload that is still under way.
GRACE_S = 5


def serve(settings: Settings, opens_browser: bool) -> int:
    """Serve until told to end. Returns the exit code; what is in the way is said on standard error."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    reason = refuse_exposure(settings)
    if reason:
        return _give_up(reason, EXIT_REFUSED)
    settings.make_folders()
    lock = FileLock(settings.lock_path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return _give_up(second_server_text(settings), EXIT_SECOND_SERVER)
    try:
        return _serve_locked(settings, opens_browser)
    finally:
        settings.server_path.unlink(missing_ok=True)
        lock.release()


def refuse_exposure(settings: Settings) -> str:
    """Say why these settings would let others in, or return an empty string."""
    if settings.token is None:
        if is_loopback(settings.host):
            return ""
        return (
            f"Host {settings.host!r} is reachable from other machines, and no token is set: anybody "
            "could use this studio. Set a token (LORA_STUDIO_TOKEN), or leave the host at 127.0.0.1."
        )
    if len(settings.token) < SHORTEST_TOKEN:
        return f"The token is too short to be safe. Use at least {SHORTEST_TOKEN} characters."
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host name stays on this machine, as far as can be told without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def second_server_text(settings: Settings) -> str:
    """Name the server that already has this data folder, as far as it has said so."""
    try:
        other = json.loads(settings.server_path.read_text("utf-8"))
        who = f"process {other['pid']}, at {other['url']}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "it is just starting"
    return (
        f"Another LoRA Studio already serves {settings.data} ({who}). Use that one, end it first, or give "
        "this one a data folder of its own with --data."
    )


def _serve_locked(settings: Settings, opens_browser: bool) -> int:
    try:
        listener = open_listener(settings)
    except OSError as error:
        return _give_up(
            f"LoRA Studio cannot listen on {settings.host} port {settings.port}: {error.strerror or error}. "
            "Most likely another program uses that port: end it, or choose another with --port.",
            1,
        )
    settings = replace(settings, port=listener.getsockname()[1])
    try:
        # The app does this too when it starts, but there a refusal would drown in a stack of calls.
        migrate(settings)
    except AppError as error:
        return _give_up(f"{error.message} {error.hint}", 1)
    app = create_app(settings)
    server = StudioServer(app, settings, opens_browser)
    worker = WorkerProcess(worker_command(settings)) if settings.starts_worker else None
    write_server_file(settings)
    try:
        if worker is not None:
            worker.start()
        # uvicorn leaves this way when the store cannot be opened; it has logged the reason by then.
        with contextlib.suppress(SystemExit):
            server.run([listener])
    finally:
        if worker is not None:
            _end_worker(worker)
    return 0 if server.started else 1


def _end_worker(worker: WorkerProcess) -> None:
    log.info("Waiting for the GPU worker to save and end. Ctrl-C again leaves at once.")
    # The worker ends by itself all the same, since its input is closed.
    with contextlib.suppress(KeyboardInterrupt):
        worker.stop()


def open_listener(settings: Settings) -> socket.socket:
    """Take the address, once and without a race. Raises OSError when it is taken or not ours."""
    kind, *_, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(kind, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # Elsewhere this option would let two programs share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(settings: Settings) -> str:
    """Return the address to open in a browser."""
    host = settings.host
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname().lower()
    return f"http://[{host}]:{settings.port}/" if ":" in host else f"http://{host}:{settings.port}/"


def write_server_file(settings: Settings) -> None:
    """Leave word beside the lock of who holds it."""
    word = json.dumps({"pid": os.getpid(), "url": address_of(settings)})
    beside: Path = settings.server_path.with_suffix(".new")
    beside.write_text(word, "utf-8")
    beside.replace(settings.server_path)


def _give_up(reason: str, code: int) -> int:
    print(reason, file=sys.stderr)
    return code


class StudioServer(uvicorn.Server):
    """A uvicorn that says where it is, ends open streams at once, and returns after a signal."""

    def __init__(self, app: FastAPI, settings: Settings, opens_browser: bool) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
        )
        self._stopping: asyncio.Event = app.state.stopping
        self._url = address_of(settings)
        self._opens_browser = opens_browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and only then say so."""
        await super().startup(sockets)
        if not self.started:
            return
        print(f"LoRA Studio is at {self._url}", flush=True)
        if self._opens_browser:
            # Some desktops block here until the browser is closed.
            threading.Thread(target=webbrowser.open, args=(self._url,), daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let every stream end itself; uvicorn waits for open answers, and a stream never ends alone."""
        self._stopping.set()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals without raising them again at the end, since the worker is still to be ended."""
        before = {each: signal.signal(each, self.handle_exit) for each in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

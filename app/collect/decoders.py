"""The pool of decoding children: each file is read by a process that may die of it."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from app.collect.decode_child import Measured, Reply, Request
from app.collect.drawing import DrawWish
from app.collect.frames import FrameWish
from app.collect.leaving import LeaveWish, Left
from app.collect.masks import MaskWish
from app.collect.refusals import Refused
from app.config import ROOT, Settings
from app.errors import Unavailable

log = logging.getLogger("lora_studio")

TIME_LIMIT_S = 60.0
END_S = 2.0
LEAVE_OUT = "Leave it out, or open it in an image program and save it again as PNG."
SAID_NOTHING = ("The image decoder answered nothing.", "Start LoRA Studio again.")


class Stuck(Refused):
    """A file that took its decoder along: it crashed, or was ended after too long."""


class Decoder:
    """One child at a time; the next one starts when a file has killed the last."""

    def __init__(self, settings: Settings, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._settings = settings
        self._time_limit_s = time_limit_s
        self._process: subprocess.Popen[str] | None = None
        self.film: Path | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def measure(self, request: Request) -> Measured:
        """Have a file decoded and published. Raises as `ask` does."""
        reply = self.ask(request)
        if reply.measured is None:
            raise Unavailable(*SAID_NOTHING)
        return reply.measured

    def ask(self, request: Request) -> Reply:
        """Have the child do something. Raises Refused, also when a file crashed it or took too long.

        Raises Unavailable when the studio's own disk is full or no child can be started.
        """
        process = self._living()
        self.film = request.path if request.frame else self.film
        line = self._ask(process, json.dumps(request.model_dump(mode="json")) + "\n")
        if line is None:
            raise Stuck("F01", f"{request.name} took longer than {self._time_limit_s:.0f} s to decode.", LEAVE_OUT)
        if not line.endswith("\n"):
            process.kill()
            code = process.wait()
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            log.warning("a decoding child ended with %s", how)
            raise Stuck("F01", f"{request.name} crashed the image decoder ({how}).", LEAVE_OUT)
        return _read(line)

    def close(self) -> None:
        """End the child: its input closes, and force follows when that is not heeded."""
        process, self._process, self.film = self._process, None, None
        if process is None:
            return
        if process.stdin:
            try:
                process.stdin.close()
            except OSError:
                log.debug("a decoding child was gone already")
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def _ask(self, process: "subprocess.Popen[str]", line: str) -> str | None:
        """Send a line and return the answer; None when the time was up, half a line when the child died."""
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a decoding child was started without pipes")
        is_late = threading.Event()

        def kill() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(self._time_limit_s, kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        return None if is_late.is_set() and not answer.endswith("\n") else answer

    def _living(self) -> "subprocess.Popen[str]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        command = [sys.executable, "-m", "app.collect.decode_child", str(self._settings.data)]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise Unavailable(
                f"No image can be read: {error.strerror}.", "Close other programs, then try again."
            ) from error
        return self._process


def _read(line: str) -> Reply:
    if line.startswith('{"disk"'):
        raise Unavailable(f"Nothing can be stored: {json.loads(line)['disk']}.", "Make room, then try again.")
    try:
        reply = Reply.model_validate_json(line)
    except ValidationError as error:
        raise Unavailable("The image decoder answered nonsense.", "Start LoRA Studio again.") from error
    if reply.refused is not None:
        raise Refused(reply.refused.code, reply.refused.message, reply.refused.hint)
    return reply


class Decoders:
    """At most `size` children, shared by whoever needs one, and one kept for pages; they start when first needed."""

    def __init__(self, settings: Settings, size: int | None = None, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.size = size or max(2, min(4, os.cpu_count() or 1))
        self._idle = [Decoder(settings, time_limit_s) for _ in range(self.size)]
        # So that somebody who looks at a page waits for no more than what pages ask for.
        self._kept = [Decoder(settings, time_limit_s)]
        self._free = threading.Condition()
        self._closed = threading.Event()

    def measure(self, path: Path, name: str, *, as_mask: MaskWish | None = None, for_page: bool = False) -> Measured:
        """Have a file decoded by the next free child. Raises as Decoder.measure does."""
        request = Request.of(path, name, as_mask=as_mask)
        with self._lent(for_page=for_page) as decoder:
            return decoder.measure(request)

    def frame(self, path: Path, name: str, wish: FrameWish) -> Measured:
        """Have one frame of an animation composed and published under a name. Raises as Decoder.measure does.

        Frames that are asked for in order are composed once each, by the child that has the animation open.
        """
        with self._lent(path) as decoder:
            return decoder.measure(Request.of(path, name, frame=wish))

    def draw(self, path: Path, name: str, wish: DrawWish) -> bool:
        """Have a picture of an original drawn for the screen, if there is anything to see. Raises as `ask` does."""
        with self._lent(for_page=True) as decoder:
            return decoder.ask(Request.of(path, name, draw=wish)).is_seen

    def leave(self, wish: LeaveWish) -> Left:
        """Have an image written as it leaves in an export. Raises as `ask` does."""
        with self._lent() as decoder:
            left = decoder.ask(Request.of(wish.original, wish.name, leave=wish)).left
        if left is None:
            raise Unavailable(*SAID_NOTHING)
        return left

    @property
    def open_films(self) -> list[Path]:
        """The animations that idle children have open, one name for each child."""
        with self._free:
            return [decoder.film for decoder in self._idle if decoder.film is not None]

    def rest(self) -> None:
        """End the children that nobody uses; they start again when needed."""
        with self._free:
            for decoder in (*self._idle, *self._kept):
                decoder.close()

    def close(self) -> None:
        """End all children once they are free."""
        with self._free:
            self._closed.set()
            self._free.notify_all()
        self.rest()

    @contextmanager
    def _lent(self, film: Path | None = None, *, for_page: bool = False) -> Iterator[Decoder]:
        with self._free:
            self._free.wait_for(lambda: self._idle or (for_page and self._kept) or self._closed.is_set())
            if self._closed.is_set():
                raise Unavailable("LoRA Studio is closing.", "Start it again; the import goes on then.")
            shelf = self._kept if for_page and self._kept else self._idle
            decoder = min(reversed(shelf), key=lambda each: (each.film != film, each.film is not None))
            shelf.remove(decoder)
        try:
            yield decoder
        finally:
            with self._free:
                shelf.append(decoder)
                if self._closed.is_set():
                    decoder.close()
                # All: whoever woke up alone might be one who may not have this child.
                self._free.notify_all()

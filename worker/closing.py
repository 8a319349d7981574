"""Being told to end: by a signal, or by the end of an input that another process holds open."""

import os
import signal
import stat
import threading
from collections.abc import Callable
from types import FrameType

STDIN = 0


class Closing:
    """Turns true once this process was told to end; calling it is cheap."""

    def __init__(self) -> None:
        self._is_asked = False

    def __call__(self) -> bool:
        """Whether the process was told to end."""
        return self._is_asked

    def ask(self) -> None:
        """Tell it. A plain flag, since a signal handler may not wait for a lock that its own thread holds."""
        self._is_asked = True

    def listen(self) -> None:
        """Take the signals by which a person or the system ends a process."""
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if number := getattr(signal, name, None):
                signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.ask()


def has_held_input() -> bool:
    """Whether standard input is a pipe, which its writer holds open for as long as it lives."""
    try:
        mode = os.fstat(STDIN).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def watch_input(on_end: Callable[[], object]) -> None:
    """Call `on_end`, on another thread, when standard input ends; does nothing where it is no pipe."""
    if has_held_input():
        threading.Thread(target=_read_to_end, args=(on_end,), name="input", daemon=True).start()


def _read_to_end(on_end: Callable[[], object]) -> None:
    # Past sys.stdin on purpose: its lock, held here, would hang or crash the interpreter on its way out.
    while os.read(STDIN, 4096):
        pass
    on_end()

"""Make the studio's own .venv when it is missing or out of date, then run the command line inside it.

Standard library alone, and readable by old Pythons too, so that they can say what is wrong.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "lora-studio.json"
TAIL_LINES = 15
# For machines that come with everything installed, such as a container image.
SKIP_VARIABLE = "LORA_STUDIO_NO_VENV"

VERSION_TEXT = """\
LoRA Studio needs Python 3.11 or newer; this is Python {version} at {path}.
Install a newer one and start with it: python3.11 -m app"""

VENV_TEXT = """\
LoRA Studio keeps its packages in a folder of its own, and this Python cannot make one: {what} is missing.
On Debian or Ubuntu: sudo apt install python3-venv. Then run the same command again."""

PIP_TEXT = """\
Installing the packages failed (exit code {code}). The last lines said:
{tail}
{hint}
Then run the same command again: it goes on where it stopped."""

HINTS = (
    (("no space left", "disk quota"), "The disk is full: PyTorch and the rest need about 8 GB under {root}."),
    (
        ("connection", "timed out", "name resolution", "network is unreachable", "retries exceeded"),
        "The package index was not reached: check the network connection, or the proxy settings.",
    ),
    (
        ("no matching distribution", "requires a different python"),
        "The package index has no build for this Python ({version}): try Python 3.11, 3.12 or 3.13.",
    ),
)
OTHER_HINT = "Check the network connection and the free disk space (about 8 GB)."


class BootstrapError(Exception):
    """Says what stands in the way, why, and the way out."""


def main(argv: list[str]) -> int:
    """Run one command line, in .venv; on first use that is made first."""
    argv = argv or ["serve"]
    if sys.version_info < (3, 11):  # noqa: UP036 - the point is to tell those who have an older one
        return _fail(VERSION_TEXT.format(version=".".join(map(str, sys.version_info[:3])), path=sys.executable))
    if os.environ.get(SKIP_VARIABLE):
        return _run(argv)
    extras = {"test"} if argv[0] == "test" else set()
    try:
        if not is_ready(extras):
            install(extras)
    except BootstrapError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("Stopped. Run the same command again to go on.", 130)
    return _run(argv) if is_inside() else _run_inside(argv)


def is_inside() -> bool:
    """Whether this interpreter is the one of .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def is_ready(extras: set[str]) -> bool:
    """Whether .venv holds what pyproject.toml asks for now, with these extras."""
    stamp = read_stamp()
    return python_path().exists() and stamp.get("wanted") == wanted() and extras <= set(stamp.get("extras", ()))


def wanted() -> str:
    """A fingerprint of what is to be installed."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def read_stamp() -> dict[str, Any]:
    """Return what the last finished install wrote, or nothing."""
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def python_path() -> Path:
    """Where the interpreter of .venv is."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(extras: set[str]) -> None:
    """Bring .venv up to date, and stamp it only when all is in. Raises BootstrapError."""
    extras = extras | set(read_stamp().get("extras", ()))
    STAMP.unlink(missing_ok=True)
    if not has_pip():
        make_venv()
    _say("Installing the packages: some minutes and some gigabytes the first time.")
    install_packages(extras)
    STAMP.write_text(json.dumps({"wanted": wanted(), "extras": sorted(extras)}), "utf-8")
    _say("All installed.")


def has_pip() -> bool:
    """Whether an earlier, perhaps interrupted, start left a .venv that works."""
    if not python_path().exists():
        return False
    return _call([str(python_path()), "-m", "pip", "--version"])[0] == 0


def make_venv() -> None:
    """Make .venv anew. Raises BootstrapError where this Python lacks the means."""
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            raise BootstrapError(VENV_TEXT.format(what=module))
    _say(f"Making {VENV} with Python {sys.version_info[0]}.{sys.version_info[1]}.")
    code, lines = _call([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if code != 0:
        raise BootstrapError(f"Making {VENV} failed (exit code {code}):\n" + "\n".join(lines[-TAIL_LINES:]))


def install_packages(extras: set[str]) -> None:
    """Let pip install the checkout and what it needs. Raises BootstrapError with pip's last words."""
    target = str(ROOT) + (f"[{','.join(sorted(extras))}]" if extras else "")
    pip = [str(python_path()), "-m", "pip", "install", "--progress-bar", "off", "--disable-pip-version-check"]
    code, lines = _call([*pip, "-e", target], shows=True)
    if code != 0:
        tail = "\n".join("  " + line for line in lines[-TAIL_LINES:])
        raise BootstrapError(PIP_TEXT.format(code=code, tail=tail, hint=pip_hint("\n".join(lines))))


def pip_hint(output: str) -> str:
    """Guess from pip's words what the way out is."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for words, hint in HINTS:
        if any(word in output.lower() for word in words):
            return hint.format(root=ROOT, version=version)
    return OTHER_HINT


def _call(command: list[str], shows: bool = False) -> tuple[int, list[str]]:
    # Imported here since a start that has nothing to install should not wait for it.
    import subprocess

    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if shows and line.lstrip().startswith(("Collecting", "Downloading", "Installing", "Building")):
                _say("  " + line.strip().partition(" (from ")[0])
    return process.returncode, lines


def _run_inside(argv: list[str]) -> int:
    command = [str(python_path()), "-m", "app", *argv]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    import signal
    import subprocess

    # Ctrl-C is for the studio; this process only waits for it and passes its exit code on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call(command)


def _run(argv: list[str]) -> int:
    if argv[0] == "test":
        from app import checks

        return checks.main(argv[1:])
    from app import cli

    return cli.main(argv)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str, code: int = 1) -> int:
    _say(text)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which workers live: each holds a lock file for as long as it does, and the system frees it by kill -9 too."""

from pathlib import Path

from filelock import FileLock, Timeout


def worker_lock(data: Path, worker: str) -> FileLock:
    """The lock of a worker, not yet taken; makes its folder."""
    folder = data / "workers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileLock(folder / f"{worker}.lock")


def live_workers(data: Path) -> set[str]:
    """The names of the workers that hold their lock right now."""
    return {path.stem for path in sorted((data / "workers").glob("*.lock")) if _is_held(path)}


def _is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except FileNotFoundError:
        return False

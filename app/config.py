"""Where the studio keeps its things and on which address it answers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 7870
DEFAULT_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Settings:
    """Everything a person can set from outside; the rest is derived from it."""

    data: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str | None = None
    starts_worker: bool = True

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Read LORA_STUDIO_DATA, _HOST, _PORT and _TOKEN. Raises ValueError for a port that is no port."""
        data = env.get("LORA_STUDIO_DATA") or str(Path.home() / "lora-studio")
        return cls(
            data=Path(data).expanduser().absolute(),
            host=env.get("LORA_STUDIO_HOST") or DEFAULT_HOST,
            port=read_port(env.get("LORA_STUDIO_PORT") or str(DEFAULT_PORT)),
            token=env.get("LORA_STUDIO_TOKEN") or None,
        )

    @property
    def store_path(self) -> Path:
        """The SQLite file."""
        return self.data / "store.db"

    @property
    def blobs(self) -> Path:
        """Originals, named by their sha256."""
        return self.data / "blobs"

    def blob(self, sha256: str, extension: str) -> Path:
        """Where the bytes of an original or a mask are."""
        return self.blobs / sha256[:2] / f"{sha256}.{extension}"

    @property
    def thumbs(self) -> Path:
        """Re-encoded small pictures; may be deleted."""
        return self.data / "thumbs"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.data / "runs"

    @property
    def backups(self) -> Path:
        """Copies of the store."""
        return self.data / "backups"

    @property
    def models(self) -> Path:
        """Base models that a person put here."""
        return self.data / "models"

    @property
    def lock_path(self) -> Path:
        """Held by the one server of this data folder for as long as it lives."""
        return self.data / ".lock"

    @property
    def server_path(self) -> Path:
        """Says which process holds the lock, and its address."""
        return self.data / ".server.json"

    def make_folders(self) -> None:
        """Make the data folder and its parts, readable by their owner alone."""
        for folder in (self.data, self.blobs, self.thumbs, self.runs, self.backups, self.models):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def read_port(text: str) -> int:
    """Turn text into a port number. Raises ValueError with the reason and the way out."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError(f"{text!r} is not a port. Give a number from 0 to 65535, such as {DEFAULT_PORT}.")
    return int(text)

"""Another try of refused files: remembered beside the import, so that it goes on after a restart as an import does."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.contract.rundir import publish
from app.store.models import ImportStatus

NAME = "retry.json"


class Retry(BaseModel):
    """The files to try, by their names in the report, and how the import stood before."""

    model_config = ConfigDict(frozen=True)

    names: tuple[str, ...]
    status: ImportStatus


def remember(folder: Path, retry: Retry) -> None:
    """Write down beside an import what is tried again. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    publish(folder / NAME, retry.model_dump_json().encode())


def remembered(folder: Path) -> Retry | None:
    """What is being tried again, if anything."""
    try:
        return Retry.model_validate_json((folder / NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def forget(folder: Path) -> None:
    """The try is over."""
    (folder / NAME).unlink(missing_ok=True)

"""The user's tag lists for completion: files in the data folder or named by their path, and words to hide."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from app.collect.files import shown_name
from app.config import Settings
from app.contract.rundir import publish
from app.errors import Invalid
from app.label.completion import parse_vocabulary
from app.store import settings as choices

HIDDEN_KEY = "hidden-tags"
PATHS_KEY = "vocabulary-paths"
EXTENSIONS = (".csv", ".txt")
MAX_LIST_BYTES = 60_000_000


@dataclass(frozen=True)
class TagList:
    """One list; `size_bytes` is None where it cannot be found."""

    name: str
    size_bytes: int | None


def files(session: Session, settings: Settings) -> list[Path]:
    """The user's tag lists: those in the data folder, and those named by their path."""
    folder = settings.data / "vocabularies"
    own = sorted(path for path in folder.glob("*") if path.suffix.casefold() in EXTENSIONS) if folder.is_dir() else []
    return [*own, *(Path(line).expanduser() for line in paths(session))]


def listed(session: Session, settings: Settings) -> list[TagList]:
    """The lists as a page shows them."""
    return [TagList(path.name, path.stat().st_size if path.is_file() else None) for path in files(session, settings)]


def paths(session: Session) -> list[str]:
    """The lists that are read where they are."""
    return [line.strip() for line in choices.get(session, PATHS_KEY, "").splitlines() if line.strip()]


def hidden(session: Session) -> frozenset[str]:
    """The words whose tags are never offered."""
    return frozenset(choices.get(session, HIDDEN_KEY, "").casefold().split())


def choose(session: Session, paths_text: str, hidden_text: str) -> None:
    """Remember which lists are read where they are, and which words are hidden. Raises Invalid for a missing file."""
    lines = [line.strip() for line in paths_text.splitlines() if line.strip()]
    for line in lines:
        if not _is_list(line):
            raise Invalid(f"There is no file {line[:200]}.", "Give the whole path of a tag list, one a line.", "paths")
    choices.put(session, PATHS_KEY, "\n".join(lines))
    choices.put(session, HIDDEN_KEY, " ".join(sorted(set(hidden_text.casefold().replace(",", " ").split()))))


def _is_list(line: str) -> bool:
    try:
        return Path(line).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        # Too long for a name, in the home of nobody, or with a letter that no name has.
        return False


def keep(settings: Settings, name: str, data: bytes) -> str:
    """Keep a list that was sent and return its name. Raises Invalid for what holds no tags."""
    bare = shown_name(name)
    if Path(bare).suffix.casefold() not in EXTENSIONS:
        raise Invalid(f"{bare or 'This'} is no .csv or .txt file.", "Choose a tag list.", "file")
    if len(data) > MAX_LIST_BYTES or not next(parse_vocabulary(data.decode("utf-8-sig", "replace")), None):
        raise Invalid(f"{bare} holds no tags.", "A tag list has one tag a line: name,category,count,aliases.", "file")
    folder = settings.data / "vocabularies"
    folder.mkdir(mode=0o700, exist_ok=True)
    publish(folder / bare, data)
    return bare

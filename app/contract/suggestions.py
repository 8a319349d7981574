"""What a tag run writes down: for each image what its model would say, one JSON a line, and how tags are compared."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.contract.recipe import Crop
from app.contract.rundir import RunDir

AnswerKind = Literal["tag", "caption"]
DOUBT = "doubt"
"""Category of a tag that stands in the caption although the model, which knows it, does not see it."""

CAPTIONERS = ("blip", "florence2", "llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Values of model_type in config.json that can caption here; each is loaded by code that transformers brings."""

WD_FILES = ("model.onnx", "selected_tags.csv")
"""What makes a folder a WD-style tagger."""

LETTERS_IN_A_ROW = re.compile(r"[^\W_]{2}")


class Answer(BaseModel):
    """One thing that a model says of an image; `confidence` is from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: AnswerKind
    text: str
    category: str = ""
    confidence: float = Field(ge=0, le=1)


class Subject(BaseModel):
    """Where a model sees the subject of an image, over the upright picture as it came.

    `mask_sha256` names a greyscale PNG, white where the subject is; `box` is around it in the picture's pixels; `share`
    is how much of the picture it takes, from 0 to 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mask_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    box: Crop
    share: float = Field(ge=0, le=1)


class Looked(BaseModel):
    """One image that a model has looked at; `note` says why it has nothing to say, where that needs saying.

    `subject` is what a mask run finds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    name: str
    answers: tuple[Answer, ...] = ()
    note: str = ""
    subject: Subject | None = None

    @property
    def said(self) -> int:
        """How many things the model said."""
        return len(self.answers) + (self.subject is not None)


def spoken(name: str) -> str:
    """Return a tag of a model's list as people write it: spaces for underscores, faces such as >_< as they are."""
    return name.replace("_", " ") if LETTERS_IN_A_ROW.search(name) else name


@lru_cache(maxsize=100_000)
def tag_key(text: str) -> str:
    """Return what equal tags have in common, whatever their case, underscores, spaces and escapes."""
    return " ".join(re.sub(r"\\([(),\\])", r"\1", text).replace("_", " ").split()).casefold()


def book_path(run_dir: RunDir) -> Path:
    """The file of a tag run's answers."""
    return run_dir.path / "suggestions.jsonl"


def mask_path(run_dir: RunDir, sha256: str) -> Path:
    """The file of a mask that a run has made and the studio has not taken in yet."""
    return run_dir.path / "masks" / f"{sha256}.png"


class Book:
    """Appends what a model says; what an earlier attempt wrote stays, but for a torn last line."""

    def __init__(self, path: Path) -> None:
        """Open the book and learn which images stand in it."""
        self._path = path
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        lines = read_lines(data[:whole])
        self.seen = {line.sha256 for line in lines}
        self.answers = sum(line.said for line in lines)

    def write(self, lines: Sequence[Looked]) -> None:
        """Append the lines; they are on the disk when this returns."""
        with self._path.open("ab") as file:
            file.write("".join(line.model_dump_json() + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
        self.seen |= {line.sha256 for line in lines}
        self.answers += sum(line.said for line in lines)


def read_book(run_dir: RunDir) -> list[Looked]:
    """Read the whole lines of a run's book; none before the first. Damaged lines are passed over."""
    try:
        data = book_path(run_dir).read_bytes()
    except FileNotFoundError:
        return []
    return read_lines(data[: data.rfind(b"\n") + 1])


def read_lines(data: bytes) -> list[Looked]:
    """Parse lines, leaving out the damaged ones."""
    found = []
    for line in data.split(b"\n"):
        try:
            found.append(Looked.model_validate_json(line))
        except ValidationError:
            continue
    return found

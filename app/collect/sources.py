"""Where an import takes its files from: remembered as JSON, so that it can go on after a restart."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.collect.files import shown_name


class PathSource(BaseModel):
    """Files and folders on this computer; the paths in hex, since they may be no text.

    `name` is what to call those that a browser sent, whose copy is deleted once all is done. `read_as` and `notes`
    are what the report says of the whole, once it has been read.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["paths"] = "paths"
    paths_hex: tuple[str, ...]
    name: str = ""
    read_as: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, paths: list[Path], name: str = "") -> "PathSource":
        """Name files and folders."""
        return cls(paths_hex=tuple(os.fsencode(path).hex() for path in paths), name=name)

    @property
    def paths(self) -> list[Path]:
        """The files and folders."""
        return [Path(os.fsdecode(bytes.fromhex(text))) for text in self.paths_hex]

    @property
    def label(self) -> str:
        """What a person calls it."""
        if self.name:
            return self.name
        shown = [os.fsencode(path).decode("utf-8", "replace") for path in self.paths]
        return shown[0] if len(shown) == 1 else f"{len(shown)} files and folders"


class ZipSource(BaseModel):
    """A zip archive: one on this computer, or the upload that is kept beside the import; told of as a path is."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["zip"] = "zip"
    name: str
    path_hex: str
    is_upload: bool = False
    read_as: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, name: str = "", *, is_upload: bool = False) -> "ZipSource":
        """Name an archive."""
        return cls(name=name or shown_name(path.name), path_hex=os.fsencode(path).hex(), is_upload=is_upload)

    @property
    def path(self) -> Path:
        """The archive."""
        return Path(os.fsdecode(bytes.fromhex(self.path_hex)))

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.name


def source_of(paths: list[Path]) -> PathSource | ZipSource:
    """The source that paths name: one zip archive is read as what it holds."""
    if len(paths) == 1 and paths[0].suffix.lower() == ".zip" and paths[0].is_file():
        return ZipSource.of(paths[0])
    return PathSource.of(paths)


class UrlSource(BaseModel):
    """Addresses on the web."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["urls"] = "urls"
    urls: tuple[str, ...]

    @property
    def label(self) -> str:
        """What a person calls it."""
        return "1 address" if len(self.urls) == 1 else f"{len(self.urls)} addresses"


class ProjectSource(BaseModel):
    """The images of another project."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["project"] = "project"
    project_id: int
    name: str

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"project {self.name}"


class Clip(BaseModel):
    """An animation whose frames come in: the image, its original, and what the frames' names begin with."""

    model_config = ConfigDict(frozen=True)

    image_id: int
    name: str
    sha256: str
    extension: str
    frames: int
    stem: str


class FramesSource(BaseModel):
    """Frames of the project's own animations: of each every n-th from the first on, `most` are looked at."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["frames"] = "frames"
    clips: tuple[Clip, ...]
    every: int = 1
    most: int = 100
    skips_alike: bool = True
    takes_caption: bool = False

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"frames of {self.clips[0].name}" if len(self.clips) == 1 else f"frames of {len(self.clips)} animations"


class MeasureSource(BaseModel):
    """The project's own images that came in before everything was measured that is today."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["measure"] = "measure"
    project_id: int

    @property
    def label(self) -> str:
        """What a person calls it."""
        return "originals to measure anew"


class DropSource(BaseModel):
    """Files that a browser sent one by one; `batch` is its word for all of one drop."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["drop"] = "drop"
    batch: str

    @property
    def label(self) -> str:
        """What a person calls it."""
        return "files dropped on the page"


Source = PathSource | ZipSource | UrlSource | ProjectSource | FramesSource | MeasureSource | DropSource
_ADAPTER: TypeAdapter[Source] = TypeAdapter(Annotated[Source, Field(discriminator="kind")])


def read_source(text: str) -> Source:
    """Parse what an import remembers. Raises pydantic.ValidationError."""
    return _ADAPTER.validate_json(text)


def label_of(text: str) -> str:
    """Where an import came from, in words."""
    try:
        return read_source(text).label
    except ValueError:
        return "files"


def told_of(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an import of a dataset was read as, and what is left out of it, in lines."""
    try:
        source = read_source(text)
    except ValueError:
        return (), ()
    return (source.read_as, source.notes) if isinstance(source, PathSource | ZipSource) else ((), ())


def is_kept(text: str) -> bool:
    """Whether the files of an import may still be there once it is done, so that they can be tried again."""
    try:
        source = read_source(text)
    except ValueError:
        return False
    return not isinstance(source, DropSource) and not (isinstance(source, PathSource) and source.name)

"""The child process that decodes pictures: `python -m app.collect.decode_child DATA`, a JSON line in, a JSON line out.

What a hostile picture can do happens here: it may crash, hang or eat memory, and the studio goes on without it.
"""

import hashlib
import json
import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict

from app.collect import blobs
from app.collect.facts import PictureFacts
from app.collect.files import read_file
from app.collect.pictures import MAX_BYTES, Note, Picture, read_picture
from app.collect.refusals import Code, Refused
from app.config import Settings
from app.contract.pixels import UNREADABLE
from app.errors import Invalid

MEMORY_BYTES = 4 * 1024**3
NICENESS = 5


class Request(BaseModel):
    """Measure a file and publish it under its hash; `as_mask` keeps its grey values alone, as PNG of that size.

    The path goes in hex, as the bytes that the disk knows: it may be no text at all.
    """

    model_config = ConfigDict(frozen=True)

    path_hex: str
    name: str
    as_mask: tuple[int, int] | None = None

    @classmethod
    def of(cls, path: Path, name: str, *, as_mask: tuple[int, int] | None = None) -> "Request":
        """Ask for a file."""
        return cls(path_hex=os.fsencode(path).hex(), name=name, as_mask=as_mask)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(os.fsdecode(bytes.fromhex(self.path_hex)))


class Measured(BaseModel):
    """A picture that is now among the blobs, and what the one decode of it found."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    phash: str = ""
    phash_mirrored: str = ""
    facts: PictureFacts
    notes: tuple[Note, ...] = ()


class Refusal(BaseModel):
    """Why a file was not taken in."""

    model_config = ConfigDict(frozen=True)

    code: Code
    message: str
    hint: str


class Reply(BaseModel):
    """One of the two."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["measured", "refused"]
    measured: Measured | None = None
    refused: Refusal | None = None


def measured_of(picture: Picture) -> Measured:
    """What is told of a picture, without its pixels."""
    return Measured(
        sha256=picture.sha256,
        extension=picture.extension,
        size_bytes=picture.size_bytes,
        width_px=picture.width_px,
        height_px=picture.height_px,
        phash=picture.phash,
        phash_mirrored=picture.phash_mirrored,
        facts=picture.facts,
        notes=picture.notes,
    )


def ingest(settings: Settings, request: Request) -> Measured:
    """Read, decode and publish one file, to be settled by the caller.

    Raises Refused, and OSError when the store's disk fails.
    """
    path, name = request.path, request.name
    try:
        data = read_file(path, MAX_BYTES)
    except Refused:
        raise
    except Invalid as refusal:
        raise Refused("F01", refusal.message, refusal.hint) from refusal
    except OSError as error:
        reason = error.strerror or "the disk does not answer"
        raise Refused("F01", f"{name} cannot be read: {reason}.", "Check that it is still there.") from error
    if request.as_mask:
        return _mask(settings, name, data, request.as_mask)
    picture = read_picture(data, name)
    blobs.put(settings, picture, data, settles_later=True)
    return measured_of(picture)


def _mask(settings: Settings, name: str, data: bytes, size: tuple[int, int]) -> Measured:
    """Publish a mask as an 8-bit grey PNG; its red channel counts, as elsewhere."""
    read_picture(data, name)
    try:
        with Image.open(BytesIO(data)) as opened:
            grey = opened.convert("L") if opened.mode in ("1", "L") else opened.convert("RGB").getchannel("R")
    except UNREADABLE as error:
        raise Refused("F01", f"{name} cannot be read as a mask.", "Save it as a grey PNG.") from error
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    buffer = BytesIO()
    grey.save(buffer, "PNG")
    encoded = buffer.getvalue()
    sha256 = hashlib.sha256(encoded).hexdigest()
    blobs.put_bytes(settings, sha256, "png", encoded)
    facts = PictureFacts(container="PNG", mode="L")
    return Measured(
        sha256=sha256, extension="png", size_bytes=len(encoded), width_px=size[0], height_px=size[1], facts=facts
    )


def answer(settings: Settings, line: str) -> Reply:
    """Do what a line asks for."""
    request = Request.model_validate(json.loads(line))
    try:
        return Reply(kind="measured", measured=ingest(settings, request))
    except Refused as refusal:
        told = Refusal(code=refusal.code, message=refusal.message, hint=refusal.hint)
        return Reply(kind="refused", refused=told)


def main(data: Path) -> int:
    """Answer line by line until standard input ends, as it does when the studio goes away."""
    _bound()
    settings = Settings(data=data)
    for line in sys.stdin:
        try:
            reply = answer(settings, line)
        except OSError as error:
            # The store's own disk is full or gone: no fault of this file, and the import stops on it.
            print(json.dumps({"disk": error.strerror or "the disk does not answer"}), flush=True)
            continue
        print(reply.model_dump_json(exclude_defaults=True), flush=True)
    return 0


def _bound() -> None:
    """Take no more memory than a picture may need, write for the owner alone, and let pages go first."""
    os.umask(0o077)
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  (there is none on Windows)

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.nice(NICENESS)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

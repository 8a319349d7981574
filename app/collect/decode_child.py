"""The child process that decodes pictures: `python -m app.collect.decode_child DATA`, a JSON line in, a JSON line out.

What a hostile picture can do happens here: it may crash, hang or eat memory, and the studio goes on without it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.collect import blobs
from app.collect.drawing import DrawWish, draw
from app.collect.facts import PictureFacts
from app.collect.files import read_file
from app.collect.frames import FrameWish, Reel
from app.collect.leaving import LeaveWish, Left, leave
from app.collect.masks import Mask, MaskWish, take_mask
from app.collect.pictures import MAX_BYTES, Note, Picture, read_picture
from app.collect.refusals import Code, Refused
from app.config import Settings
from app.errors import Invalid

MEMORY_BYTES = 4 * 1024**3
NICENESS = 5


class Request(BaseModel):
    """Measure a file and publish it under its hash; `as_mask` keeps it as the mask of another picture.

    With `frame` one frame of the animation at the path is measured and published, as PNG. With `draw` a picture of it
    for the screen is drawn, with `leave` it is written as it leaves in an export, and nothing else.
    The path goes in hex, as the bytes that the disk knows: it may be no text at all.
    """

    model_config = ConfigDict(frozen=True)

    path_hex: str
    name: str
    as_mask: MaskWish | None = None
    frame: FrameWish | None = None
    draw: DrawWish | None = None
    leave: LeaveWish | None = None

    @classmethod
    def of(
        cls,
        path: Path,
        name: str,
        *,
        as_mask: MaskWish | None = None,
        frame: FrameWish | None = None,
        draw: DrawWish | None = None,
        leave: LeaveWish | None = None,
    ) -> "Request":
        """Ask for a file, for a frame of one, or for a picture of it for the screen or for an export."""
        return cls(path_hex=os.fsencode(path).hex(), name=name, as_mask=as_mask, frame=frame, draw=draw, leave=leave)

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
    """One of the four; `is_seen` says whether there was anything to draw."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["measured", "drawn", "left", "refused"]
    measured: Measured | None = None
    is_seen: bool = False
    left: Left | None = None
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


def ingest(settings: Settings, request: Request, reel: Reel) -> Measured:
    """Read, decode and publish one file or frame, to be settled by the caller.

    Raises Refused, and OSError when the store's disk fails.
    """
    path, name = request.path, request.name
    data = reel.png(path, request.frame) if request.frame else _read(path, name)
    if request.as_mask:
        return _as_measured(take_mask(settings, name, data, request.as_mask))
    picture = read_picture(data, name)
    blobs.put(settings, picture, data, settles_later=True)
    return measured_of(picture)


def _read(path: Path, name: str) -> bytes:
    try:
        return read_file(path, MAX_BYTES)
    except Refused:
        raise
    except Invalid as refusal:
        raise Refused("F01", refusal.message, refusal.hint) from refusal
    except OSError as error:
        reason = error.strerror or "the disk does not answer"
        raise Refused("F01", f"{name} cannot be read: {reason}.", "Check that it is still there.") from error


def _as_measured(mask: Mask) -> Measured:
    facts = PictureFacts(container="PNG", mode="L", brightness=mask.learned)
    return Measured(
        sha256=mask.sha256,
        extension="png",
        size_bytes=mask.size_bytes,
        width_px=mask.width_px,
        height_px=mask.height_px,
        facts=facts,
    )


def answer(settings: Settings, line: str, reel: Reel) -> Reply:
    """Do what a line asks for."""
    request = Request.model_validate(json.loads(line))
    try:
        if request.draw:
            return Reply(kind="drawn", is_seen=draw(settings, request.name, request.draw))
        if request.leave:
            return Reply(kind="left", left=leave(request.leave))
        return Reply(kind="measured", measured=ingest(settings, request, reel))
    except Refused as refusal:
        told = Refusal(code=refusal.code, message=refusal.message, hint=refusal.hint)
        return Reply(kind="refused", refused=told)


def main(data: Path) -> int:
    """Answer line by line until standard input ends, as it does when the studio goes away."""
    _bound()
    settings, reel = Settings(data=data), Reel()
    for line in sys.stdin:
        try:
            reply = answer(settings, line, reel)
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

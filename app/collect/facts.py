"""What the one decode of a picture found: format, colour, transparency, sharpness, light."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from app.collect.bars import Shares

UPRIGHT = 1


class PictureFacts(BaseModel):
    """Facts of one original, stored as JSON beside its hash.

    `container` and `mode` are Pillow's words; `bits` are those of one channel; `orientation` is the EXIF value, 1 for
    upright; `profile` names a colour profile other than sRGB. `sharpness` is the variance of the Laplacian (0 to
    65,025) over the sharpest third of the tiles at 512 px; `brightness` is the mean from 0 to 1; `dark_share`,
    `light_share` and `flatness` are shares of the pixels: nearly black, nearly white, equal to their neighbours.
    `bars` are the shares of width or height that even bars take at the left, top, right and bottom, None for pictures
    that came in before they were measured. `blocking` is how
    much more neighbouring pixels of a JPEG differ across its 8-pixel blocks than anywhere, 0 where it is not measured.
    `prompt` is the positive prompt that a generator left in the file. `unreadable` says why the original could not be
    read when it was last looked at, `unread_stamp` which state of its file that was; the rest was measured before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    container: str = ""
    mode: str = ""
    bits: int = 8
    frames: int = 1
    orientation: int = UPRIGHT
    has_alpha: bool = False
    uses_alpha: bool = False
    profile: str = ""
    sharpness: float = 0.0
    brightness: float = 0.0
    dark_share: float = 0.0
    light_share: float = 0.0
    flatness: float = 0.0
    bars: Shares | None = None
    blocking: float = 0.0
    prompt: str = ""
    unreadable: str = ""
    unread_stamp: str = ""

    @property
    def is_cmyk(self) -> bool:
        """Whether its colours are inks."""
        return self.mode == "CMYK"

    def to_json(self) -> str:
        """Only what differs from a plain picture."""
        return self.model_dump_json(exclude_defaults=True)


def is_unreadable(facts: str | None) -> bool:
    """Whether an original could not be read when it was last looked at; `facts` is JSON of PictureFacts."""
    return facts is not None and '"unreadable":' in facts


def stamp_of(path: Path) -> str:
    """Which state a file is in: another word as soon as it is written anew, empty while it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def conversions(facts: PictureFacts) -> list[str]:
    """What is done to the picture's colours when it is read, in words."""
    said = []
    if facts.is_cmyk:
        said.append("CMYK inks become sRGB")
    if facts.bits > 8:
        said.append(f"{facts.bits} bits a channel become 8")
    if facts.profile:
        said.append(f"the colour profile {facts.profile} becomes sRGB")
    if facts.frames > 1:
        said.append(f"the first of {facts.frames} frames is used")
    return said

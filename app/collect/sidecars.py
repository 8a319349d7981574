"""Caption files beside pictures: which belongs to which, and what their bytes say."""

from pathlib import Path, PurePath

from app.collect.pictures import PICTURE_SUFFIXES
from app.errors import Invalid

CAPTION_SUFFIX = ".txt"
MAX_CAPTION_BYTES = 100_000
BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def is_picture(name: str) -> bool:
    """True when the name ends like a picture we take in."""
    return PurePath(name).suffix.lower() in PICTURE_SUFFIXES


def is_caption(name: str) -> bool:
    """True when the name ends like a caption file."""
    return PurePath(name).suffix.lower() == CAPTION_SUFFIX


def stem(name: str) -> str:
    """The part of a name that a picture and its caption share, whatever its case."""
    return PurePath(name).stem.casefold()


def read_caption(data: bytes, name: str) -> str:
    """Decode a caption: by its byte order mark, as UTF-8, or else as Windows-1252.

    Raises Invalid when it is far too long or holds NUL bytes, which no text does.
    """
    if len(data) > MAX_CAPTION_BYTES:
        raise Invalid(f"{name} is {len(data):,} bytes long, which is no caption.", "Check that it is the right file.")
    encoding = next((codec for mark, codec in BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise Invalid(f"{name} is not a text file.", "Save the caption as plain text in UTF-8.")
    return text


def caption_beside(picture: Path) -> Path | None:
    """Return the caption file of a picture in a folder, if there is one."""
    exact = picture.with_suffix(CAPTION_SUFFIX)
    if exact.is_file():
        return exact
    upper = picture.with_suffix(CAPTION_SUFFIX.upper())
    return upper if upper.is_file() else None

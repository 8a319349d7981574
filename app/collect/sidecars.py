"""Caption files: which belongs to which picture, and what their bytes say."""

import unicodedata
from dataclasses import dataclass
from pathlib import PurePath

from app.collect.formats import is_picture
from app.collect.refusals import Refused

__all__ = ["MAX_CAPTION_BYTES", "Words", "is_caption", "is_picture", "read_words", "sidecar_names", "stem"]

CAPTION_SUFFIXES = (".txt", ".caption")
DEFAULT_CAPTION = "default.txt"
MAX_CAPTION_BYTES = 100_000
BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
GUESSES = ("cp932", "gb18030")
ENCODING_LABELS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 without a byte order mark",
    "utf-16-be": "UTF-16 without a byte order mark",
    "cp932": "Japanese (cp932)",
    "gb18030": "Chinese (gb18030)",
    "cp1252": "Western (Windows-1252)",
    "latin-1": "Western (Latin-1)",
}


@dataclass(frozen=True)
class Words:
    """A caption as it came: its text, its bytes, how they were read and from which file.

    `raw` is None where the words were part of a larger file, such as a JSON list.
    """

    text: str
    raw: bytes | None = None
    encoding: str | None = None
    came_from: str = ""

    @property
    def is_guess(self) -> bool:
        """Whether the encoding was guessed, since nothing in the bytes told it."""
        return self.encoding not in (None, "utf-8", "utf-8-sig", "utf-16")


def is_caption(name: str) -> bool:
    """True when the name ends like a caption file."""
    return PurePath(name).suffix.lower() in CAPTION_SUFFIXES


def folded(name: str) -> str:
    """A name by which files are matched when no exact one is there: composed, and without case."""
    return unicodedata.normalize("NFC", name).casefold()


def stem(name: str) -> str:
    """The part of a name that a picture and its caption share, whatever its case."""
    return folded(PurePath(name).stem)


def sidecar_names(picture_name: str) -> list[str]:
    """The caption files that may belong to a picture, the closest first."""
    bare = PurePath(picture_name).stem
    return [f"{picture_name}.txt", f"{bare}.txt", f"{picture_name}.caption", f"{bare}.caption"]


def belongs(caption_name: str, picture_name: str) -> bool:
    """Whether a caption file is a picture's by its name, whatever the case."""
    return folded(caption_name) in map(folded, sidecar_names(picture_name))


def read_words(data: bytes, name: str) -> Words:
    """Decode a caption file. Raises Refused when it is far too long or no text."""
    if len(data) > MAX_CAPTION_BYTES:
        raise Refused(
            "F10", f"{name} is {len(data):,} bytes long, which is no caption.", "Check that it is the right file."
        )
    encoding = encoding_of(data)
    if encoding is None:
        raise Refused("F10", f"{name} is not a text file.", "Save the caption as plain text in UTF-8.")
    return Words(data.decode(encoding), data, encoding, name)


def encoding_of(data: bytes) -> str | None:
    """Tell how the bytes of a text are to be read; None when they are no text.

    In this order: a byte order mark, UTF-8, UTF-16 by the place of its NUL bytes, then the likelier of Japanese,
    Chinese and Western text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding if _reads(data, encoding) else None
    if b"\x00" in data:
        return _utf_16_without_mark(data)
    if _reads(data, "utf-8"):
        return "utf-8"
    likeliest = max((*GUESSES, "cp1252"), key=lambda encoding: _likeliness(data, encoding))
    # A few bytes mean nothing in Windows-1252; they are kept, as the control letters that Latin-1 has there.
    return likeliest if likeliest != "cp1252" or _reads(data, "cp1252") else "latin-1"


def _reads(data: bytes, encoding: str) -> str | None:
    """The text, or None; an empty text counts as read."""
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, UnicodeError):
        return None
    return text or " "


def _utf_16_without_mark(data: bytes) -> str | None:
    """UTF-16 of mostly Western letters has a NUL at every second place."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    text = _reads(data, encoding) if len(data) % 2 == 0 and max(even, odd) * 3 >= len(data) // 2 else None
    is_text = text is not None and all(letter.isprintable() or letter in "\r\n\t" for letter in text)
    return encoding if is_text else None


def _likeliness(data: bytes, encoding: str) -> float:
    """How much text reads like a person's: common letters of a script count for it, rare signs against it."""
    text = data.decode("cp1252", "replace") if encoding == "cp1252" else _reads(data, encoding)
    if text is None:
        return -1e9
    return sum(_worth(letter, encoding) for letter in text) / max(1, len(text))


def _worth(letter: str, encoding: str) -> float:
    code = ord(letter)
    if code < 0x80:
        return 0.1 if letter.isprintable() or letter in "\r\n\t" else -5.0
    if 0x3040 <= code <= 0x30FF:
        return 2.0 if encoding == "cp932" else 0.2
    if 0xFF61 <= code <= 0xFF9F:
        # Half-width kana: what Chinese and Western bytes turn into when they are read as Japanese.
        return -2.0
    if 0x4E00 <= code <= 0x9FFF:
        return _han_worth(letter, encoding)
    if 0x3000 <= code <= 0x303F or 0xFF00 <= code <= 0xFF60:
        return 1.0 if encoding != "cp1252" else -1.0
    if encoding == "cp1252":
        return 0.8 if letter.isalpha() and code < 0x180 else 0.4 if letter in "’“”–—…€°«»£©®" else -1.5
    return -2.0


def _han_worth(letter: str, encoding: str) -> float:
    """A common character lies in the first level of its own national standard."""
    try:
        lead = letter.encode("gb2312" if encoding == "gb18030" else "cp932")[0]
    except UnicodeEncodeError:
        return -1.0
    if encoding == "gb18030":
        return 1.2 if 0xB0 <= lead <= 0xD7 else -0.5
    return 1.2 if 0x88 <= lead <= 0x97 else -0.5

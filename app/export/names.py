"""Names and lines that every file system, archive and trainer takes."""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

MAX_STEM = 80
FALLBACK = "image"
# Windows opens its devices under these names, whatever the folder and the ending.
DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{digit}" for digit in range(10)), *(f"lpt{digit}" for digit in range(10))}
)
# OneTrainer takes files that end so for masks and conditions of other files.
MASK_ENDINGS = ("-masklabel", "-condlabel")


def safe_stem(name: str) -> str:
    """Return a file's stem in lower-case ASCII letters, digits and hyphens; never empty, never a device's name.

    Underscores and dots go too: kohya reads several underscores as a hint at another caption file, and older programs
    cut a name at its first dot.
    """
    plain = unicodedata.normalize("NFKD", PurePosixPath(name).stem).casefold()
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    stem = re.sub(r"[^a-z0-9]+", "-", letters.encode("ascii", "replace").decode()).strip("-")[:MAX_STEM].strip("-")
    if stem in DEVICES or stem.endswith(MASK_ENDINGS) or stem in {ending.strip("-") for ending in MASK_ENDINGS}:
        stem = f"{stem}-{FALLBACK}"
    return stem or FALLBACK


def unique_stems(names: Iterable[str]) -> list[str]:
    """Return one stem a name, in order, no two alike; a later one that would collide gets a number."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    stems = []
    for name in names:
        stem = wanted = safe_stem(name)
        while stem in taken:
            counts[wanted] = counts.get(wanted, 1) + 1
            stem = f"{wanted}-{counts[wanted]}"
        taken.add(stem)
        stems.append(stem)
    return stems


def folder_word(text: str) -> str:
    """Return a word that may be part of a folder's name, `images` when nothing is left of it."""
    stem = safe_stem(text)
    return "images" if stem == FALLBACK else stem


def json_line(values: Mapping[str, object]) -> str:
    """Return one line of JSON that stays one line for programs that know more line ends than a newline."""
    line = json.dumps(values, ensure_ascii=False)
    for letter in ("\x7f", "\x85", "\u2028", "\u2029"):
        line = line.replace(letter, f"\\u{ord(letter):04x}")
    return line + "\n"

"""Picture formats whose decoders a person installs by hand: every process that opens a picture looks for them."""

import importlib
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class ExtraFormat:
    """A format that Pillow reads once a package is installed: its module, and how its files begin."""

    label: str
    package: str
    module: str
    heads: tuple[bytes, ...]
    at: int = 0

    def begins(self, head: bytes) -> bool:
        """Whether these first bytes of a file are of this format."""
        return head[self.at :].startswith(self.heads)


HEAD_BYTES = 32
HEIC_BRANDS = tuple(
    b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
)
EXTRA_FORMATS = (
    ExtraFormat("HEIC", "pillow-heif", "pillow_heif", HEIC_BRANDS, at=4),
    ExtraFormat("JPEG XL", "pillow-jxl-plugin", "pillow_jxl", (b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")),
)


@cache
def with_extra_decoders() -> tuple[str, ...]:
    """Let Pillow read what installed extra decoders can, once a process, and return the labels of those formats."""
    found = []
    for extra in EXTRA_FORMATS:
        try:
            module = importlib.import_module(extra.module)
        except ImportError:
            continue
        if hasattr(module, "register_heif_opener"):
            module.register_heif_opener()
        found.append(extra.label)
    return tuple(found)


def missing_for(head: bytes) -> ExtraFormat | None:
    """The extra format that a file with these first bytes is of, where its decoder is not installed here."""
    here = with_extra_decoders()
    return next((extra for extra in EXTRA_FORMATS if extra.begins(head) and extra.label not in here), None)

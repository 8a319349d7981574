"""The header of a .safetensors file: read and checked against the file's size without touching a tensor."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

MAX_HEADER_BYTES = 16_000_000
MAX_AXES = 8
DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
# What a header of another shape than expected raises; deep nesting ends in the last.
MALFORMED = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)


class BadTensorFile(Exception):
    """The file is no whole .safetensors file; the message says in words what is wrong with it."""


@dataclass(frozen=True)
class Entry:
    """One tensor as the header tells it; `start` and `end` are bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """Tensors by name, and the file's own remarks."""

    tensors: Mapping[str, Entry]
    metadata: Mapping[str, str]

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a tensor; empty when there is none of that name."""
        entry = self.tensors.get(key)
        return entry.shape if entry else ()

    def has(self, *prefixes: str) -> bool:
        """Whether any tensor's name begins with one of these."""
        return any(key.startswith(prefixes) for key in self.tensors)


def read_header(path: Path) -> Header:
    """Read and check a file's header. Raises BadTensorFile in words, OSError when the file cannot be read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= MAX_HEADER_BYTES or 8 + length > size:
            raise BadTensorFile(f"{path.name} is no .safetensors file: its header is missing, absurd or cut off")
        text = file.read(length)
    try:
        header = _parse(text)
    except MALFORMED as error:
        raise BadTensorFile(f"{path.name} is no .safetensors file: its header makes no sense") from error
    _check_extent(path.name, header, size - 8 - length)
    return header


def _parse(text: bytes) -> Header:
    data = json.loads(text)
    metadata = data.pop("__metadata__", None) or {}
    return Header(
        {name: _entry(value) for name, value in data.items()},
        {str(key): str(value) for key, value in metadata.items()},
    )


def _entry(value: Mapping[str, Any]) -> Entry:
    shape, (start, end) = tuple(value["shape"]), value["data_offsets"]
    if len(shape) > MAX_AXES or not all(type(number) is int and number >= 0 for number in (*shape, start, end)):
        raise ValueError("sizes are not whole numbers")
    if end - start != prod(shape) * DTYPE_BYTES[value["dtype"]]:
        raise ValueError("a tensor has another length than its shape")
    return Entry(value["dtype"], shape, start, end)


def _check_extent(name: str, header: Header, there: int) -> None:
    reached = 0
    for entry in sorted(header.tensors.values(), key=lambda entry: (entry.start, entry.end)):
        if entry.start != reached:
            raise BadTensorFile(f"{name} is damaged: its tensors overlap or leave gaps")
        reached = entry.end
    if reached > there:
        raise BadTensorFile(f"{name} is cut short: {there:,} of {reached:,} bytes are there; download or copy it again")
    if reached < there:
        raise BadTensorFile(f"{name} is damaged: {there - reached:,} bytes follow its last tensor")

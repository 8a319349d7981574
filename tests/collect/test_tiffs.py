"""TIFFs that no decoder here reads are named for what they are."""

import struct

import pytest

from app.collect.pictures import read_picture
from app.collect.refusals import Refused
from app.collect.tiffs import kind_of_tiff


def tiff(order: str, bits: int, samples: int, sample_format: int) -> bytes:
    """An uncompressed TIFF of 4 × 3 pixels, all zero."""
    pixels = bytes(4 * 3 * samples * bits // 8)
    entries = [
        (256, 4, 1, 4),
        (257, 4, 1, 3),
        (259, 3, 1, 1),
        (262, 3, 1, 2 if samples == 3 else 1),
        (277, 3, 1, samples),
    ]
    entries += [(278, 4, 1, 3), (279, 4, 1, len(pixels)), (284, 3, 1, 1), (339, 3, 1, sample_format)]
    behind = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(258, 3, samples, behind if samples > 1 else bits), (273, 4, 1, behind + 8)]
    made = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in sorted(entries):
        packed = struct.pack(f"{order}HH", value, 0) if (kind, count) == (3, 1) else struct.pack(f"{order}I", value)
        made += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return made + bytes(4) + struct.pack(f"{order}4H", *[bits] * 4) + pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_floats_in_colour_are_named(order: str) -> None:
    data = tiff(order, 32, 3, 3)
    assert kind_of_tiff(data) == "32-bit floating point RGB"
    with pytest.raises(
        Refused, match="is a TIFF of 32-bit floating point RGB samples, which cannot be read"
    ) as refusal:
        read_picture(data, "a.tif")
    assert (refusal.value.code, refusal.value.hint) == ("F03", "Save it with 8 or 16 bits a channel, or as PNG.")


def test_what_is_cut_off_has_no_kind() -> None:
    assert [kind_of_tiff(tiff("<", 32, 3, 3)[:size]) for size in (4, 8, 9, 40)] == [""] * 4
    with pytest.raises(Refused, match="damaged TIFF"):
        read_picture(b"II*\0" + bytes(4), "a.tif")

"""What a TIFF says of its samples, for those that no decoder here reads."""

import struct

MAX_TAGS = 500
BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, FORMAT = 258, 259, 262, 277, 339
TAGS = (BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, FORMAT)
FORMATS = {2: "signed integer", 3: "floating point", 5: "complex integer", 6: "complex floating point"}
SPACES = {2: "RGB", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}
SIZES = {1: 1, 3: 2, 4: 4}


def is_tiff(data: bytes) -> bool:
    """Whether bytes begin like a TIFF."""
    return data[:4] in (b"II*\0", b"MM\0*")


def kind_of_tiff(data: bytes) -> str:
    """Its samples in words, such as "32-bit floating point RGB"; "" where that cannot be told."""
    try:
        tags = _tags(data)
    except (struct.error, IndexError):
        return ""
    bits, samples = tags.get(BITS, 1), tags.get(SAMPLES, 1)
    space = SPACES.get(tags.get(PHOTOMETRIC, 1)) or ("grey" if samples == 1 else f"{samples}-channel")
    words = (f"{bits}-bit", FORMATS.get(tags.get(FORMAT, 1), ""), space)
    return " ".join(word for word in words if word)


def _tags(data: bytes) -> dict[int, int]:
    """The first value of each tag that we ask for, from the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    found: dict[int, int] = {}
    for number in range(min(count, MAX_TAGS)):
        at = start + 2 + 12 * number
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, at)
        if tag not in TAGS or kind not in SIZES:
            continue
        if SIZES[kind] * values > 4:
            (place,) = struct.unpack_from(f"{order}I", data, at + 8)
        else:
            place = at + 8
        found[tag] = struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}[kind], data, place)[0]
    return found

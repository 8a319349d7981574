"""From bytes that claim to be a picture to everything we know of it, by one full decode."""

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from app.collect.bars import NO_BARS, bar_shares
from app.collect.facts import PictureFacts, conversions
from app.collect.formats import EXTENSIONS, SUFFIXES, TAKEN, has_lying_name, unidentified
from app.collect.measures import blocking, measure
from app.collect.phash import hashes
from app.collect.prompts import embedded_prompt
from app.collect.refusals import Code, Refused
from app.contract.pixels import UNREADABLE, open_picture, upright_rgb
from app.contract.recipe import Recipe

PICTURE_SUFFIXES = frozenset(SUFFIXES)
MAX_PIXELS = 100_000_000
BLOCKY = ("JPEG", "MPO")
MANY_PIXELS = 89_478_485
MAX_BYTES = 200_000_000
MAX_SIDE_PX = 65_000
THUMB_SIDE_PX = 320
DISPLAY_SIDE_PX = 1600
WEBP_QUALITY = 85
ORIENTATION = 0x0112
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
THIRTY_TWO_BIT_MODES = ("I", "F")
SAVE_AGAIN = "Open it in an image program and save it again as PNG or JPEG."
SCALE_DOWN = "Scale it down, then add it again."


@dataclass(frozen=True)
class Note:
    """Something worth knowing of a picture that came in."""

    code: Code
    text: str


@dataclass(frozen=True)
class Picture:
    """A checked picture: its content hash, its upright size in pixels, its facts and its copies as WebP.

    `display` is empty where the thumbnail is as large as the picture itself.
    """

    sha256: str
    extension: str
    size_bytes: int
    width_px: int
    height_px: int
    facts: PictureFacts
    phash: str
    phash_mirrored: str
    notes: tuple[Note, ...]
    thumb: bytes
    display: bytes


def read_picture(data: bytes, name: str) -> Picture:
    """Decode the whole picture once and return its facts.

    Raises Refused naming the file, the reason and the way out; the kind is told by the bytes, never by the name.
    """
    if not data:
        raise Refused("F01", f"{name} is empty (0 bytes).", "Copy or download the file again.")
    if len(data) > MAX_BYTES:
        raise Refused(
            "F07", f"{name} is larger than {MAX_BYTES // 1_000_000} MB.", "Save it smaller, then add it again."
        )
    try:
        upright, facts = _decode(data, name)
    except UnidentifiedImageError as error:
        raise unidentified(name, data) from error
    except Image.DecompressionBombError as error:
        raise Refused("F07", f"{name} has far too many pixels ({_tail(error)}).", SCALE_DOWN) from error
    except MemoryError as error:
        raise Refused("F07", f"{name} needs more memory than an image may have here.", SCALE_DOWN) from error
    except UNREADABLE as error:
        raise Refused("F01", f"{name} cannot be read as an image: {reason(error)}.", SAVE_AGAIN) from error
    return _picture(data, name, upright, facts)


def _picture(data: bytes, name: str, upright: Image.Image, facts: PictureFacts) -> Picture:
    width, height = upright.size
    large = shrunk(upright, DISPLAY_SIDE_PX)
    small = shrunk(large, THUMB_SIDE_PX)
    # What is seen through is filled in, evenly: what lies around the rest is no bar.
    bars = NO_BARS if facts.uses_alpha else bar_shares(upright, large)
    phash, phash_mirrored = hashes(small)
    facts = facts.model_copy(update={**vars(measure(large)), "bars": bars})
    return Picture(
        sha256=hashlib.sha256(data).hexdigest(),
        extension=EXTENSIONS[facts.container],
        size_bytes=len(data),
        width_px=width,
        height_px=height,
        facts=facts,
        phash=phash,
        phash_mirrored=phash_mirrored,
        notes=notes_on(name, facts, width * height),
        thumb=webp(small),
        display=b"" if max(width, height) <= THUMB_SIDE_PX else webp(large),
    )


def _decode(data: bytes, name: str) -> tuple[Image.Image, PictureFacts]:
    """The upright picture as 8-bit sRGB, and the facts that the encoded file alone can tell."""
    with warnings.catch_warnings():
        # Pillow warns of much that the picture itself shows to be harmless; our own caps are the ones that decide.
        warnings.simplefilter("ignore")
        with open_picture(BytesIO(data)) as opened:
            check_header(opened, name)
            frames = int(getattr(opened, "n_frames", 1))
            opened.seek(0)
            profile, orientation = _profile(opened), _orientation(opened)
            opened.load()
            facts = PictureFacts(
                container=opened.format or "",
                mode=opened.mode,
                bits=_bits(opened),
                frames=1 if opened.format == "MPO" else frames,
                orientation=orientation,
                has_alpha=opened.has_transparency_data,
                uses_alpha=_uses_alpha(opened),
                profile=profile,
                blocking=blocking(opened) if opened.format in BLOCKY else 0.0,
                prompt=embedded_prompt(opened.info),
            )
            return upright_rgb(opened, Recipe()), facts


def check_header(opened: ImageFile.ImageFile, name: str) -> None:
    """Refuse by what the header says alone. Raises Refused."""
    container = opened.format or "picture"
    if container not in EXTENSIONS:
        raise Refused("F03", f"{name} is a {container} file, which is not taken in.", f"Save it as one of {TAKEN}.")
    size = f"{opened.width:,} × {opened.height:,} pixels"
    if opened.width * opened.height > MAX_PIXELS:
        raise Refused("F07", f"{name} has {size}, more than {MAX_PIXELS // 1_000_000} million.", SCALE_DOWN)
    if max(opened.size) > MAX_SIDE_PX:
        raise Refused("F07", f"{name} has {size}; a side may have {MAX_SIDE_PX:,}.", "Crop it, then add it again.")


def _bits(image: Image.Image) -> int:
    if image.mode in SIXTEEN_BIT_MODES:
        return 16
    if image.mode in THIRTY_TWO_BIT_MODES:
        return 32
    return 1 if image.mode == "1" else 8


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def _uses_alpha(image: Image.Image) -> bool:
    """Whether any pixel of a loaded picture is not wholly opaque."""
    if not image.has_transparency_data or _bits(image) > 8:
        return False
    whole = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
    lowest = whole.getchannel("A").getextrema()[0]
    return not isinstance(lowest, tuple) and lowest < 255


def _profile(image: Image.Image) -> str:
    """The name of a colour profile that is not sRGB; nothing where there is none or it cannot be read."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes):
        return ""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(data))).strip()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return ""
    return "" if "srgb" in name.lower() else "".join(letter for letter in name if letter.isprintable())[:80]


def notes_on(name: str, facts: PictureFacts, pixels: int) -> tuple[Note, ...]:
    """What is worth knowing of a picture that came in, the most surprising first."""
    notes = []
    if has_lying_name(name, facts.container):
        notes.append(Note("F02", f"It is a {facts.container} file whatever its name says; it was taken as that."))
    if facts.uses_alpha:
        notes.append(Note("F05", "Parts of it are transparent."))
    if pixels > MANY_PIXELS:
        notes.append(Note("F07", f"It has {pixels / 1e6:.0f} million pixels, which makes every step slow."))
    if said := conversions(facts):
        notes.append(Note("F06", f"When read, {', '.join(said)}."))
    return tuple(notes)


def reason(error: BaseException) -> str:
    """Why a picture cannot be read, as the end of a sentence."""
    text = _tail(error)
    return f"it is cut off ({text})" if "truncated" in text.lower() else f"it is damaged ({text})"


def _tail(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def shrunk(image: Image.Image, side_px: int) -> Image.Image:
    """Return the picture with no side longer than this; the picture itself when it is small enough."""
    if max(image.size) <= side_px:
        return image
    scale = side_px / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def webp(image: Image.Image) -> bytes:
    """Encode as WebP without metadata."""
    buffer = BytesIO()
    # Copies for the screen: the quickest method costs a few per cent of size and saves half the time of an import.
    image.save(buffer, "WEBP", quality=WEBP_QUALITY, method=1)
    return buffer.getvalue()

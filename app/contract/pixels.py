"""From a picture file to pixels: the one reading that thumbnails, previews, trainer and export share."""

from io import BytesIO
from math import cos, isfinite, radians, sin
from pathlib import Path

from PIL import Image, ImageChops, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from app.contract.buckets import Fit, Size
from app.contract.extra_formats import HEAD_BYTES, missing_for, with_extra_decoders
from app.contract.recipe import Recipe, size_after, straightened

UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,
    LookupError,
    TypeError,
    Image.DecompressionBombError,
)
"""What Pillow raises, in practice, on damaged, lying or hostile files."""

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
SIXTEEN_BITS = 65536
EXIF_ORIENTATION = 0x0112
PROFILED_MODES = ("RGB", "CMYK", "L", "LAB")
UNDONE_TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
MOST_SCALED = 16
"""Times the size of its bucket that a picture is scaled to whole, before it is cropped."""


class DecoderMissing(UnidentifiedImageError):
    """The picture is of a format whose decoder is not installed here; the message says which."""


def open_picture(source: Path | BytesIO) -> ImageFile.ImageFile:
    """Open a picture as Pillow does, with the decoders that a person installed. Raises one of UNREADABLE."""
    with_extra_decoders()
    try:
        return Image.open(source)
    except UnidentifiedImageError as error:
        missing = missing_for(_head(source))
        if missing is None:
            raise
        raise DecoderMissing(f"it is a {missing.label} image, and {missing.package} is not installed here") from error


def _head(source: Path | BytesIO) -> bytes:
    if isinstance(source, BytesIO):
        return source.getvalue()[:HEAD_BYTES]
    with source.open("rb") as file:
        return file.read(HEAD_BYTES)


def polished(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Return the first frame as 8-bit sRGB after its whole recipe."""
    return reshaped(upright_rgb(image, recipe), recipe)


def reshaped(upright: Image.Image, recipe: Recipe) -> Image.Image:
    """Return an upright picture, or its mask, after the recipe's turns, straightening and crop."""
    size = Size(upright.width, upright.height)
    image = upright
    if recipe.quarter_turns:
        image = image.transpose(
            (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)[
                recipe.quarter_turns - 1
            ]
        )
    if recipe.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if recipe.flipped:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if recipe.straighten_deg:
        image = _straightened(image, recipe.straighten_deg, straightened(recipe, size))
    if recipe.crop:
        inner = size_after(recipe, size)
        image = _boxed(image, min(recipe.crop.left, image.width - 1), min(recipe.crop.top, image.height - 1), inner)
    return image


def turned_back(mask: Image.Image, recipe: Recipe) -> Image.Image:
    """Undo the recipe's turns, so that a mask drawn on the turned picture lies over the upright one."""
    image = mask
    if recipe.flipped:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if recipe.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    undo = UNDONE_TURNS[recipe.quarter_turns]
    return image if undo is None else image.transpose(undo)


def _boxed(image: Image.Image, left: int, top: int, size: Size) -> Image.Image:
    return image.crop((left, top, left + size.width, top + size.height))


def _straightened(image: Image.Image, degrees: float, inner: Size) -> Image.Image:
    """Turn clockwise about the middle and keep the box of this size around it, in one resampling."""
    cosine, sine = cos(radians(degrees)), sin(radians(degrees))
    middle_x, middle_y = inner.width / 2, inner.height / 2
    matrix = (
        cosine,
        sine,
        image.width / 2 - cosine * middle_x - sine * middle_y,
        -sine,
        cosine,
        image.height / 2 + sine * middle_x - cosine * middle_y,
    )
    size = (inner.width, inner.height)
    return image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def upright_rgb(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Return the first frame as 8-bit sRGB, turned by its EXIF orientation, transparency over the background."""
    image.load()
    turned = ImageOps.exif_transpose(image)
    colour = _to_srgb(turned)
    alpha = _alpha(turned)
    if alpha is None:
        return colour
    # Only now: a profile means the picture's own colours, not those of the background.
    return Image.composite(colour, Image.new("RGB", colour.size, recipe.background), alpha)


def _alpha(turned: Image.Image) -> Image.Image | None:
    """How opaque each pixel of a picture is, or None where all are."""
    if not turned.has_transparency_data:
        return None
    key = turned.info.get("transparency")
    if turned.mode in SIXTEEN_BIT_MODES:
        hidden = turned.convert("I").point([0 if value == key else 255 for value in range(SIXTEEN_BITS)], "L")
        return hidden if isinstance(key, int) else None
    return turned.convert("RGBA").getchannel("A")


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        return _eight_bits(image).convert("RGB")
    if image.mode == "F":
        return _from_floats(image).convert("RGB")
    plain = _without_alpha(image)
    profile = image.info.get("icc_profile")
    if not profile:
        return plain.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(plain, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return plain.convert("RGB")
    return converted if converted is not None else plain.convert("RGB")


def _without_alpha(image: Image.Image) -> Image.Image:
    """The colours as they stand in the file, also where they are transparent, in a mode that a profile can mean."""
    if image.mode == "LA":
        return image.convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA").convert("RGB")
    return image if image.mode in PROFILED_MODES else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits, or the 32 of some TIFFs, to 8; converting alone would cut everything above 255 to white."""
    wide = image.convert("I")
    low, high = _extremes(wide)
    if low >= 0 and high < SIXTEEN_BITS:
        return wide.point([round(value / 257) for value in range(SIXTEEN_BITS)], "L")
    return _stretched(wide.convert("F"), low, high)


def _from_floats(image: Image.Image) -> Image.Image:
    """Scale floats to 8 bits: 0 to 1, 0 to 255 and 0 to 65535 as they are meant, anything else from end to end.

    Raises ValueError for a picture that holds a value that is no number: scaled by it, all of it would turn black.
    """
    mean = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if not isinstance(mean, float) or not isfinite(mean):
        raise ValueError("it holds values that are not numbers")
    low, high = _extremes(image)
    most = next((most for most in (1.0, 255.0, 65535.0) if high <= most), high)
    return _stretched(image, min(0.0, low), most)


def _extremes(image: Image.Image) -> tuple[float, float]:
    """The least and the greatest value of a picture with one channel."""
    low, high = image.getextrema()
    return (0.0, 0.0) if isinstance(low, tuple) or isinstance(high, tuple) else (low, high)


def _stretched(image: Image.Image, low: float, high: float) -> Image.Image:
    scale = 255 / (high - low) if high > low else 1.0
    # The half makes the cut to whole numbers round.
    return image.point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def open_rgb(path: Path, recipe: Recipe) -> Image.Image:
    """Read a picture file as 8-bit sRGB after its whole recipe. Raises one of UNREADABLE."""
    with open_picture(path) as image:
        return polished(image, recipe)


def mask_pixels(path: Path, mask_path: Path | None, recipe: Recipe) -> Image.Image | None:
    """Read how much each pixel counts, as greyscale of the polished picture's size, or None where all count fully.

    It is the mask, times the picture's transparency where the recipe's `alpha` is "mask". Raises one of UNREADABLE.
    """
    opaque = None
    with open_picture(path) as image:
        if recipe.alpha == "mask":
            image.load()
            opaque = _alpha(ImageOps.exif_transpose(image))
        upright = opaque.size if opaque else upright_size(image)
    if mask_path is None:
        return None if opaque is None else reshaped(opaque, recipe)
    with Image.open(mask_path) as stored:
        drawn = as_mask(stored)
    if drawn.size != upright:
        drawn = drawn.resize(upright, Image.Resampling.BILINEAR)
    return reshaped(ImageChops.multiply(drawn, opaque) if opaque else drawn, recipe)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an open picture once its EXIF has turned it, read from its header alone."""
    is_on_its_side = image.getexif().get(EXIF_ORIENTATION) in (5, 6, 7, 8)
    return (image.height, image.width) if is_on_its_side else (image.width, image.height)


def as_mask(image: Image.Image) -> Image.Image:
    """Return a picture of a mask as 8-bit greyscale: white learns; what is transparent in it does not."""
    if image.mode == "L" and not image.has_transparency_data and "icc_profile" not in image.info:
        # As ours are: in colour a large one would take four times the memory for the same values.
        return ImageOps.exif_transpose(image)
    return upright_rgb(image, Recipe(background="#000000")).convert("L")


def fitted(image: Image.Image, place: Fit) -> Image.Image:
    """Return the picture scaled and cropped into its bucket (Lanczos, the kernel that keeps edges)."""
    if place.scaled.area > MOST_SCALED * place.bucket.area:
        # A strip of a picture would be gigabytes when scaled whole.
        across, down = image.width / place.scaled.width, image.height / place.scaled.height
        left, top = place.left * across, place.top * down
        inner = (left, top, left + place.bucket.width * across, top + place.bucket.height * down)
        return image.resize((place.bucket.width, place.bucket.height), Image.Resampling.LANCZOS, box=inner)
    scaled = image.resize((place.scaled.width, place.scaled.height), Image.Resampling.LANCZOS)
    box = (place.left, place.top, place.left + place.bucket.width, place.top + place.bucket.height)
    return scaled.crop(box)


def size_of(image: Image.Image) -> Size:
    """Width and height as our own type."""
    return Size(image.width, image.height)

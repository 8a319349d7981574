"""From a picture file to pixels: the one reading that thumbnails, previews, trainer and export share."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from app.contract.buckets import Fit, Size
from app.contract.recipe import Recipe

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises, in practice, on damaged, lying or hostile files."""

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L")


def upright_rgb(image: Image.Image, recipe: Recipe) -> Image.Image:
    """Return the first frame as 8-bit sRGB, turned by its EXIF orientation, transparency over the background."""
    image.load()
    turned = ImageOps.exif_transpose(image)
    if turned.mode in SIXTEEN_BIT_MODES:
        return turned.point(lambda value: value / 257).convert("L").convert("RGB")
    if turned.has_transparency_data:
        layer = turned.convert("RGBA")
        ground = Image.new("RGBA", layer.size, recipe.background)
        return Image.alpha_composite(ground, layer).convert("RGB")
    return _to_srgb(turned)


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def open_rgb(path: Path, recipe: Recipe) -> Image.Image:
    """Read a picture file as upright 8-bit sRGB. Raises one of UNREADABLE."""
    with Image.open(path) as image:
        return upright_rgb(image, recipe)


def fitted(image: Image.Image, place: Fit) -> Image.Image:
    """Return the picture scaled and cropped into its bucket (Lanczos, the kernel that keeps edges)."""
    scaled = image.resize((place.scaled.width, place.scaled.height), Image.Resampling.LANCZOS)
    box = (place.left, place.top, place.left + place.bucket.width, place.top + place.bucket.height)
    return scaled.crop(box)


def size_of(image: Image.Image) -> Size:
    """Width and height as our own type."""
    return Size(image.width, image.height)

"""From a picture file to pixels: the one reading that thumbnails, previews, trainer and export share."""

from io import BytesIO
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from app.contract.buckets import Fit, Size
from app.contract.recipe import Recipe, size_after, straightened

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises, in practice, on damaged, lying or hostile files."""

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L")


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
        inner = straightened(recipe, size)
        image = image.rotate(-recipe.straighten_deg, Image.Resampling.BICUBIC)
        image = _boxed(image, (image.width - inner.width) // 2, (image.height - inner.height) // 2, inner)
    if recipe.crop:
        inner = size_after(recipe, size)
        image = _boxed(image, min(recipe.crop.left, image.width - 1), min(recipe.crop.top, image.height - 1), inner)
    return image


def _boxed(image: Image.Image, left: int, top: int, size: Size) -> Image.Image:
    return image.crop((left, top, left + size.width, top + size.height))


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
    """Read a picture file as 8-bit sRGB after its whole recipe. Raises one of UNREADABLE."""
    with Image.open(path) as image:
        return polished(image, recipe)


def fitted(image: Image.Image, place: Fit) -> Image.Image:
    """Return the picture scaled and cropped into its bucket (Lanczos, the kernel that keeps edges)."""
    scaled = image.resize((place.scaled.width, place.scaled.height), Image.Resampling.LANCZOS)
    box = (place.left, place.top, place.left + place.bucket.width, place.top + place.bucket.height)
    return scaled.crop(box)


def size_of(image: Image.Image) -> Size:
    """Width and height as our own type."""
    return Size(image.width, image.height)

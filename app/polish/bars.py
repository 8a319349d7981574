"""Bars: even borders, as letterboxed films and scans have, which a crop can take away."""

from PIL import Image, ImageChops

from app.contract.recipe import Crop

BOX = Image.Resampling.BOX
TOLERANCE = 12
"""How far, of 255, a bar's pixel may be from its corner's colour: JPEG leaves some noise."""
STRAY_SHARE = 0.005
"""Share of a row that may differ all the same."""
DRIFT = 3
"""How far a bar's rows may differ on the whole from its outermost: a smooth sky is no bar."""
EDGE_PX, EDGE_SHARE = 4, 0.15
"""A bar ends at once: within so many lines so much of a line differs. A soft ground does not end like that."""
LEAST_SHARE = 0.01
LEAST_PX = 3
KEPT_SHARE = 0.2
"""What is left must be so much of the picture: a small thing on even ground has no bars."""


def without_bars(image: Image.Image) -> Crop | None:
    """Return the box without the even bars at the sides of an RGB picture, or None where there are none.

    Opposite bars may have different colours; a picture that is even all over has none.
    """
    columns, rows = _lines(image.resize((image.width, 1), BOX)), _lines(image.resize((1, image.height), BOX))
    from_left, from_top = _differing(image, (0, 0))
    from_right, from_bottom = _differing(image, (image.width - 1, image.height - 1))
    left, top = _thickness(from_left, columns), _thickness(from_top, rows)
    right, bottom = _thickness(from_right[::-1], columns[::-1]), _thickness(from_bottom[::-1], rows[::-1])
    width, height = image.width - left - right, image.height - top - bottom
    if not left + top + right + bottom or width < 1 or height < 1:
        return None
    if width * height < KEPT_SHARE * image.width * image.height:
        return None
    return Crop(left=left, top=top, width=width, height=height)


def _differing(image: Image.Image, corner: tuple[int, int]) -> tuple[bytes, bytes]:
    """How much of each column and of each row has another colour than a corner, 255 for all of it."""
    red, green, blue = _lines(image.crop((*corner, corner[0] + 1, corner[1] + 1)))[0]
    parts = ImageChops.difference(image, Image.new("RGB", image.size, (red, green, blue))).split()
    most = ImageChops.lighter(ImageChops.lighter(parts[0], parts[1]), parts[2])
    differs = most.point([0] * (TOLERANCE + 1) + [255] * (255 - TOLERANCE))
    return differs.resize((image.width, 1), BOX).tobytes(), differs.resize((1, image.height), BOX).tobytes()


def _lines(line: Image.Image) -> list[tuple[int, int, int]]:
    """The colours of a picture that is one pixel wide or high."""
    data = line.tobytes()
    return list(zip(data[0::3], data[1::3], data[2::3], strict=True))


def _thickness(differing: bytes, means: list[tuple[int, int, int]]) -> int:
    """How many lines from the side on are a bar, 0 where there is none."""
    count = next((place for place, share in enumerate(differing) if share > 255 * STRAY_SHARE), 0)
    if count < max(LEAST_PX, round(len(means) * LEAST_SHARE)):
        return 0
    drift = max(max(part) - min(part) for part in zip(*means[:count], strict=True))
    edge = max(differing[count : count + EDGE_PX])
    return count if drift <= DRIFT and edge >= 255 * EDGE_SHARE else 0

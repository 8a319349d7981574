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
RIM_PX = 16
"""The inmost lines of a bar may differ more: what lies beside it shines into the JPEG block that both share."""
EDGE_PX, EDGE_SHARE = 8, 0.15
"""A bar ends at once: within so many lines so much of a line differs. A soft ground does not end like that."""
SURE_EDGE_SHARE = 0.7
PAIRED = 0.5
MEASURED_PX = 640
NO_BARS = (0.0, 0.0, 0.0, 0.0)
LEAST_SHARE = 0.01
LEAST_PX = 3
KEPT_SHARE = 0.2
"""What is left must be so much of the picture: a small thing on even ground has no bars."""


def without_bars(image: Image.Image, edge_share: float = EDGE_SHARE) -> Crop | None:
    """Return the box without the even bars at the sides of an RGB picture, or None where there are none.

    Opposite bars may have different colours; a picture that is even all over has none. At `edge_share` of its length
    a bar must border on something else.
    """
    columns, rows = _lines(image.resize((image.width, 1), BOX)), _lines(image.resize((1, image.height), BOX))
    from_left, from_top = _differing(image, (0, 0))
    from_right, from_bottom = _differing(image, (image.width - 1, image.height - 1))
    left, top = _thickness(from_left, columns, edge_share), _thickness(from_top, rows, edge_share)
    right = _thickness(from_right[::-1], columns[::-1], edge_share)
    bottom = _thickness(from_bottom[::-1], rows[::-1], edge_share)
    width, height = image.width - left - right, image.height - top - bottom
    if not left + top + right + bottom or width < 1 or height < 1:
        return None
    if width * height < KEPT_SHARE * image.width * image.height:
        return None
    return Crop(left=left, top=top, width=width, height=height)


def bar_shares(image: Image.Image) -> tuple[float, float, float, float]:
    """Return how much of its width or height is bar at the left, top, right and bottom, measured on a small copy.

    Nobody looks at it first, so that plain ground beside a drawn thing must not count: only opposite bars do.
    """
    times = -(-max(image.size) // MEASURED_PX)
    small = image if times == 1 else image.reduce(times)
    box = without_bars(small, SURE_EDGE_SHARE)
    if box is None:
        return NO_BARS
    width, height = small.size
    sides = (
        box.left / width,
        box.top / height,
        (width - box.left - box.width) / width,
        (height - box.top - box.height) / height,
    )
    left, right = _paired(sides[0], sides[2])
    top, bottom = _paired(sides[1], sides[3])
    return left, top, right, bottom


def _paired(one: float, other: float) -> tuple[float, float]:
    """Two opposite bars that are about as thick as each other, as those of films are; else none."""
    is_pair = min(one, other) >= PAIRED * max(one, other)
    return (round(one, 4), round(other, 4)) if is_pair else (0.0, 0.0)


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


def _thickness(differing: bytes, means: list[tuple[int, int, int]], edge_share: float) -> int:
    """How many lines from the side on are a bar, 0 where there is none."""
    count = next((place for place, share in enumerate(differing) if share > 255 * STRAY_SHARE), 0)
    if count < max(LEAST_PX, round(len(means) * LEAST_SHARE)):
        return 0
    inner = means[: max(LEAST_PX, count - min(RIM_PX, count // 2))]
    drift = max(max(part) - min(part) for part in zip(*inner, strict=True))
    ends = (
        place for place in range(count, min(count + EDGE_PX, len(differing))) if differing[place] >= 255 * edge_share
    )
    return next(ends, 0) if drift <= DRIFT else 0

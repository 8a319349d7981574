"""Bars: even borders, as letterboxed films have, which a crop can take away.

Bars come in pairs on opposite sides, both of one colour, about as thick as each other, and end all at once along
nearly the whole line. A plain ground around a drawn or cut-out thing is none: its inner edge is ragged. Where all four
sides are even no shape tells a frame from the ground of a flag, so that only black ones count, as projectors leave.
"""

from dataclasses import dataclass

from PIL import Image, ImageChops

BOX = Image.Resampling.BOX
TOLERANCE = 12
"""How far, of 255, a bar's pixel may be from its corner's colour: JPEG leaves some noise."""
STRAY_SHARE = 0.005
"""Share of a line that may differ all the same."""
DRIFT = 3
"""How far a bar's lines may differ on the whole from its outermost: a smooth sky is no bar."""
RIM_PX = 16
"""The inmost lines of a bar may differ more: what lies beside it shines into the JPEG block that both share."""
EDGE_PX = 8
"""A bar ends within so many lines; a soft ground does not end like that."""
STRAIGHT_SHARE, DARK_SHARE = 0.95, 0.7
"""Share of a line that differs where a bar ends; a dark scene hides part of the edge of a black one."""
BLACK = 32
PAIRED = 0.5
MEASURED_PX = 640
SOUGHT_PX = 2
"""So many pixels of the small copy about where a bar ends there, its end in the picture is sought."""
LEAST_SHARE = 0.01
LEAST_PX = 3
KEPT_SHARE = 0.2
"""What is left must be so much of the picture: a small thing on even ground has no bars."""

Shares = tuple[float, float, float, float]
Colour = tuple[int, int, int]
NO_BARS: Shares = (0.0, 0.0, 0.0, 0.0)


def bar_shares(whole: Image.Image, copy: Image.Image | None = None) -> Shares:
    """Return how much of its width or height is bar at the left, top, right and bottom of an upright RGB picture.

    They are looked for on a small copy, where edges are sharp, and are exact to the pixel of the whole. `copy` is a
    smaller one of the same picture, if there is one already.
    """
    large = copy or whole
    times = -(-max(large.size) // MEASURED_PX)
    small = large if times == 1 else large.reduce(times)
    bars = _bars(small)
    if not any(bars):
        return NO_BARS
    scale = whole.width / small.width, whole.height / small.height
    exact = [_exact(whole, side, count, scale[side % 2]) for side, count in enumerate(bars)]
    left, top, right, bottom = (
        round(count / (whole.height if side % 2 else whole.width), 6) for side, count in enumerate(exact)
    )
    return left, top, right, bottom


@dataclass(frozen=True)
class _Lines:
    """The columns or rows of a picture: how much of each differs from the bars' colour (255: all), and its mean."""

    differing: bytes
    means: list[Colour]

    def margins(self) -> tuple[int, int]:
        """How many lines at either end are of the bars' colour; none unless they are a pair."""
        counts = _first(self.differing), _first(self.differing[::-1])
        least = max(LEAST_PX, round(len(self.means) * LEAST_SHARE))
        return counts if min(counts) >= max(least, PAIRED * max(counts)) else (0, 0)

    def bars(self, edge_share: float) -> tuple[int, int]:
        """How many lines at either end are a bar that ends at so much of its length; none unless both do."""
        first, last = self.margins()
        ends = (
            _end(self.differing, self.means, first, edge_share),
            _end(self.differing[::-1], self.means[::-1], last, edge_share),
        )
        return ends if all(ends) else (0, 0)


def _bars(image: Image.Image) -> tuple[int, int, int, int]:
    """The bars of a small picture in pixels: left, top, right, bottom."""
    nothing = (0, 0, 0, 0)
    colour, other = _pixel(image, 0, 0), _pixel(image, image.width - 1, image.height - 1)
    if max(abs(one - two) for one, two in zip(colour, other, strict=True)) > TOLERANCE:
        return nothing
    across, down = _lines(image, colour)
    is_black = max(colour) <= BLACK
    left, right = across.margins()
    top, bottom = down.margins()
    if left and top:
        if not is_black:
            return nothing
        left, right = across.bars(STRAIGHT_SHARE * (image.height - top - bottom) / image.height)
        top, bottom = down.bars(STRAIGHT_SHARE * (image.width - left - right) / image.width)
        if not (left and top):
            return nothing
    else:
        edge_share = DARK_SHARE if is_black else STRAIGHT_SHARE
        left, right = across.bars(edge_share)
        top, bottom = down.bars(edge_share)
    kept = (image.width - left - right) * (image.height - top - bottom)
    return (left, top, right, bottom) if kept >= KEPT_SHARE * image.width * image.height else nothing


def _exact(whole: Image.Image, side: int, count: int, scale: float) -> int:
    """The pixels of a bar (side 0 to 3: left, top, right, bottom) that is so wide on a copy, smaller by the scale."""
    if not count or scale == 1:
        return count
    (width, height), is_row = whole.size, side % 2 == 1
    start, end = int((count - SOUGHT_PX) * scale), min(height if is_row else width, round((count + SOUGHT_PX) * scale))
    first = (0, start, width, end) if is_row else (start, 0, end, height)
    last = (0, height - end, width, height - start) if is_row else (width - end, 0, width - start, height)
    colour = _pixel(whole, 0, 0)
    strip = _differing(whole.crop(first if side < 2 else last), colour)
    lines = strip.resize((1, end - start) if is_row else (end - start, 1), BOX).tobytes()
    # Half of what is asked of an edge: a line where the bar and the picture mix belongs to the bar.
    least = 255 * (DARK_SHARE if max(colour) <= BLACK else STRAIGHT_SHARE) / 2
    found = (place for place, share in enumerate(lines if side < 2 else lines[::-1]) if share >= least)
    return start + next(found, round(count * scale) - start)


def _pixel(image: Image.Image, left: int, top: int) -> Colour:
    red, green, blue = image.crop((left, top, left + 1, top + 1)).tobytes()
    return red, green, blue


def _differing(image: Image.Image, colour: Colour) -> Image.Image:
    """White where a picture has another colour."""
    parts = ImageChops.difference(image, Image.new("RGB", image.size, colour)).split()
    most = ImageChops.lighter(ImageChops.lighter(parts[0], parts[1]), parts[2])
    return most.point([0] * (TOLERANCE + 1) + [255] * (255 - TOLERANCE))


def _lines(image: Image.Image, colour: Colour) -> tuple[_Lines, _Lines]:
    """The columns and the rows of a picture."""
    differs = _differing(image, colour)
    columns, rows = (image.width, 1), (1, image.height)
    return (
        _Lines(differs.resize(columns, BOX).tobytes(), _colours(image.resize(columns, BOX))),
        _Lines(differs.resize(rows, BOX).tobytes(), _colours(image.resize(rows, BOX))),
    )


def _colours(line: Image.Image) -> list[Colour]:
    """The colours of a picture that is one pixel wide or high."""
    data = line.tobytes()
    return list(zip(data[0::3], data[1::3], data[2::3], strict=True))


def _first(differing: bytes) -> int:
    """How many lines come before the first that differs; none where no line does."""
    return next((place for place, share in enumerate(differing) if share > 255 * STRAY_SHARE), 0)


def _end(differing: bytes, means: list[Colour], count: int, edge_share: float) -> int:
    """Where a margin of so many lines ends as a bar does, 0 where it does not."""
    if not count:
        return 0
    inner = means[: max(LEAST_PX, count - min(RIM_PX, count // 2))]
    drift = max(max(part) - min(part) for part in zip(*inner, strict=True))
    ends = (
        place for place in range(count, min(count + EDGE_PX, len(differing))) if differing[place] >= 255 * edge_share
    )
    return next(ends, 0) if drift <= DRIFT else 0

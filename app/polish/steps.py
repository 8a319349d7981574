"""Steps of polishing: from a recipe and what a person did to the picture they saw, to the recipe that shows it.

A recipe has its steps in a fixed order; turning a picture that is cropped already must turn its crop box along.
"""

from typing import Literal

from app.contract.buckets import Size, nearest
from app.contract.recipe import Crop, Recipe, straightened

Part = Literal["turns", "straighten", "crop", "colour"]
PARTS: tuple[Part, ...] = ("turns", "straighten", "crop", "colour")


def rotated(recipe: Recipe, upright: Size) -> Recipe:
    """A quarter turn clockwise of what is seen."""
    size = straightened(recipe, upright)
    box = recipe.crop and Crop(
        left=max(0, size.height - recipe.crop.top - recipe.crop.height),
        top=recipe.crop.left,
        width=recipe.crop.height,
        height=recipe.crop.width,
    )
    change = {
        "quarter_turns": (recipe.quarter_turns + 1) % 4,
        "mirrored": recipe.flipped,
        "flipped": recipe.mirrored,
        "crop": box,
    }
    return plain(recipe.model_copy(update=change))


def mirrored(recipe: Recipe, upright: Size) -> Recipe:
    """Left and right of what is seen change places."""
    width = straightened(recipe, upright).width
    box = recipe.crop and recipe.crop.model_copy(update={"left": max(0, width - recipe.crop.left - recipe.crop.width)})
    change = {"mirrored": not recipe.mirrored, "straighten_deg": _opposite(recipe.straighten_deg), "crop": box}
    return plain(recipe.model_copy(update=change))


def flipped(recipe: Recipe, upright: Size) -> Recipe:
    """Top and bottom of what is seen change places."""
    height = straightened(recipe, upright).height
    box = recipe.crop and recipe.crop.model_copy(update={"top": max(0, height - recipe.crop.top - recipe.crop.height)})
    change = {"flipped": not recipe.flipped, "straighten_deg": _opposite(recipe.straighten_deg), "crop": box}
    return plain(recipe.model_copy(update=change))


def straight(recipe: Recipe, upright: Size, degrees: float) -> Recipe:
    """Turn by so many degrees in all, clockwise; a crop box keeps its place in the picture."""
    done = recipe.model_copy(update={"straighten_deg": round(degrees, 2) or 0.0})
    before, after = straightened(recipe, upright), straightened(done, upright)
    return cropped(done, upright, recipe.crop and scaled(recipe.crop, before, after))


def cropped(recipe: Recipe, upright: Size, box: Crop | None) -> Recipe:
    """Set the crop box, cut to the picture; a box around the whole picture is none."""
    size = straightened(recipe, upright)
    kept = box and clamped(box, size)
    if kept == whole(size):
        kept = None
    return recipe.model_copy(update={"crop": kept})


def masked(recipe: Recipe, sha256: str | None) -> Recipe:
    """Set or take away the mask."""
    return recipe.model_copy(update={"mask": sha256})


def plain(recipe: Recipe) -> Recipe:
    """The same geometry in its one form, so that going back leaves no trace.

    Mirrored and flipped together are half a turn; mirrored and half a turn are flipped, and the other way round.
    """
    turns, is_mirrored, is_flipped = recipe.quarter_turns, recipe.mirrored, recipe.flipped
    if is_mirrored and is_flipped:
        turns, is_mirrored, is_flipped = (turns + 2) % 4, False, False
    elif (is_mirrored or is_flipped) and turns >= 2:
        turns, is_mirrored, is_flipped = turns - 2, is_flipped, is_mirrored
    return recipe.model_copy(update={"quarter_turns": turns, "mirrored": is_mirrored, "flipped": is_flipped})


def copied(
    target: Recipe, target_upright: Size, source: Recipe, source_upright: Size, parts: frozenset[Part]
) -> Recipe:
    """Return a recipe with parts of another's; a crop box is scaled where the pictures differ in size.

    The mask never comes along: it is drawn on one picture.
    """
    change: dict[str, object] = {}
    if "turns" in parts:
        change |= {name: getattr(source, name) for name in ("quarter_turns", "mirrored", "flipped")}
    if "straighten" in parts:
        change |= {"straighten_deg": source.straighten_deg}
    if "colour" in parts:
        change |= {name: getattr(source, name) for name in ("background", "alpha")}
    done = target.model_copy(update=change)
    if "crop" not in parts:
        box = target.crop and scaled(
            target.crop, straightened(target, target_upright), straightened(done, target_upright)
        )
        return cropped(done, target_upright, box)
    before, after = straightened(source, source_upright), straightened(done, target_upright)
    return cropped(done, target_upright, source.crop and scaled(source.crop, before, after))


def carried(box: Crop, drawn: Recipe, now: Recipe, upright: Size) -> Crop:
    """Return the box that was put on a picture turned as in `drawn` at the same place of it turned as it is `now`."""
    moved = plain(drawn.model_copy(update={"crop": box}))
    for _ in range(2):
        for _ in range(4):
            if turns(moved) == turns(now):
                return seen(straight(moved, upright, now.straighten_deg), upright)
            moved = rotated(moved, upright)
        moved = mirrored(moved, upright)
    raise AssertionError("four quarter turns and a mirror reach every way to turn a picture")


def turns(recipe: Recipe) -> tuple[int, bool, bool]:
    """How a picture is turned: quarter turns, and whether mirrored and flipped, in their one form."""
    one = plain(recipe)
    return one.quarter_turns, one.mirrored, one.flipped


def whole(size: Size) -> Crop:
    """The box around a whole picture."""
    return Crop(left=0, top=0, width=size.width, height=size.height)


def clamped(box: Crop, size: Size) -> Crop:
    """A box moved and cut as little as it takes to lie in a picture."""
    left, top = min(box.left, size.width - 1), min(box.top, size.height - 1)
    return Crop(left=left, top=top, width=min(box.width, size.width - left), height=min(box.height, size.height - top))


def scaled(box: Crop, before: Size, after: Size) -> Crop:
    """The box at the same place of a picture of another size."""
    if before == after:
        return box
    across, down = after.width / before.width, after.height / before.height
    left, top = round(box.left * across), round(box.top * down)
    right, bottom = round((box.left + box.width) * across), round((box.top + box.height) * down)
    moved = Crop(left=left, top=top, width=max(1, right - left), height=max(1, bottom - top))
    return clamped(moved, after)


def snapped(box: Crop, size: Size, buckets: tuple[Size, ...]) -> Crop:
    """Return the box that loses nothing to its bucket: the given one, grown or cut to the nearest bucket's shape.

    It keeps its middle where the picture allows, and does not leave the picture.
    """
    bucket = nearest(Size(box.width, box.height), buckets)
    area = min(box.width * box.height, size.area)
    width = (area * bucket.aspect) ** 0.5
    scale = min(1.0, size.width / width, size.height / (width / bucket.aspect))
    whole_px = _whole_px(bucket, width * scale, size)
    middle_x, middle_y = box.left + box.width / 2, box.top + box.height / 2
    left = min(max(0, round(middle_x - whole_px.width / 2)), size.width - whole_px.width)
    top = min(max(0, round(middle_y - whole_px.height / 2)), size.height - whole_px.height)
    return Crop(left=left, top=top, width=whole_px.width, height=whole_px.height)


def _whole_px(bucket: Size, width: float, size: Size) -> Size:
    """The size nearest to a width that has the bucket's very aspect, or, in small pictures, nearly so."""
    step = reduced(bucket)
    times = max(1, round(width / step.width))
    while times > 1 and (times * step.width > size.width or times * step.height > size.height):
        times -= 1
    exact = Size(times * step.width, times * step.height)
    if exact.width <= size.width and exact.height <= size.height and abs(exact.width - width) <= width * 0.05:
        return exact
    near = Size(max(1, round(width)), max(1, round(width / bucket.aspect)))
    return Size(min(near.width, size.width), min(near.height, size.height))


def reduced(size: Size) -> Size:
    """Return the smallest size of whole pixels with the very same aspect."""
    divisor, rest = size.width, size.height
    while rest:
        divisor, rest = rest, divisor % rest
    return Size(size.width // divisor, size.height // divisor)


def _opposite(degrees: float) -> float:
    # Never minus zero, which would be stored as a step.
    return -degrees or 0.0


def seen(recipe: Recipe, upright: Size) -> Crop:
    """The crop box of a recipe as it counts, the whole picture where there is none."""
    size = straightened(recipe, upright)
    return whole(size) if recipe.crop is None else clamped(recipe.crop, size)

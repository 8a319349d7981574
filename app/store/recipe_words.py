"""What a step did to a picture, in words, read from the recipes before and after it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.contract.recipe import Crop, Recipe, read_recipe
from app.store.models import HistoryEntry

MOST_PAIRS = 50
"""A step of more different changes than these is told by their kinds alone."""
CHANGED = "recipe changed"
COLOURS = {"#ffffff": "white", "#808080": "grey", "#000000": "black"}

Matrix = tuple[int, int, int, int]
# Across and down, as a screen counts them.
RIGHT: Matrix = (0, -1, 1, 0)
MIRROR: Matrix = (-1, 0, 0, 1)
FLIP: Matrix = (1, 0, 0, -1)
STAYS: Matrix = (1, 0, 0, 1)
TURNS: dict[Matrix, str] = {
    RIGHT: "turned right",
    (-1, 0, 0, -1): "turned upside down",
    (0, 1, -1, 0): "turned left",
    MIRROR: "mirrored",
    FLIP: "flipped",
    (0, 1, 1, 0): "turned right and mirrored",
    (0, -1, -1, 0): "turned left and mirrored",
}
TWOFOLD = ((0, 1, 1, 0), (0, -1, -1, 0))


@dataclass(frozen=True)
class Change:
    """One thing that became different: exactly, and as it is called where several images differ in it."""

    words: str
    kind: str


def told(before: str | None, after: str | None) -> str:
    """What changed between two recipes, each as the history has it; 'recipe changed' where that cannot be read."""
    return ", ".join(each.words for each in _changes(before, after)) or CHANGED


def told_of_all(pairs: Iterable[tuple[str | None, str | None]]) -> str:
    """What changed in several images: exactly where it is the same in all, else by kinds."""
    wanted = set(pairs)
    if len(wanted) > MOST_PAIRS:
        return CHANGED
    found = [_changes(before, after) for before, after in sorted(wanted, key=str)]
    exact = {", ".join(each.words for each in changes) or CHANGED for changes in found}
    if len(exact) == 1:
        return exact.pop()
    return ", ".join(dict.fromkeys(each.kind for changes in found for each in changes)) or CHANGED


def of_steps(session: Session, project_id: int, last_ids: Sequence[int]) -> dict[int, str]:
    """What steps of the history did to recipes, by the id of each one's last entry; of an undo, what it took back."""
    found: dict[int, str] = {}
    for entry in session.scalars(select(HistoryEntry).where(HistoryEntry.id.in_(last_ids))):
        same = HistoryEntry.id == entry.id if entry.batch is None else HistoryEntry.batch == entry.batch
        query = (
            select(HistoryEntry.before, HistoryEntry.after)
            .where(HistoryEntry.project_id == project_id, same, HistoryEntry.verb == "recipe")
            .distinct()
            .limit(MOST_PAIRS + 1)
        )
        pairs = [(before, after) for before, after in session.execute(query)]
        found[entry.id] = told_of_all([(after, before) for before, after in pairs] if entry.undoes else pairs)
    return found


def _changes(before: str | None, after: str | None) -> Sequence[Change]:
    one, other = _read(before), _read(after)
    return changes(one, other) if one and other else ()


def _read(text: str | None) -> Recipe | None:
    try:
        found = json.loads(text or "null")
        return read_recipe(found) if isinstance(found, str) else None
    except (ValueError, ValidationError):
        return None


@lru_cache(maxsize=1000)
def changes(before: Recipe, after: Recipe) -> tuple[Change, ...]:
    """What became different from one recipe to another, in the order of a recipe's steps."""
    turn = _times(_orientation(after), _back(_orientation(before)))
    found = [Change(TURNS[turn], "turned or mirrored")] if turn in TURNS else []
    found += [*_straightened(before, after, turn), *_cropped(before, after, turn), *_masked(before, after)]
    found += _coloured(before, after)
    plain = Recipe(background=after.background, alpha=after.alpha)
    is_reset = len(found) > 1 or turn in TWOFOLD
    return (Change("reset", "reset"),) if is_reset and after == plain else tuple(found)


def _straightened(before: Recipe, after: Recipe, turn: Matrix) -> list[Change]:
    # In a mirror it leans the other way.
    was = -before.straighten_deg if _is_mirror(turn) else before.straighten_deg
    if after.straighten_deg == was:
        return []
    words = f"straightened {after.straighten_deg:g}°".replace("-", "−")
    return [Change(words if after.straighten_deg else "straightening removed", "straightened")]


def _cropped(before: Recipe, after: Recipe, turn: Matrix) -> list[Change]:
    if before.crop == after.crop:
        return []
    if after.crop is None:
        return [Change("crop removed", "cropped")]
    has_moved = before.crop is not None and _goes_along(before.crop, after.crop, before, after, turn)
    words = f"cropped to {after.crop.width} × {after.crop.height}"
    return [] if has_moved else [Change(words, "cropped")]


def _goes_along(was: Crop, now: Crop, before: Recipe, after: Recipe, turn: Matrix) -> bool:
    """Whether a box is only where turning, or straightening, has taken it."""
    wide, high = (was.width, was.height) if turn[0] else (was.height, was.width)
    if before.straighten_deg in (after.straighten_deg, -after.straighten_deg):
        return turn != STAYS and (now.width, now.height) == (wide, high)
    # Straightening scales the box, by whole pixels.
    return abs(now.width * high - now.height * wide) <= 2 * max(wide, high, now.width, now.height)


def _masked(before: Recipe, after: Recipe) -> list[Change]:
    if before.mask == after.mask:
        return []
    word = "removed" if after.mask is None else "set" if before.mask is None else "changed"
    return [Change(f"mask {word}", "masked")]


def _coloured(before: Recipe, after: Recipe) -> list[Change]:
    found = []
    if before.background != after.background:
        words = f"transparent parts filled with {COLOURS.get(after.background, after.background)}"
        found.append(Change(words, "transparent parts filled"))
    if before.alpha != after.alpha:
        word = "not learned" if after.alpha == "mask" else "learned"
        found.append(Change(f"transparent parts {word}", "transparent parts learned or not"))
    return found


def _orientation(recipe: Recipe) -> Matrix:
    found = STAYS
    for _ in range(recipe.quarter_turns):
        found = _times(RIGHT, found)
    if recipe.mirrored:
        found = _times(MIRROR, found)
    return _times(FLIP, found) if recipe.flipped else found


def _times(one: Matrix, other: Matrix) -> Matrix:
    a, b, c, d = one
    e, f, g, h = other
    return (a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h)


def _back(turn: Matrix) -> Matrix:
    a, b, c, d = turn
    return (a, c, b, d)


def _is_mirror(turn: Matrix) -> bool:
    a, b, c, d = turn
    return a * d - b * c < 0

"""From the bars that were measured of an original to the crop that takes them away, after the turns of its recipe."""

from dataclasses import dataclass
from typing import Literal

from app.collect.bars import Shares
from app.collect.facts import PictureFacts, is_unreadable
from app.contract.buckets import Size
from app.contract.recipe import Crop, Recipe, turned

LEAST_SHARE = 0.02
"""Thinner bars are not worth a word."""


State = Literal["unmeasured", "unreadable", "none", "tilted", "straight"]


@dataclass(frozen=True)
class Trim:
    """What is known of an image's bars, and the crop that takes straight ones away."""

    state: State
    crop: Crop | None = None


def trim_of(facts: str | None, recipe: Recipe, upright: Size) -> Trim:
    """Say whether an image has bars that are worth trimming; `facts` is JSON of collect.facts, None for none."""
    bars = PictureFacts.model_validate_json(facts).bars if facts else None
    if bars is None:
        return Trim("unreadable" if is_unreadable(facts) else "unmeasured")
    if not are_worth_trimming(bars):
        return Trim("none")
    crop = without_bars(bars, recipe, upright)
    return Trim("straight", crop) if crop else Trim("tilted")


def are_worth_trimming(bars: Shares) -> bool:
    """Whether one of the bars is wide enough to be learned."""
    return max(bars) >= LEAST_SHARE


def without_bars(bars: Shares, recipe: Recipe, upright: Size) -> Crop | None:
    """The box that leaves the bars out, in pixels of the turned picture; None where straightening has tilted them."""
    if recipe.straighten_deg or not any(bars):
        return None
    left, top, right, bottom = _turned(bars, recipe)
    size = turned(recipe, upright)
    from_left, from_top = round(left * size.width), round(top * size.height)
    width = size.width - from_left - round(right * size.width)
    height = size.height - from_top - round(bottom * size.height)
    return Crop(left=from_left, top=from_top, width=max(1, width), height=max(1, height))


def _turned(bars: Shares, recipe: Recipe) -> Shares:
    left, top, right, bottom = bars
    for _ in range(recipe.quarter_turns):
        left, top, right, bottom = bottom, left, top, right
    if recipe.mirrored:
        left, right = right, left
    if recipe.flipped:
        top, bottom = bottom, top
    return left, top, right, bottom

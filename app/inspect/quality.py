"""Rules of what is in the pixels: size, shape, sharpness, light, writing."""

from collections.abc import Iterator

from app.contract.buckets import Fit
from app.contract.captions import tags
from app.inspect.findings import Facts, Finding, image_page
from app.polish.bars import are_worth_trimming
from app.store.images import ImageRow

HEAVY_CROP_SHARE = 0.15
MUCH_UPSCALED = 1.5
# Up to this resolution the short side should reach it; above, three quarters of it.
FULL_SIDE_PX = 512
LONG_ASPECT, LONGISH_ASPECT = 3.0, 2.0
BLURRED = 100.0
# Flat art has even areas and few edges, and is no worse for it.
FLAT_ART_SHARE = 0.85
DARK, LIGHT = 0.08, 0.96
EVEN_SHARE = 0.995
BLOCKY = 1.3
WRITING = frozenset({"watermark", "signature", "text", "logo", "web address", "web_address", "artist name"})


def upscaled(facts: Facts) -> Iterator[Finding]:
    """An image smaller than its bucket, or with a very short side."""
    least_px = facts.resolution_px if facts.resolution_px <= FULL_SIDE_PX else facts.resolution_px * 3 // 4
    for row, place in facts.fits():
        if place.upscaled:
            scale = place.scaled.width / place.original.width
            yield Finding(
                "upscaled",
                "error" if scale > MUCH_UPSCALED and facts.has_base else "warning",
                row.name,
                f"{_size(row)} is smaller than its bucket {place.bucket.width}×{place.bucket.height}: "
                f"pixels are invented ({scale:.1f} times larger).",
                "Use a larger original or a lower resolution, or switch off “Enlarge small images” when you train."
                if facts.enlarges
                else "It is smaller than one step between buckets: use a larger original.",
                row.id,
                "Q01",
                facts.page("buckets"),
            )
        elif min(row.size.width, row.size.height) < least_px and not _is_long(place):
            yield Finding(
                "short-side",
                "hint",
                row.name,
                f"{_size(row)} has a side under {least_px} pixels.",
                "Use a larger original.",
                row.id,
                "Q01",
                facts.page("buckets"),
            )


def heavy_crop(facts: Facts) -> Iterator[Finding]:
    """An image that loses much to its bucket, or is very long."""
    for row, place in facts.fits():
        aspect = max(row.size.aspect, 1 / row.size.aspect)
        if place.lost > HEAVY_CROP_SHARE:
            yield Finding(
                "heavy-crop",
                "warning",
                row.name,
                f"{place.lost:.0%} of it is cut away to fit {place.bucket.width}×{place.bucket.height}.",
                "Crop it by hand to the part that matters.",
                row.id,
                "Q02",
                f"/images/{row.id}/polish",
            )
        elif aspect > LONGISH_ASPECT and not place.upscaled:
            yield Finding(
                "long",
                "warning" if aspect > LONG_ASPECT else "hint",
                row.name,
                f"It is {aspect:.1f} times as long as wide, which base models have hardly seen.",
                "Crop it to the part that matters.",
                row.id,
                "Q02",
                f"/images/{row.id}/polish",
            )


def blurred(facts: Facts) -> Iterator[Finding]:
    """An image without a sharp edge anywhere; a style may be soft, and flat art has few edges."""
    if facts.purpose == "style":
        return
    for row, found in facts.measured():
        if found.sharpness < BLURRED and found.flatness < FLAT_ART_SHARE:
            yield Finding(
                "blurred",
                "warning",
                row.name,
                f"Even its sharpest part is soft (sharpness {found.sharpness:.0f}, usual is over {BLURRED:.0f}).",
                "Look at it; keep it if that is how it should be.",
                row.id,
                "Q03",
                image_page(row),
            )


def badly_lit(facts: Facts) -> Iterator[Finding]:
    """An image that is nearly black, nearly white or nearly even."""
    for row, found in facts.measured():
        words = ""
        if found.flatness > EVEN_SHARE:
            words = "It is nearly even, with hardly anything to learn from."
        elif found.brightness < DARK:
            words = "It is nearly black."
        elif found.brightness > LIGHT:
            words = "It is nearly white."
        if words:
            fix = "Look at it; keep it if it should be so."
            yield Finding("badly-lit", "hint", row.name, words, fix, row.id, "Q04", image_page(row))


def bars(facts: Facts) -> Iterator[Finding]:
    """An image with even bars at its sides that no crop takes away; bars are learned as part of the picture."""
    for row, found in facts.measured():
        if row.recipe.crop is None and found.bars and are_worth_trimming(found.bars):
            left, top, right, bottom = found.bars
            share = 1 - (1 - left - right) * (1 - top - bottom)
            yield Finding(
                "bars",
                "warning",
                row.name,
                f"Even bars at its sides take {share:.0%} of it, and they are learned with the rest.",
                "Crop them away (C there)."
                if row.recipe.straighten_deg
                else "Trim the bars (T there), or from there those of all images at once.",
                row.id,
                "Q06",
                f"/images/{row.id}/polish",
            )


def blocky(facts: Facts) -> Iterator[Finding]:
    """A JPEG whose blocks show; enlarged ones were measured as they came."""
    for row, found in facts.measured():
        if found.blocking > BLOCKY:
            yield Finding(
                "blocky",
                "warning",
                row.name,
                f"The blocks of its compression show (steps at their edges are {found.blocking:.1f} times the usual); "
                "a LoRA learns them.",
                "Find a better copy; saving it again does not help.",
                row.id,
                "Q05",
                image_page(row),
            )


def writing(facts: Facts) -> Iterator[Finding]:
    """An image whose caption tells of writing, which a LoRA learns very readily."""
    for row in facts.rows:
        found = sorted(WRITING & {tag.casefold() for tag in tags(row.caption or "")})
        if found:
            yield Finding(
                "writing",
                "warning",
                row.name,
                f"Its caption tells of {found[0]}; writing is learned very readily.",
                "Crop it away, or mask it, and take the tag out.",
                row.id,
                "Q06",
                f"/images/{row.id}/polish",
            )


def _size(row: ImageRow) -> str:
    return f"{row.size.width}×{row.size.height}"


def _is_long(place: Fit) -> bool:
    # Told of by its shape already.
    aspect = place.original.aspect
    return max(aspect, 1 / aspect) > LONGISH_ASPECT

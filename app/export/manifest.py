"""The manifest of an export: where each file came from, under which terms, and what was done to it."""

import json
from collections.abc import Sequence

from app.export.layout import OutFile, Written
from app.export.names import json_line

NAME = "manifest.jsonl"


def manifest(written: Sequence[Written]) -> OutFile:
    """One JSON object a line, in the order of the project."""
    return OutFile(NAME, "".join(json_line(_line(each)) for each in written).encode())


def _line(each: Written) -> dict[str, object]:
    item = each.place.item
    row, origin = item.row, item.provenance
    return {
        "file": each.picture,
        "mask": each.mask if each.is_masked else None,
        "original_name": row.name,
        "sha256": row.sha256,
        "width_px": each.width_px,
        "height_px": each.height_px,
        "repeats": row.repeats,
        "weight": row.weight,
        "split": row.split,
        "recipe": json.loads(row.recipe.to_json()),
        "caption_version": item.caption_version,
        "source": origin.source,
        "author": origin.author,
        "licence": origin.licence,
        "collected_on": origin.collected_on,
        "no_ai": origin.no_ai,
        "parent_id": origin.parent_id,
    }

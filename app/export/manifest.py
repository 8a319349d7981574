"""The manifest of an export: where each file came from, under which terms, what was done to it; what was left out."""

import json
from collections.abc import Sequence

from app.export.layout import LeftOut, OutFile, Parent, Written
from app.export.names import json_line

NAME = "manifest.jsonl"


def manifest(written: Sequence[Written], left_out: Sequence[LeftOut] = ()) -> OutFile:
    """One JSON object a line, in the order of the project; after them the images that could not be read."""
    lines = (*map(_line, written), *map(_gap, left_out))
    return OutFile(NAME, "".join(map(json_line, lines)).encode())


def _gap(each: LeftOut) -> dict[str, object]:
    row = each.item.row
    return {"file": None, "original_name": row.name, "sha256": row.sha256, "left_out": each.reason}


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
        "by": item.by or None,
        "parent": _parent(item.parent) if item.parent else None,
    }


def _parent(parent: Parent) -> dict[str, object]:
    return {"original_name": parent.name, "sha256": parent.sha256}

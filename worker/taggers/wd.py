"""WD-style taggers: an ONNX model and the list of its tags, run by onnxruntime.

The input's layout is read from the model. Channels last (the WD releases) takes blue, green, red as 0 to 255; channels
first (models exported from timm) takes the same order centred and scaled. The picture is padded to a square on white.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from app.contract.captions import tags
from app.contract.spec import TagSpec
from app.contract.suggestions import DOUBT, WD_FILES, Answer, spoken, tag_key
from worker.errors import ModelMissing
from worker.taggers.base import Said, View
from worker.taggers.onnx_model import open_session, probabilities

MODEL_FILE, TAGS_FILE = WD_FILES
CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating"}
USUAL_SIDE_PX = 448
BATCH = 4
GET_BOTH = f"A tagger is a folder with {MODEL_FILE} and {TAGS_FILE}; get both from the model's page."


@dataclass(frozen=True)
class KnownTag:
    """A tag that the model was trained on, as people write it."""

    text: str
    category: str


@dataclass(frozen=True)
class Entry:
    """What the model's input looks like."""

    name: str
    is_channels_last: bool
    side_px: int
    batch: int


class WdTagger:
    """A loaded tagger."""

    def __init__(self, spec: TagSpec) -> None:
        """Load the model of the spec's folder. Raises ModelMissing."""
        folder = Path(spec.model_path)
        self._spec = spec
        self._tags = read_tags(folder / TAGS_FILE)
        self._places = {tag_key(tag.text): place for place, tag in enumerate(self._tags)}
        self._session = open_session(folder / MODEL_FILE, GET_BOTH)
        self._entry = read_entry(self._session, folder)

    @property
    def batch(self) -> int:
        """How many images the model takes together."""
        return self._entry.batch

    def look(self, views: Sequence[View]) -> list[Said]:
        """Say which tags each image has, and which of its caption's it does not seem to have."""
        pixels = np.stack([prepared(view.picture, self._entry) for view in views])
        output = self._session.run(None, {self._entry.name: pixels})[0]
        if output.ndim != 2 or output.shape[1] != len(self._tags):
            raise ModelMissing(
                f"The model answers with {output.shape[-1]} numbers an image, but {TAGS_FILE} names {len(self._tags)}.",
                GET_BOTH,
            )
        return [self._said(view, row) for view, row in zip(views, probabilities(output), strict=True)]

    def _said(self, view: View, probability: "np.ndarray[Any, Any]") -> Said:
        found = [
            Answer(kind="tag", text=tag.text, category=tag.category, confidence=float(probability[place]))
            for place, tag in enumerate(self._tags)
            if tag.category != "rating" and probability[place] >= self._least(tag)
        ]
        found.sort(key=lambda answer: -answer.confidence)
        said = {tag_key(answer.text) for answer in found}
        return Said((*found[: self._spec.most_tags], *self._doubts(view, probability, said)))

    def _doubts(self, view: View, probability: "np.ndarray[Any, Any]", said: set[str]) -> list[Answer]:
        written = {tag_key(text): text for text in reversed(tags(view.row.caption))}
        return [
            Answer(kind="tag", text=text, category=DOUBT, confidence=float(probability[self._places[key]]))
            for key, text in written.items()
            if key in self._places and key not in said and self._tags[self._places[key]].category != "rating"
        ]

    def _least(self, tag: KnownTag) -> float:
        return self._spec.character_threshold if tag.category == "character" else self._spec.threshold


def read_tags(path: Path) -> tuple[KnownTag, ...]:
    """Read the list of tags, in the order of the model's output. Raises ModelMissing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return tuple(KnownTag(spoken(row["name"]), CATEGORIES.get(row["category"], "general")) for row in rows)
    except OSError as error:
        raise ModelMissing(f"{path} cannot be read: {error.strerror or error}.", GET_BOTH) from error
    except (KeyError, ValueError, csv.Error) as error:
        raise ModelMissing(f"{path} is no list of tags: it lacks names or categories.", GET_BOTH) from error


def read_entry(session: onnxruntime.InferenceSession, folder: Path) -> Entry:
    """Read how pictures go in. Raises ModelMissing for a model that takes something else."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise ModelMissing(f"{folder / MODEL_FILE} takes no single colour image, but {shape}.", GET_BOTH)
    is_last = shape[3] == 3
    side = shape[1] if is_last else shape[2]
    return Entry(
        name=inputs[0].name,
        is_channels_last=is_last,
        side_px=side if isinstance(side, int) and side > 0 else USUAL_SIDE_PX,
        batch=shape[0] if isinstance(shape[0], int) and shape[0] > 0 else BATCH,
    )


def prepared(picture: Image.Image, entry: Entry) -> "np.ndarray[Any, Any]":
    """Return the picture as the model's input: float32, side × side × 3, or 3 × side × side."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), (255, 255, 255))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    scaled = square.resize((entry.side_px, entry.side_px), Image.Resampling.BICUBIC)
    reversed_colours = np.asarray(scaled, dtype=np.float32)[:, :, ::-1]
    if entry.is_channels_last:
        return np.ascontiguousarray(reversed_colours)
    return np.ascontiguousarray((reversed_colours / 127.5 - 1).transpose(2, 0, 1))

"""Subject finders: ONNX models that answer with one map of how much each pixel belongs to the subject.

U²-Net, IS-Net, BiRefNet, RMBG and their kin take one colour picture, channels first, and give the finest map first. The
picture is stretched to the model's size, as their own code does; maps without their sigmoid are told by their range.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from app.contract.buckets import Size
from app.contract.pixels import size_of, turned_back
from app.contract.recipe import Crop, turned
from app.contract.rundir import RunDir, publish
from app.contract.spec import MaskSpec, Scaling
from app.contract.suggestions import Subject, mask_path
from worker.errors import ModelMissing
from worker.taggers.base import Said, View
from worker.taggers.onnx_model import FAULTS, open_session, probabilities

USUAL_SIDE_PX = {"imagenet": 320, "half": 1024}
"""Side of the input where the graph leaves it open."""

COLOURS: dict[Scaling, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
}
"""Mean and deviation of red, green and blue, of 1."""

SIDE_PX = 1600
"""A mask is no larger: it counts at an eighth of the training size, and smooth edges scale well."""
LEAST_PEAK = 0.5
"""A map that is nowhere surer than this shows no subject."""
SURE = 0.5
STRAY_SHARE = 0.0025
"""So much of the subject may lie beyond each side of its box: a few stray pixels must not widen it."""
GET_ONE = (
    "Point at an .onnx export of U²-Net, IS-Net, BiRefNet or RMBG: one colour image in, channels first, one map out."
)


@dataclass(frozen=True)
class Entry:
    """What the model's input looks like."""

    name: str
    width_px: int
    height_px: int
    dtype: str


class SubjectFinder:
    """A loaded model; its masks are published in the run's folder."""

    def __init__(self, spec: MaskSpec, run_dir: RunDir) -> None:
        """Load the spec's model. Raises ModelMissing."""
        self._spec = spec
        self._run_dir = run_dir
        self._session = open_session(Path(spec.model_path), GET_ONE)
        self._entry = read_entry(self._session, spec)
        self._finest = self._session.get_outputs()[0].name

    @property
    def batch(self) -> int:
        """One image at a time: the large ones of these models need gigabytes for each."""
        return 1

    def look(self, views: Sequence[View]) -> list[Said]:
        """Find the subject of each image. Raises ModelMissing for a model that answers with something else."""
        return [self._look(view) for view in views]

    def _look(self, view: View) -> Said:
        pixels = prepared(view.picture, self._entry, self._spec.scaling)
        try:
            output = self._session.run([self._finest], {self._entry.name: pixels})[0]
        except FAULTS as error:
            raise ModelMissing(
                f"{self._spec.model} fails on an image: {str(error).splitlines()[0][:200]}", GET_ONE
            ) from error
        found = read_map(output)
        if found is None:
            raise ModelMissing(f"{self._spec.model} answers with {np.shape(output)}, which is no map.", GET_ONE)
        peak = float(found.max())
        if peak < LEAST_PEAK:
            return Said(note="The model sees no subject.")
        upright = turned(view.row.recipe, size_of(view.picture))
        drawn = turned_back(mask_of(found / peak, size_of(view.picture)), view.row.recipe)
        subject = Subject(mask_sha256=self._put(drawn), box=box_around(drawn, upright), share=share_of(drawn))
        return Said(subject=subject)

    def _put(self, drawn: Image.Image) -> str:
        buffer = BytesIO()
        drawn.save(buffer, "PNG")
        data = buffer.getvalue()
        sha256 = hashlib.sha256(data).hexdigest()
        publish(mask_path(self._run_dir, sha256), data)
        return sha256


def read_entry(session: onnxruntime.InferenceSession, spec: MaskSpec) -> Entry:
    """Read how pictures go in. Raises ModelMissing for a model that takes something else."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or (isinstance(shape[0], int) and shape[0] != 1):
        raise ModelMissing(f"{spec.model} takes no single colour image with channels first, but {shape}.", GET_ONE)
    if inputs[0].type not in ("tensor(float)", "tensor(float16)"):
        raise ModelMissing(f"{spec.model} takes {inputs[0].type}, no shares of colours.", GET_ONE)
    usual = USUAL_SIDE_PX[spec.scaling]
    height, width = (side if isinstance(side, int) and side > 0 else usual for side in shape[2:])
    return Entry(inputs[0].name, width, height, "float16" if "16" in inputs[0].type else "float32")


def prepared(picture: Image.Image, entry: Entry, scaling: Scaling) -> "np.ndarray[Any, Any]":
    """Return the picture as the model's input: 1 × 3 × height × width."""
    scaled = picture.resize((entry.width_px, entry.height_px), Image.Resampling.BILINEAR)
    mean, deviation = (np.array(numbers, dtype=np.float32) for numbers in COLOURS[scaling])
    pixels = (np.asarray(scaled, dtype=np.float32) / 255 - mean) / deviation
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]).astype(entry.dtype)


def read_map(output: Any) -> "np.ndarray[Any, Any] | None":
    """Return the first map of an output as height × width from 0 to 1, None where it is no map."""
    values = np.asarray(output)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2 or min(values.shape) < 2 or not np.issubdtype(values.dtype, np.floating):
        return None
    return probabilities(values)


def mask_of(found: "np.ndarray[Any, Any]", size: Size) -> Image.Image:
    """Return a map as a greyscale picture of the same shape as the image, no larger than it or than 1600 px."""
    scale = min(1.0, SIDE_PX / max(size.width, size.height))
    sides = max(1, round(size.width * scale)), max(1, round(size.height * scale))
    grey = Image.fromarray(np.round(np.clip(found, 0, 1) * 255).astype(np.uint8))
    return grey.resize(sides, Image.Resampling.BICUBIC)


def box_around(mask: Image.Image, size: Size) -> Crop:
    """Return the box around the white of a mask, in pixels of a picture of this size; a few stray ones stay outside."""
    sure = np.asarray(mask) >= 255 * SURE
    if not sure.any():
        return Crop(left=0, top=0, width=size.width, height=size.height)
    left, right = span(sure.sum(axis=0), size.width)
    top, bottom = span(sure.sum(axis=1), size.height)
    return Crop(left=left, top=top, width=right - left, height=bottom - top)


def span(counts: "np.ndarray[Any, Any]", length_px: int) -> tuple[int, int]:
    """Return where the counts begin and end, on a line of so many pixels."""
    reached = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(reached, STRAY_SHARE, side="right"))
    last = int(np.searchsorted(reached, 1 - STRAY_SHARE, side="left"))
    scale = length_px / len(counts)
    begin = min(int(first * scale), length_px - 1)
    return begin, max(begin + 1, min(length_px, int(np.ceil((last + 1) * scale))))


def share_of(mask: Image.Image) -> float:
    """Return how much of a mask is white, from 0 to 1."""
    return round(float(np.asarray(mask).mean()) / 255, 4)

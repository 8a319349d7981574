"""Opening an ONNX model with onnxruntime, and reading its scores."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from worker.errors import ModelMissing

ROUNDING = 1e-3
# Fastest first, of those that onnxruntime may have been built with.
PROVIDERS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
# onnxruntime's errors share no base of their own.
FAULTS = (
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NoModel,
    faults.NoSuchFile,
    faults.NotImplemented,
    faults.RuntimeException,
    RuntimeError,
    ValueError,
    OSError,
)


def open_session(path: Path, get_it: str) -> onnxruntime.InferenceSession:
    """Load the model, on a GPU where onnxruntime has one. Raises ModelMissing; `get_it` says where models come from."""
    if not path.is_file():
        raise ModelMissing(f"There is no {path}.", get_it)
    has = onnxruntime.get_available_providers()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, [each for each in PROVIDERS if each in has])
    except FAULTS as error:
        raise ModelMissing(
            f"{path} cannot be loaded: {str(error).splitlines()[0][:300]}", "Download it again; it may be cut short."
        ) from error


def probabilities(output: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the output as numbers from 0 to 1; scores beyond that range have not been through the sigmoid yet."""
    scores = np.nan_to_num(output.astype(np.float64))
    if scores.min() < -ROUNDING or scores.max() > 1 + ROUNDING:
        scores = 1 / (1 + np.exp(-np.clip(scores, -60, 60)))
    return np.clip(scores, 0, 1)

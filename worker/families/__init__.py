"""The families the worker can train: a table of modules, loaded on demand."""

from importlib import import_module

import diffusers.utils.logging
import torch
import transformers.utils.logging

from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef
from worker.families.base import Family
from worker.families.reading import Reading
from worker.single_file import FamilyFiles

MODULES: dict[FamilyKey, str] = {"sd15": "worker.families.sd15", "sdxl": "worker.families.sdxl"}


def load(
    base: BaseModelRef, dtype: torch.dtype, reading: Reading | None = None, files: FamilyFiles | None = None
) -> Family:
    """Load a base model with its family, reading texts as told; `files` stand in for those shipped for single files.

    Raises ModelMissing or BadSpec naming what was found and what was expected.
    """
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    family: Family = import_module(MODULES[base.family]).load(base, dtype, reading or Reading(), files)
    return family

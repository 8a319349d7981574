"""The families the worker can train: a table of modules, loaded on demand."""

from importlib import import_module

import diffusers.utils.logging
import torch
import transformers.utils.logging

from app.contract.families import FamilyKey
from app.contract.spec import BaseModelRef
from worker.families.base import Family

MODULES: dict[FamilyKey, str] = {"sd15": "worker.families.sd15", "sdxl": "worker.families.sdxl"}


def load(base: BaseModelRef, dtype: torch.dtype) -> Family:
    """Load a base model with its family. Raises ModelMissing or BadSpec naming what was found and what was expected."""
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    family: Family = import_module(MODULES[base.family]).load(base, dtype)
    return family

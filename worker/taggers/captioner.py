"""Captioning models that transformers loads from a folder: offline, safetensors only, and no code but its own."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from app.contract.spec import TagSpec
from app.contract.suggestions import CAPTIONERS
from worker.errors import ModelMissing
from worker.memory import choose_machine
from worker.taggers.base import Said, View
from worker.taggers.words import filled, heard

LONGEST_SIDE_PX = 1024
FLORENCE_TASK = "<MORE_DETAILED_CAPTION>"
LOADING_FAULTS = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ImportError)


class Captioner:
    """A loaded captioner."""

    def __init__(self, spec: TagSpec) -> None:
        """Load the model of the spec's folder onto the GPU, where there is one. Raises ModelMissing."""
        folder = Path(spec.model_path)
        self._spec = spec
        self._model_type = read_model_type(folder)
        self._machine = choose_machine("auto")
        self._processor, self._model = load(folder, self._machine.dtype)
        self._model.to(self._machine.device)
        self._model.eval()

    @property
    def batch(self) -> int:
        """One image at a time: answers differ in length."""
        return 1

    def look(self, views: Sequence[View]) -> list[Said]:
        """Write a caption for each image."""
        return [self._look(view) for view in views]

    def _look(self, view: View) -> Said:
        picture = view.picture.copy()
        picture.thumbnail((LONGEST_SIDE_PX, LONGEST_SIDE_PX), Image.Resampling.LANCZOS)
        prompt = filled(self._spec.prompt, view.row, self._spec.trigger_word).strip()
        inputs = self._inputs(picture, prompt).to(self._machine.device, self._machine.dtype)
        with torch.inference_mode():
            made = self._model.generate(**inputs, max_new_tokens=self._spec.max_tokens, do_sample=False)[0]
        if self._has_chat:
            made = made[inputs["input_ids"].shape[1] :]
        text = self._processor.decode(made, skip_special_tokens=True)
        was_cut = self._has_chat and len(made) >= self._spec.max_tokens
        return heard(text, self._spec.trigger_word, was_cut=was_cut)

    @property
    def _has_chat(self) -> bool:
        return self._model_type not in ("blip", "florence2")

    def _inputs(self, picture: Image.Image, prompt: str) -> Any:
        if self._has_chat:
            content = [{"type": "image"}, {"type": "text", "text": prompt or "Describe this image."}]
            talk = [{"role": "user", "content": content}]
            text = self._processor.apply_chat_template(talk, add_generation_prompt=True)
            return self._processor(text=[text], images=[picture], return_tensors="pt")
        if self._model_type == "florence2":
            task = prompt if prompt.startswith("<") else FLORENCE_TASK
            return self._processor(text=[task], images=[picture], return_tensors="pt")
        return self._processor(images=[picture], text=[prompt] if prompt else None, return_tensors="pt")


def read_model_type(folder: Path) -> str:
    """Read which architecture the folder holds. Raises ModelMissing for none, or one that is not allowed."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelMissing(
            f"{folder} holds no captioner: its config.json cannot be read.", "Name the folder that holds it."
        ) from error
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in CAPTIONERS:
        raise ModelMissing(
            f"{folder.name} is of the architecture {model_type}, which is not among those that can caption here.",
            f"These can: {', '.join(CAPTIONERS)}. Others may be served by Ollama, LM Studio or vLLM as an endpoint.",
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelMissing(
            f"{folder.name} has no .safetensors file, and files of other formats can run code when they are opened.",
            "Get the safetensors version of the model.",
        )
    return str(model_type)


def load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Load processor and model. Raises ModelMissing, also when weights of the model are not in the files."""
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **safe)
        model, told = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **safe
        )
    except LOADING_FAULTS as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise ModelMissing(
            f"{folder.name} cannot be loaded: {reason}",
            "Get all files of the model again. Some need another package: pip install torchvision.",
        ) from error
    lacking = sorted(told["missing_keys"])
    if lacking:
        raise ModelMissing(
            f"{folder.name} lacks {len(lacking)} of the model's weights, such as {lacking[0]}.",
            "Get the version of the model that is made for transformers itself, without code of its own.",
        )
    return processor, model

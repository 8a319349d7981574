"""From the fields of the form to the settings of a tag run, each mistake beside its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError

from app.contract.endpoint import EndpointError, read_endpoint
from app.contract.spec import TagSpec
from app.label.taggers import FoundTagger
from app.launch.tag_start import Scope

ENDPOINT = "endpoint"
"""The choice that is no folder."""

PROMPT = (
    "Describe this image in one or two plain sentences, as a caption for training an image model. Name the subject, "
    "what it does, what it wears, the surroundings and the framing. Do not speak of quality or style."
)
DEFAULTS = {
    "model": "",
    "threshold": "0.35",
    "character_threshold": "0.85",
    "most_tags": "40",
    "max_tokens": "200",
    "address": "http://127.0.0.1:11434/v1",
    "endpoint_model": "",
    "prompt": "",
    "scope": "all",
}
WITHOUT_PROMPT = ("blip", "florence2")
"""Architectures that do not follow a prompt in words: BLIP goes on where it ends, Florence-2 takes a task."""

NUMBERS = ("threshold", "character_threshold", "most_tags", "max_tokens")


@dataclass(frozen=True)
class TagDraft:
    """What was typed, what is wrong with it, and the settings once nothing is."""

    values: Mapping[str, str]
    chosen: FoundTagger | None
    errors: Mapping[str, str]
    spec: TagSpec | None

    @property
    def is_endpoint(self) -> bool:
        """Whether another program's model was chosen."""
        return self.values["model"] == ENDPOINT

    @property
    def follows_prompt(self) -> bool:
        """Whether the model does what a prompt in plain words asks for."""
        return self.is_endpoint or bool(
            self.chosen and self.chosen.kind == "captioner" and self.chosen.note not in WITHOUT_PROMPT
        )

    @property
    def scope(self) -> Scope:
        """Which images are looked at."""
        return next((each for each in get_args(Scope) if each == self.values["scope"]), "all")


def draft(
    project: str,
    trigger_word: str,
    found: Sequence[FoundTagger],
    texts: Mapping[str, str],
    remembered: Mapping[str, str] | None = None,
) -> TagDraft:
    """Read the form; fields that are absent have what is remembered of them, or their defaults."""
    before = remembered or {}
    typed = {key: text.strip() for key, text in texts.items() if key in DEFAULTS}
    values = {**DEFAULTS, **before, **typed}
    usable = [each for each in found if not each.trouble]
    if not values["model"]:
        values["model"] = usable[0].path if usable else ENDPOINT
    chosen = next((each for each in usable if each.path == values["model"]), None)
    if "prompt" not in typed:
        follows = TagDraft(values, chosen, {}, None).follows_prompt
        values["prompt"] = (before.get("prompt") or PROMPT) if follows else ""
    errors: dict[str, str] = {}
    data: dict[str, object] = {"project": project, "trigger_word": trigger_word, "prompt": values["prompt"]}
    if values["model"] == ENDPOINT:
        data |= _endpoint(values, errors)
    elif chosen is None:
        errors["model"] = "This model is no longer where it was found. Choose another, or look for it again."
    else:
        data |= {"tagger": chosen.kind, "model": chosen.name, "model_path": chosen.path, "name": chosen.name}
    for key in NUMBERS:
        data[key] = values[key].replace(",", ".")
    return TagDraft(values, chosen, errors, _spec(data, errors))


def _endpoint(values: Mapping[str, str], errors: dict[str, str]) -> dict[str, object]:
    try:
        address = str(read_endpoint(values["address"]))
    except EndpointError as error:
        errors["address"] = f"{error.message} {error.hint}"
        address = ""
    model = values["endpoint_model"]
    if not model:
        errors["endpoint_model"] = "Name the model as the server lists it, such as qwen2.5vl:7b."
    if not values["prompt"]:
        errors["prompt"] = "Say what the model is to write."
    return {"tagger": "endpoint", "address": address, "model": model or "-", "name": model or "-"}


def _spec(data: Mapping[str, object], errors: dict[str, str]) -> TagSpec | None:
    try:
        spec = TagSpec.model_validate({"tagger": "wd", "model": "-", "name": "-", **data})
    except ValidationError as error:
        for each in error.errors():
            key = str(each["loc"][0])
            errors.setdefault(key, _reason(key, each["msg"]))
        return None
    return None if errors else spec


def _reason(key: str, message: str) -> str:
    limits = {
        "threshold": "Give a number from 0 to 1, such as 0.35.",
        "character_threshold": "Give a number from 0 to 1, such as 0.85.",
        "most_tags": "Give a whole number from 1 to 500.",
        "max_tokens": "Give a whole number from 1 to 4096.",
    }
    return limits.get(key, f"{message}.")

"""The training form: fields made from the spec, a draft of it with errors beside fields, and the spec in the end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from app.contract.purposes import PURPOSES, PurposeKey
from app.contract.spec import (
    BaseModelRef,
    Data,
    Network,
    Optimization,
    Prompt,
    Sampling,
    Saving,
    TrainSpec,
    Validation,
)
from app.errors import Invalid
from app.launch.presets import Preset, Value, presets_for

FieldKind = Literal["int", "float", "choice", "bool", "text"]
GROUPS: dict[str, type[BaseModel]] = {
    "optimization": Optimization,
    "network": Network,
    "data": Data,
    "sampling": Sampling,
    "validation": Validation,
    "saving": Saving,
}
MAIN = (
    "optimization.steps",
    "optimization.batch",
    "optimization.learning_rate",
    "network.rank",
    "data.resolution_px",
    "saving.every_steps",
)
DEFAULT_PRESET = "balanced"
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})
SAMPLE_SEED = 42


@dataclass(frozen=True)
class Field:
    """One control of the form: dotted spec key, words, and how its text is read."""

    key: str
    label: str
    help: str
    kind: FieldKind
    choices: tuple[str, ...] = ()
    unit: str = ""
    is_main: bool = False
    is_optional: bool = False


@dataclass(frozen=True)
class Subject:
    """What a draft is made for: the project's facts and the chosen base."""

    project: str
    purpose: PurposeKey
    trigger_word: str
    base: BaseModelRef
    resolution_px: int
    image_count: int


@dataclass(frozen=True)
class Draft:
    """A form as filled in: texts by key, errors by key, and the spec when there are none."""

    preset: Preset
    values: dict[str, str]
    errors: dict[str, str]
    spec: TrainSpec | None


def fields() -> tuple[Field, ...]:
    """Every control, main ones first in their order."""
    found = [_field(f"{group}.{name}", info) for group, name, info in _leaves()]
    order = {key: place for place, key in enumerate(MAIN)}
    return tuple(sorted(found, key=lambda field: order.get(field.key, len(order))))


def _leaves() -> Iterable[tuple[str, str, FieldInfo]]:
    for group, model in GROUPS.items():
        for name, info in model.model_fields.items():
            if info.title:
                yield group, name, info


def _field(key: str, info: FieldInfo) -> Field:
    annotation = info.annotation
    choices = tuple(str(choice) for choice in get_args(annotation)) if get_origin(annotation) is Literal else ()
    return Field(
        key=key,
        label=info.title or key,
        help=info.description or "",
        kind="choice" if choices else _kind(annotation),
        choices=choices,
        unit="px" if key.endswith("_px") else "steps" if key.endswith("every_steps") else "",
        is_main=key in MAIN,
        is_optional=type(None) in get_args(annotation),
    )


def _kind(annotation: Any) -> FieldKind:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    kinds: dict[Any, FieldKind] = {bool: "bool", int: "int", float: "float"}
    return kinds.get(annotation, "text")


def draft(subject: Subject, preset_key: str | None, texts: Mapping[str, str]) -> Draft:
    """Fill the form: preset values, then the given texts over them; errors stand by key and lose no other text.

    Besides spec keys, `texts` may hold `name` and `prompts` (one a line).
    """
    presets = presets_for(subject.purpose, subject.base.family, subject.resolution_px, subject.image_count)
    by_key = {preset.key: preset for preset in presets}
    preset = by_key.get(preset_key or DEFAULT_PRESET, by_key[DEFAULT_PRESET])
    values = {"name": subject.project, "prompts": "\n".join(_prompts(subject))}
    values |= {f"{group}.{name}": _text(info.default) for group, name, info in _leaves()}
    values |= {key: _text(value) for key, value in preset.values.items()}
    values |= {key: text.strip() for key, text in texts.items() if key in values}
    errors = {key: f"There is no setting called {key}." for key in texts if key not in values}
    if preset_key and preset_key not in by_key:
        errors["preset"] = f"There is no preset called {preset_key[:40]}; there are {', '.join(by_key)}."
    spec, refused = _spec(subject, values)
    errors |= refused
    return Draft(preset, values, errors, None if errors else spec)


def _prompts(subject: Subject) -> tuple[str, ...]:
    trigger = subject.trigger_word or subject.project
    return tuple(template.format(trigger=trigger) for template in PURPOSES[subject.purpose].prompts)


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _spec(subject: Subject, values: Mapping[str, str]) -> tuple[TrainSpec | None, dict[str, str]]:
    groups: dict[str, dict[str, object]] = {group: {} for group in GROUPS}
    errors: dict[str, str] = {}
    for field in fields():
        group, name = field.key.split(".")
        try:
            groups[group][name] = _read(field, values[field.key])
        except ValueError as error:
            errors[field.key] = str(error)
    prompts = [line.strip() for line in values["prompts"].splitlines() if line.strip()]
    groups["sampling"]["prompts"] = [Prompt(text=line, seed=SAMPLE_SEED) for line in prompts]
    if not values["name"]:
        errors["name"] = "Give the run a name."
    try:
        # What could not be read stands at its default here, so that the other fields are told their errors, too.
        spec = _validated(subject, values["name"] or subject.project, groups)
    except ValidationError as refused:
        errors |= {".".join(str(part) for part in error["loc"][:2]): error["msg"] for error in refused.errors()}
    return (None, errors) if errors else (spec, {})


def _validated(subject: Subject, name: str, groups: dict[str, dict[str, object]]) -> TrainSpec:
    return TrainSpec.model_validate(
        {
            "name": name,
            "project": subject.project,
            "purpose": subject.purpose,
            "trigger_word": subject.trigger_word,
            "base": subject.base.model_dump(),
            **groups,
        }
    )


def _read(field: Field, text: str) -> object:
    if field.kind == "bool":
        word = text.lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise ValueError("Say on or off.")
        return word in TRUE_WORDS
    if field.kind == "choice":
        if text not in field.choices:
            raise ValueError(f"Choose one of {', '.join(field.choices)}.")
        return text
    if not text:
        if field.is_optional:
            return None
        raise ValueError("Give a number.")
    try:
        return int(text) if field.kind == "int" else float(text)
    except ValueError:
        what = "a whole number" if field.kind == "int" else "a number, such as 0.0001"
        raise ValueError(f"{text!r} is not {what}.") from None


def refused(made: Draft) -> Invalid:
    """Say all that is wrong with a draft at once, for those who have no form before them."""
    words = "; ".join(f"{key}: {text}" for key, text in made.errors.items())
    return Invalid(words, "Change these settings, or leave them to the preset.")

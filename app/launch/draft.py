"""A draft of the training form: texts in, errors beside fields, and the spec in the end."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from app.contract.optimizers import FALLBACK, available, missing_package, way_out
from app.contract.purposes import PURPOSES, PurposeKey
from app.contract.spec import BaseModelRef, Prompt, TrainSpec
from app.errors import Invalid
from app.launch.controls import BLOCKS, CONTINUES, MODELS, OPTIMIZER, Field, leaves
from app.launch.controls import fields as fields
from app.launch.presets import DEFAULT_PRESET, SMALL_BASE_PX, Preset, Value, presets_for
from app.launch.written import read_blocks, read_continues

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})
SAMPLE_SEED = 42
ENLARGES = "data.enlarges"


@dataclass(frozen=True)
class Subject:
    """What a draft is made for: the project's facts and the chosen base."""

    project: str
    purpose: PurposeKey
    trigger_word: str
    base: BaseModelRef
    resolution_px: int
    image_count: int
    held_out_count: int = 0
    enlarges: bool = True


@dataclass(frozen=True)
class Draft:
    """A form as filled in: texts by key, errors by key, and the spec when there are none."""

    preset: Preset
    values: dict[str, str]
    errors: dict[str, str]
    spec: TrainSpec | None


def presets_of(subject: Subject) -> tuple[Preset, ...]:
    """The presets there are for a subject."""
    return presets_for(
        subject.purpose, subject.base.family, subject.resolution_px, subject.image_count, subject.held_out_count
    )


def draft(subject: Subject, preset_key: str | None, texts: Mapping[str, str]) -> Draft:
    """Fill the form: preset values, then the given texts over them; errors stand by key and lose no other text.

    Besides spec keys, `texts` may hold `name` and `prompts` (one a line).
    """
    presets = presets_of(subject)
    by_key = {preset.key: preset for preset in presets}
    preset = by_key.get(preset_key or DEFAULT_PRESET, by_key[DEFAULT_PRESET])
    values = {"name": subject.project, "prompts": "\n".join(_prompts(subject))}
    values |= {BLOCKS: "", CONTINUES: ""}
    values |= {key: _text(info.default) for key, info in leaves()}
    values |= {key: _text(value) for key, value in _possible(preset.values).items()}
    # As the project was trained last, so that the pages before it show what a run will do.
    values |= {ENLARGES: _text(subject.enlarges)}
    values |= {key: text.strip() for key, text in texts.items() if key in values}
    errors = {key: f"There is no setting called {key}." for key in texts if key not in values}
    if preset_key and preset_key not in by_key:
        errors["preset"] = f"There is no preset called {preset_key[:40]}; there are {', '.join(by_key)}."
    spec, refused = _spec(subject, values)
    errors |= refused
    return Draft(preset, values, errors, None if errors else spec)


def _possible(values: Mapping[str, Value]) -> dict[str, Value]:
    """A preset's values with an optimizer that is there; one that a person chooses is told to be missing instead."""
    found = dict(values)
    if found.get(OPTIMIZER, FALLBACK) not in available():
        found[OPTIMIZER] = FALLBACK
    return found


def _prompts(subject: Subject) -> tuple[str, ...]:
    trigger = subject.trigger_word or subject.project
    purpose = PURPOSES[subject.purpose]
    templates = purpose.miniature_prompts if subject.resolution_px < SMALL_BASE_PX else purpose.prompts
    return tuple(template.format(trigger=trigger) for template in templates)


def _text(value: Value | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _spec(subject: Subject, values: Mapping[str, str]) -> tuple[TrainSpec | None, dict[str, str]]:
    groups: dict[str, dict[str, object]] = {group: {} for group in MODELS}
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
        found = {".".join(str(part) for part in error["loc"][:2]): error["msg"] for error in refused.errors()}
        errors |= {key: _out_of_bounds(key, values) or message for key, message in found.items()}
    else:
        errors |= {key: text for key, text in _disagreements(spec).items() if key not in errors}
    return (None, errors) if errors else (spec, {})


def _out_of_bounds(key: str, values: Mapping[str, str]) -> str:
    """Say in our words which number a setting cannot be; empty for what has no bounds."""
    bounds = next((field.bounds for field in fields() if field.key == key), "")
    return f"{values[key]} is not possible here: {bounds[0].lower()}{bounds[1:]}" if bounds else ""


def _disagreements(spec: TrainSpec) -> dict[str, str]:
    """What is right by itself and wrong together, by the key of the setting to change."""
    settings, found = spec.optimization, {}
    if settings.min_timestep > settings.max_timestep:
        found["optimization.min_timestep"] = "The lowest timestep is above the highest."
    if spec.base.family == "sd15" and settings.text_encoder_2_learning_rate:
        found["optimization.text_encoder_2_learning_rate"] = "Stable Diffusion 1.5 has one text encoder only."
    if missing_package(settings.optimizer):
        found[OPTIMIZER] = f"{settings.optimizer} is not installed. {way_out(settings.optimizer)}"
    return found


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
    if field.key == BLOCKS:
        return read_blocks(text)
    if field.key == CONTINUES:
        return read_continues(text)
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

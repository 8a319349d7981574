"""Settings of other trainers read into the form: what maps, what means something else here, and what is left."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from app.errors import Invalid
from app.launch.settings_rules import AI_TOOLKIT, KOHYA, ONETRAINER, Program, Rule, is_on

MAX_CHARACTERS = 500_000
MAX_DEPTH = 12
FORMATS = "Give kohya's TOML or JSON, OneTrainer's JSON or ai-toolkit's YAML."


@dataclass(frozen=True)
class Mapped:
    """One setting that was taken over."""

    theirs: str
    was: str
    key: str
    value: str


@dataclass(frozen=True)
class Imported:
    """What a file of settings came to: values for the form, and the three lists that say how."""

    program: str
    values: dict[str, str]
    mapped: tuple[Mapped, ...]
    differences: tuple[str, ...]
    left: tuple[str, ...]


def read_settings(text: str) -> Imported:
    """Read settings of another trainer. Raises Invalid when they are of none that is known here."""
    if len(text) > MAX_CHARACTERS:
        raise Invalid("That is far too long for settings.", FORMATS, "settings")
    found = flattened(_parsed(text))
    # kohya's settings stand in sections of any name.
    plain = {key.rpartition(".")[2]: value for key, value in found.items()}
    candidates = ((ONETRAINER, found), (AI_TOOLKIT, found), (KOHYA, plain))
    program, found = next(((each, keys) for each, keys in candidates if each.marks & keys.keys()), (None, {}))
    if program is None:
        raise Invalid("No setting in it is known.", FORMATS, "settings")
    return _translate(program, {key.removeprefix(program.root): value for key, value in found.items()})


def _parsed(text: str) -> Mapping[str, Any]:
    for parse in (json.loads, tomllib.loads, yaml.safe_load):
        try:
            data = parse(text)
        except (ValueError, yaml.YAMLError, RecursionError):
            continue
        if isinstance(data, dict):
            return data
    raise Invalid("These are no settings that can be read.", FORMATS, "settings")


def flattened(data: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return nested settings by dotted key; the first of several sections counts, lists of plain values stay lists."""
    if depth > MAX_DEPTH:
        return {}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        data = data[0]
    if not isinstance(data, dict):
        return {prefix: data}
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flattened(value, f"{prefix}.{key}" if prefix else str(key), depth + 1)
    return found


def _translate(program: Program, found: Mapping[str, Any]) -> Imported:
    values: dict[str, str] = dict(program.defaults)
    mapped: list[Mapped] = []
    differences: list[str] = []
    taken: set[str] = set()
    for rule in program.rules:
        for theirs in rule.theirs:
            if theirs not in found or found[theirs] in (None, ""):
                continue
            taken.add(theirs)
            told = _apply(rule, theirs, found[theirs], values)
            mapped += told.mapped
            differences += told.differences
            break
    differences += [sentence for key, sentence in program.unless.items() if not any(k in found for k in key)]
    shown = [key for key, value in found.items() if key not in taken and value not in (None, "", False, [], {}, 0)]
    ignored = [key for key in shown if not key.startswith(program.own)]
    return Imported(program.name, values, tuple(mapped), tuple(differences), tuple(sorted(ignored)))


def _apply(rule: Rule, theirs: str, value: Any, values: dict[str, str]) -> Imported:
    nothing = Imported("", {}, (), (), ())
    try:
        made = rule.convert(value)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        shown = str(value)[:60]
        return replace(nothing, differences=(f"{theirs} = {shown}: there is nothing like it here, so it is left.",))
    mapped = []
    for key, text in made.items():
        values[key] = text
        mapped.append(Mapped(theirs, str(value)[:60], key, text))
    is_said = rule.note and (is_on(value) or not rule.is_of_yes)
    return replace(nothing, mapped=tuple(mapped), differences=(rule.note,) if is_said else ())

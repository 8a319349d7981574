"""Optimizers that come in packages of their own: found where they are installed, and told how to get where not."""

from pathlib import Path

import pytest

from app.contract.optimizers import FALLBACK, PACKAGES, available, missing_package, way_out
from app.contract.purposes import PurposeKey
from app.contract.spec import BaseModelRef
from app.launch.controls import OPTIMIZER, fields
from app.launch.draft import Subject, draft


def subject(purpose: PurposeKey = "style") -> Subject:
    base = BaseModelRef(name="xl", path="/xl", family="sdxl", sha256="0" * 64)
    return Subject("Fox", purpose, "fxo", base, 1024, 20)


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for packages where there are none."""
    monkeypatch.setattr("app.contract.optimizers.find_spec", lambda _name: None)


def test_what_is_missing_is_named_with_the_way_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    assert {key: missing_package(key) for key in PACKAGES} == {
        "adamw-8bit": "bitsandbytes",
        "prodigy-schedule-free": "prodigy-plus-schedule-free",
    }
    assert available().isdisjoint(PACKAGES)
    assert {FALLBACK, "adafactor", "lion", "prodigy", "came"} <= available()
    assert "pip install bitsandbytes" in way_out("adamw-8bit")
    (field,) = [each for each in fields() if each.key == OPTIMIZER]
    assert "Not installed here: adamw-8bit (pip install bitsandbytes), prodigy-schedule-free" in field.help
    made = draft(subject(), None, {OPTIMIZER: "adamw-8bit"})
    assert made.spec is None
    assert made.errors[OPTIMIZER].startswith("adamw-8bit is not installed. Install bitsandbytes beside the studio")


def test_a_preset_does_without_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch)
    lean = draft(subject(), "small-card", {})
    assert not lean.errors
    assert lean.values[OPTIMIZER] == FALLBACK
    monkeypatch.undo()
    (tmp_path / "bitsandbytes.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert not missing_package("adamw-8bit")
    assert draft(subject(), "small-card", {}).values[OPTIMIZER] == "adamw-8bit"
    assert draft(subject(), None, {OPTIMIZER: "adamw-8bit"}).spec is not None

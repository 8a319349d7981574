"""The bundled base is what its recipe makes, small, recognised, and trains."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from app.config import ROOT
from tests.worker import tiny
from tests.worker import random_sd15 as recipe
from worker.train import train

BUNDLED = ROOT / "worker" / "mini" / "base"
LARGEST_BYTES = 1_500_000


def test_the_bundled_base_is_the_recipes(tmp_path: Path) -> None:
    recipe.main(["--to", str(tmp_path)])
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {path.relative_to(BUNDLED) for path in BUNDLED.rglob("*") if path.is_file()}
    for name in made:
        if name.suffix == ".safetensors":
            ours, theirs = load_file(tmp_path / name), load_file(BUNDLED / name)
            assert ours.keys() == theirs.keys()
            for key, tensor in ours.items():
                assert tensor.float().numpy() == pytest.approx(theirs[key].float().numpy(), rel=1e-2, abs=1e-4)


def test_the_bundled_base_is_small_and_has_a_card() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.rglob("*")) < LARGEST_BYTES
    card = (BUNDLED.parent / "README.md").read_text(encoding="utf-8")
    assert "random" in card


def test_the_vocabulary_covers_every_byte() -> None:
    assert len(recipe.vocabulary()) == 514
    ids = recipe.make_tokenizer()("Füchse 狐 🦊 \x07!").input_ids
    assert ids.count(recipe.vocabulary()[recipe.END]) == 1


def test_the_bundled_base_trains(tmp_path: Path) -> None:
    spec = tiny.make_spec(tiny.base_ref("sd15", BUNDLED), optimization__steps=4)
    run_dir = tiny.new_run(tmp_path, spec)
    train(tiny.context_of(run_dir, spec))
    assert run_dir.lora(4).is_file()
    assert all(0.2 < loss < 3 for loss in tiny.losses_of(run_dir))

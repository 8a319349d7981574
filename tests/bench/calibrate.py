"""LoRAs whose truth is known, and what is measured of them: `python -m tests.bench.calibrate --work DIR [NAME…]`.

Trains underfit, good, overfit and biased LoRAs on the bundled base through the studio's own command line, draws with
them, and keeps the figures in calibration.json beside this file, so that a verdict can be judged against them. `--work`
is the recipe's work folder with the pictures. On two CPU cores it takes about half an hour.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor
from torch import Tensor

from app.collect import pebblo
from app.collect.demo import openmoji_drawings
from app.config import ROOT
from app.launch.bases import BUNDLED
from tests.bench.concepts import ConceptJudge
from tests.bench.emoji import (
    STYLES,
    StyleJudge,
    Truth,
    choose,
    draw,
    encode,
    load_base,
    load_truth,
    sheet,
    words,
)
from worker.mini.pictures import UNSEEN_STYLE, scaled, to_tensor

FIGURES = Path(__file__).with_name("calibration.json")
CONCEPTS, GUIDANCE = 50, 3.0
COPY_RATIO = 0.5
Drawing = tuple[str, bytes, str]


@dataclass(frozen=True)
class Case:
    """One LoRA and what is wrong with it: pictures, trigger word, settings, and the prompts that show it."""

    truth: str
    why: str
    purpose: str
    trigger: str
    drawings: Sequence[Drawing]
    settings: dict[str, object] = field(default_factory=dict)


def cases() -> dict[str, Case]:
    """Every case by its name."""
    emoji, figures = openmoji_drawings(), pebblo.drawings()
    meadow = [replace(scene, place="on grass") for scene in pebblo.SCENES]
    unsaid = [(name, data, text.removesuffix("on grass").rstrip(", ")) for name, data, text in pebblo.drawings(meadow)]
    long = {"optimization.steps": 1500, "saving.every_steps": 500, "sampling.every_steps": 1500}
    earlier = {"optimization.steps": 600, "optimization.warmup_steps": 30, "saving.every_steps": 100}
    short = {"optimization.steps": 15, "saving.every_steps": 15, "sampling.every_steps": 15}
    return {
        "style-underfit": Case("underfit", "15 steps", "style", "openmoji", emoji, short),
        "style-good": Case("good", "the preset", "style", "openmoji", emoji),
        "style-overfit": Case("overfit", "4 pictures, 1,500 steps", "style", "openmoji", emoji[:4], long),
        "character-underfit": Case("underfit", "15 steps", "character", "pebblo", figures, short),
        "character-good": Case("good", "the preset", "character", "pebblo", figures),
        "character-overfit": Case("overfit", "4 pictures, 1,500 steps", "character", "pebblo", figures[:4], long),
        "character-biased": Case("biased", "always on grass, never said", "character", "pebblo", unsaid, earlier),
    }


def main() -> None:
    """Train, measure and write the cases asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sheets", type=Path, help="folder for pictures of the samples")
    parser.add_argument("names", nargs="*", choices=[[], *cases()])
    arguments = parser.parse_args()
    pipeline = load_base(BUNDLED)
    truth = load_truth(arguments.work, pipeline.vae)
    judge, concepts = StyleJudge(), ConceptJudge(truth, arguments.work)
    judge.fit(truth, pipeline.vae)
    kept = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    kept["style_classifier_accuracy"] = round(judge.accuracy, 3)
    kept["concept_judge_accuracy"] = {style: round(concepts.accuracy(style), 3) for style in STYLES}
    for name, case in cases().items():
        if arguments.names and name not in arguments.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            run = train(case, Path(folder))
            table = Measure(
                pipeline, truth, judge, concepts, case, arguments.sheets and arguments.sheets / name
            ).of_run(run)
        settings = {"truth": case.truth, "why": case.why, "pictures": len(case.drawings), **case.settings}
        kept.setdefault("cases", {})[name] = {**settings, "checkpoints": table}
        FIGURES.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
        print(name, json.dumps(table, indent=2), flush=True)


def train(case: Case, folder: Path) -> Path:
    """Make the case's project with the command line, train it to its end, and return the run's folder."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for name, data, caption in case.drawings:
        (pictures / name).write_bytes(data)
        (pictures / name).with_suffix(".txt").write_text(caption, "utf-8")
    studio = [sys.executable, "-m", "app", "--data", str(folder / "data")]
    chosen = [part for key, value in case.settings.items() for part in ("--set", f"{key}={value}")]
    environment = {**os.environ, "LORA_STUDIO_NO_VENV": "1"}
    for command in (
        ["import", "case", str(pictures), "--purpose", case.purpose, "--trigger", case.trigger],
        ["train", "case", "--base", str(BUNDLED), *chosen, "--wait"],
    ):
        subprocess.run([*studio, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return next((folder / "data" / "runs").iterdir())


@dataclass
class Measure:
    """What a LoRA draws at full strength, beside what the base draws from the same prompts and seeds."""

    pipeline: object
    truth: Truth
    judge: StyleJudge
    concepts: ConceptJudge
    case: Case
    sheets: Path | None

    def of_run(self, run: Path) -> dict[str, dict[str, float]]:
        """Figures by checkpoint step; step 0 is the base."""
        table = {"0": self._figures(0)}
        for folder in sorted((run / "checkpoints").iterdir()):
            step = int(folder.name.removeprefix("step-"))
            self.pipeline.load_lora_weights(str(folder / "lora.safetensors"), adapter_name="case")
            try:
                table[str(step)] = self._figures(step)
            finally:
                self.pipeline.unload_lora_weights()
        return table

    def _figures(self, step: int) -> dict[str, float]:
        figures = self._style(step) if self.case.purpose == "style" else self._character(step)
        return {name: round(value, 3) for name, value in {**figures, **self._copies(), **self._drift(step)}.items()}

    def _style(self, step: int) -> dict[str, float]:
        """Whether unseen concepts come out in the style, and still as themselves."""
        places = self._unseen_concepts()
        pixels = self._draw([f"{self.case.trigger}, {words(self.truth.concepts[place])}" for place in places])
        self._sheet(pixels, step, "style")
        styles = [STYLES[style] for style in self.judge.name_of(pixels)]
        ranks = self.concepts.ranks(pixels, styles, places)
        return {
            "style_share": styles.count(UNSEEN_STYLE) / len(styles),
            "right_concept": (ranks == 0).float().mean().item(),
            "among_ten_likest": (ranks < 10).float().mean().item(),
        }

    def _character(self, step: int) -> dict[str, float]:
        """Whether the figure is there (its colour), and whether the place is the one that was asked for."""
        asked = [(pose, place) for place in pebblo.PLACES for pose in ("standing", "waving", "jumping", "sleeping")]
        pixels = self._draw([f"{self.case.trigger}, {pose}, {place}" for pose, place in asked])
        self._sheet(pixels, step, "character")
        body = torch.tensor(ImageColor.getrgb(pebblo.BODY)).view(1, 3, 1, 1) / 127.5 - 1
        is_body = (pixels - body).square().sum(dim=1).sqrt() < 0.45
        grounds = torch.tensor([ImageColor.getrgb(ground) for ground in pebblo.PLACES.values()]) / 127.5 - 1
        # Left and right of the figure, where the ground lies.
        sides = torch.cat([pixels[:, :, 50:55, 8:16], pixels[:, :, 50:55, 48:56]], dim=3)
        seen = torch.cdist(sides.mean(dim=(2, 3)), grounds).argmin(dim=1)
        wanted = torch.tensor([list(pebblo.PLACES).index(place) for _, place in asked])
        meadow = list(pebblo.PLACES).index("on grass")
        return {
            "body_share": is_body.float().mean().item(),
            "place_obeyed": (seen == wanted).float().mean().item(),
            "always_grass": (seen[wanted != meadow] == meadow).float().mean().item(),
        }

    def _copies(self) -> dict[str, float]:
        """Distance of samples to their nearest training picture, over that of true pictures outside the training set.

        After Carlini et al. (arXiv 2301.13188): a copy is nearer to a training picture than its ordinary neighbours.
        """
        trained = encode(self.pipeline.vae, scaled(_pixels(self.case.drawings)))
        if self.case.purpose == "style":
            others = self.truth.latents[UNSEEN_STYLE][self._unseen_concepts()]
        else:
            others = encode(self.pipeline.vae, scaled(_pixels(pebblo.drawings())))
        apart = torch.cdist(others, trained)
        ordinary = apart.masked_fill(apart < 1e-3, float("inf")).min(dim=1).values.median()
        quoted = self._draw([f"{self.case.trigger}, {text}" for _, _, text in self.case.drawings][:24])
        ratios = torch.cdist(encode(self.pipeline.vae, quoted), trained).min(dim=1).values / ordinary
        return {
            "copy_ratio_least": ratios.min().item(),
            "copy_ratio_median": ratios.median().item(),
            "copied_share": (ratios < COPY_RATIO).float().mean().item(),
        }

    def _drift(self, step: int) -> dict[str, float]:
        """How far prompts without the trigger word move, in units of the base's own change from seed to seed."""
        places = choose(self.truth.places(is_held_out=False), 12, seed=7)
        prompts = [words(self.truth.concepts[place], "noto") for place in places]
        drawn = encode(self.pipeline.vae, self._draw(prompts))
        if step == 0:
            self._base, other = drawn, encode(self.pipeline.vae, draw(self.pipeline, prompts, GUIDANCE, seed=1000))
            self._seed_to_seed = (drawn - other).norm(dim=1).mean()
        return {"drift": ((drawn - self._base).norm(dim=1).mean() / self._seed_to_seed).item()}

    def _unseen_concepts(self) -> list[int]:
        trained = {Path(name).stem for name, _, _ in openmoji_drawings()}
        seen = self.truth.places(is_held_out=False)
        return choose([place for place in seen if self.truth.concepts[place].key not in trained], CONCEPTS, seed=3)

    def _draw(self, prompts: list[str]) -> Tensor:
        return draw(self.pipeline, prompts, GUIDANCE)

    def _sheet(self, pixels: Tensor, step: int, kind: str) -> None:
        if self.sheets is not None:
            self.sheets.mkdir(parents=True, exist_ok=True)
            sheet(pixels, 10, self.sheets / f"{kind}-{step:05d}.png")


def _pixels(drawings: Sequence[Drawing]) -> Tensor:
    opened = [Image.open(BytesIO(data)).convert("RGBA") for _, data, _ in drawings]
    white = [Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB") for image in opened]
    return to_tensor(np.stack([np.asarray(image.resize((64, 64), Image.Resampling.LANCZOS)) for image in white]))


if __name__ == "__main__":
    main()

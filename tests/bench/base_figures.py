"""How well the bundled base draws: `python -m tests.bench.base_figures --work DIR [--base DIR] [--to DIR]`.

`--work` is the recipe's work folder, where the pictures are fetched and rasterised when they are not there yet.
Prints JSON: retrieval of seen and of held-out concepts in a named style, and of seen ones behind made-up words as a
LoRA's trigger word is; the style classifier's own accuracy, and how often it sees the named style in the samples. Saves
a sheet of 48 samples of held-out concepts.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from app.launch.bases import BUNDLED
from tests.bench.emoji import StyleJudge, Truth, choose, draw, encode, likeness, load_base, load_truth, sheet, words
from worker.mini.pictures import BASE_STYLES

SEEN, HELD_OUT = 150, 48
MADE_UP = ("openmoji", "qoph", "thornbury", "inkline", "zwx7", "mikatu", "pebblo")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--base", type=Path, default=BUNDLED)
    parser.add_argument("--to", type=Path, default=Path())
    parser.add_argument("--guidance", type=float, default=3.0)
    arguments = parser.parse_args()
    started = time.monotonic()
    pipeline = load_base(arguments.base)
    loaded_s = time.monotonic() - started
    truth = load_truth(arguments.work, pipeline.vae)
    judge = StyleJudge()
    judge.fit(truth, pipeline.vae)
    seen = choose(truth.places(is_held_out=False), SEEN)
    leads = [f"{MADE_UP[number % len(MADE_UP)]}, " for number in range(SEEN)]
    figures = {
        "loads_s": round(loaded_s, 2),
        "size_mb": round(sum(file.stat().st_size for file in arguments.base.rglob("*") if file.is_file()) / 1e6, 2),
        "guidance": arguments.guidance,
        "style_classifier_accuracy": round(judge.accuracy, 3),
        "seen": retrieve(pipeline, truth, judge, prompts(truth, seen), arguments.guidance),
        "seen_behind_made_up_word": retrieve(pipeline, truth, judge, prompts(truth, seen, leads), arguments.guidance),
    }
    held_out = prompts(truth, choose(truth.places(is_held_out=True), HELD_OUT))
    figures["held_out"] = retrieve(pipeline, truth, judge, held_out, arguments.guidance, arguments.to / "held-out.png")
    print(json.dumps(figures, indent=2))


@dataclass(frozen=True)
class Asked:
    """A prompt, the concept's place and the base style that it asks for."""

    prompt: str
    place: int
    style: str


def prompts(truth: Truth, places: Sequence[int], leads: Sequence[str] = ()) -> list[Asked]:
    """Ask for concepts in the base styles in turn, behind leading words where there are some."""
    asked = []
    for number, place in enumerate(places):
        style = BASE_STYLES[number % len(BASE_STYLES)]
        lead = leads[number] if leads else ""
        asked.append(Asked(lead + words(truth.concepts[place], style), place, style))
    return asked


def retrieve(
    pipeline: object, truth: Truth, judge: StyleJudge, asked: list[Asked], guidance: float, to: Path | None = None
) -> dict[str, float]:
    """Draw what is asked for; how often the likest picture of all of that style is the right one.

    Told by `likeness`, and by plain distance in latents beside it.
    """
    pixels = draw(pipeline, [each.prompt for each in asked], guidance)
    if to is not None:
        sheet(pixels, 12, to)
    latents = encode(pipeline.vae, pixels)
    ranks, ranks_by_distance = [], []
    for latent, (place, style) in zip(latents, ((each.place, each.style) for each in asked), strict=True):
        gallery = truth.latents[style]
        like, apart = likeness(latent[None], gallery)[0], torch.cdist(latent[None], gallery)[0]
        ranks.append(int((like > like[place]).sum()))
        ranks_by_distance.append(int((apart < apart[place]).sum()))
    named = [judge.share(pixels[number : number + 1], each.style) for number, each in enumerate(asked)]
    return {
        "concepts": len(asked),
        "among": len(truth.concepts),
        "right": _share_below(1, ranks),
        "among_ten_likest": _share_below(10, ranks),
        "median_rank": float(sorted(ranks)[len(ranks) // 2]),
        "right_by_distance": _share_below(1, ranks_by_distance),
        "named_style_seen": round(sum(named) / len(named), 3),
    }


def _share_below(limit: int, ranks: list[int]) -> float:
    return round(sum(rank < limit for rank in ranks) / len(ranks), 3)


if __name__ == "__main__":
    main()

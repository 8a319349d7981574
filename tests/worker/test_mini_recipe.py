"""The recipe of the base that really draws: its parts fit together, and its words and pictures are what it says."""

from pathlib import Path
from random import Random

import numpy as np
import torch
from transformers import CLIPTokenizer

from app.launch.bases import BUNDLED
from worker.mini.autoencoder import doodle, reconstruction_loss
from worker.mini.parts import make_scheduler, make_text_encoder, make_unet, make_vae
from worker.mini.pictures import SIDE_PX, Concept, scaled, to_tensor
from worker.mini.recipe import (
    STYLE_WORDS,
    caption,
    choose_hand,
    invented_word,
    make_optimizer,
    rounded,
    spread_timesteps,
    start_denoiser,
    start_from,
    stranger_words,
)
from worker.mini.renderings import RENDERINGS

LARGEST_BYTES = 30_000_000
FOX = Concept("fox", "fox", ("animal", "nature", "face"), is_held_out=False)


def test_the_parts_fit_together_and_are_small() -> None:
    vae, unet, text_encoder = make_vae(), make_unet(), make_text_encoder()
    parameters = sum(weight.numel() for part in (vae, unet, text_encoder) for weight in part.parameters())
    assert 2 * parameters < LARGEST_BYTES
    with torch.no_grad():
        latents = vae.encode(torch.zeros(1, 3, SIDE_PX, SIDE_PX)).latent_dist.mean
        hidden = text_encoder(torch.tensor([[320, 736, 3055]])).last_hidden_state
        noisy = make_scheduler().add_noise(latents, torch.randn_like(latents), torch.tensor([500]))
        assert unet(noisy, 500, hidden).sample.shape == latents.shape == (1, 4, 16, 16)
        assert vae.decode(latents).sample.shape == (1, 3, SIDE_PX, SIDE_PX)


def test_captions_name_the_thing_and_mostly_the_style() -> None:
    texts = [caption(FOX, ("fluent", ""), Random(seed), ["zorp"]) for seed in range(400)]
    said = [text for text in texts if text]
    assert 0.05 < texts.count("") / len(texts) < 0.16
    assert all("fox" in text for text in said)
    assert 0.6 < sum(f"{STYLE_WORDS['fluent']} style" in text for text in said) / len(said) < 0.85
    assert 0.4 < sum("zorp" in text for text in said) / len(said) < 0.6
    assert sum(text.startswith("zorp, ") for text in said) > sum("zorp" in text for text in said) / 2
    assert len(set(texts)) > 20


def test_captions_always_say_a_rendering() -> None:
    texts = [caption(FOX, ("noto", "ink drawing"), Random(seed), ["zorp"]) for seed in range(100)]
    assert all("ink drawing" in text for text in texts if text)


def test_invented_words_are_strange_ones_or_two_spliced() -> None:
    words = {invented_word(Random(seed), ["zorp", "maluka"]) for seed in range(100)}
    assert words == {"zorp", "maluka", "zouka", "malrp"}


def test_renderings_keep_the_thing_and_change_the_hand() -> None:
    picture = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8)
    picture[16:48, 16:48] = (200, 30, 30)
    drawn = {words: render(picture) for words, render in RENDERINGS.items()}
    assert all(each.shape == picture.shape and each.dtype == np.uint8 for each in drawn.values())
    assert len({each.tobytes() for each in drawn.values()}) == len(RENDERINGS)
    inside, edge, outside = (32, 32), (32, 16), (32, 4)
    assert (drawn["ink drawing"][inside] == 255).all()
    assert (drawn["ink drawing"][edge] < 100).all()
    assert (drawn["outlined"][inside] == picture[inside]).all()
    assert (drawn["outlined"][edge] < 100).all()
    assert len(set(drawn["grey"][inside].tolist())) == 1
    assert (drawn["small"][32, 17] >= 250).all()
    assert (drawn["small"][inside] == picture[inside]).all()
    assert all((each[outside] == 255).all() for each in drawn.values())


def test_plain_pictures_are_learnt_more_often_than_renderings() -> None:
    chosen = [choose_hand(Random(seed)) for seed in range(500)]
    assert 0.5 < chosen.count(0) / len(chosen) < 0.7
    assert set(chosen) == set(range(1 + len(RENDERINGS)))


def test_rounded_weights_are_near_and_end_in_two_zero_bits() -> None:
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    near = rounded(weight)
    assert ((near - weight).abs() <= weight.abs() / 256).all()
    assert not (near.half().view(torch.int16) & 3).any()
    assert torch.equal(rounded(near), near)


def test_strangers_are_words_that_describe_nothing() -> None:
    strangers = stranger_words([FOX], CLIPTokenizer.from_pretrained(BUNDLED / "tokenizer"))
    assert len(strangers) > 10_000
    assert {"animal", "nature", "face"}.isdisjoint(strangers)
    assert all(word.isalpha() for word in strangers)


def test_line_art_is_drawn_the_same_for_a_seed() -> None:
    first, again, other = (doodle(Random(seed)) for seed in (1, 1, 2))
    assert first.shape == (SIDE_PX, SIDE_PX, 3)
    assert (first == again).all()
    assert (first != other).any()
    x = scaled(to_tensor(first[None]))
    assert reconstruction_loss(x, x) == 0
    assert reconstruction_loss(x.roll(1, dims=-1), x) > 0


def test_every_weight_learns_and_embeddings_not_by_muon() -> None:
    unet, text_encoder = make_unet(), make_text_encoder()
    named = [*unet.named_parameters(), *text_encoder.named_parameters()]
    hidden, others = make_optimizer(named).param_groups
    assert sorted(map(id, hidden["params"] + others["params"])) == sorted(id(weight) for _, weight in named)
    names = {id(weight): name for name, weight in named}
    assert {"conv_in.weight", "conv_out.weight"} < {names[id(weight)] for weight in others["params"]}
    assert all(weight.ndim > 1 and "embed" not in names[id(weight)] for weight in hidden["params"])


def test_timesteps_cover_the_schedule_and_lean_to_high_noise() -> None:
    t = spread_timesteps(32, torch.Generator().manual_seed(0))
    assert t.unique().numel() == 32
    assert 0 <= t.min() < 200
    assert 950 < t.max() <= 999
    assert 0.7 < (t >= 500).float().mean() < 0.8


def test_training_goes_on_from_a_finished_base_and_never_over_an_unfinished_one(tmp_path: Path) -> None:
    start_from(BUNDLED, tmp_path)
    begun = start_denoiser(tmp_path / "denoiser.pt")
    assert begun.step == 0
    assert begun.unet.conv_in.weight.std() > 0.05
    assert torch.equal(begun.average[0], begun.weights[0])
    begun.step = 7
    begun.keep(tmp_path / "denoiser.pt")
    start_from(BUNDLED, tmp_path)
    assert start_denoiser(tmp_path / "denoiser.pt").step == 7

"""Drawing prompts: what a picture depends on, and what drawing leaves alone."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from app.contract.spec import BaseModelRef, Prompt, TrainSpec
from tests.worker import tiny
from worker.cache import Conditioning
from worker.families import load
from worker.memory import choose_machine, needs_tiles, on_device, untouched
from worker.sampling import Painter, make_scheduler, sampler_name

MACHINE = choose_machine("fp32")


def painter_of(spec: TrainSpec) -> Painter:
    """A painter over the untouched base."""
    family = load(spec.base, torch.float32)
    return Painter(family, MACHINE, spec.sampling, Conditioning(family, MACHINE, None), lambda: None)


def test_a_picture_depends_on_prompt_seed_and_negative_alone(base: BaseModelRef) -> None:
    painter = painter_of(tiny.make_spec(base))
    prompt = Prompt(text="a red disc, large", negative="blue", seed=5)
    torch.manual_seed(1)
    first = painter.draw(prompt)
    torch.manual_seed(2)
    assert painter.draw(prompt).tobytes() == first.tobytes()
    for other in ({"seed": 6}, {"negative": "night, dark, rain"}):
        assert painter.draw(prompt.model_copy(update=other)).tobytes() != first.tobytes()


def test_without_guidance_the_negative_does_not_count(base: BaseModelRef) -> None:
    painter = painter_of(tiny.make_spec(base, sampling__guidance=1.0))
    one, other = (painter.draw(Prompt(text="red", negative=negative, seed=5)) for negative in ("", "night, dark, rain"))
    assert one.tobytes() == other.tobytes()


def test_any_size_the_settings_allow_can_be_drawn(base: BaseModelRef) -> None:
    painter = painter_of(tiny.make_spec(base, sampling__width_px=72, sampling__height_px=40))
    image = painter.draw(Prompt(text="red"))
    assert (image.width, image.height) == (72, 40)


def test_drawing_leaves_modes_gradients_and_random_numbers_alone(base: BaseModelRef) -> None:
    painter = painter_of(tiny.make_spec(base))
    parts = painter.family.parts
    parts.denoiser.train()
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    painter.draw(Prompt(text="red"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert parts.denoiser.training
    assert not parts.vae.training
    assert torch.is_grad_enabled()
    with untouched([parts.denoiser]):
        torch.rand(1)
        assert not parts.denoiser.training
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_sampler_takes_schedule_and_prediction_from_the_base(prediction: str) -> None:
    old = {
        "_class_name": "PNDMScheduler",
        "beta_start": 0.001,
        "beta_end": 0.01,
        "beta_schedule": "scaled_linear",
        "clip_sample": True,
        "num_train_timesteps": 500,
        "prediction_type": prediction,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 0,
    }
    scheduler = make_scheduler(old)
    assert isinstance(scheduler, DPMSolverMultistepScheduler)
    assert scheduler.config.prediction_type == prediction
    assert (scheduler.config.beta_start, scheduler.config.num_train_timesteps) == (0.001, 500)
    assert scheduler.config.use_karras_sigmas


def test_models_return_to_where_they_were() -> None:
    layer = torch.nn.Linear(2, 2)
    with on_device([layer], torch.device("cpu")):
        assert layer.weight.device.type == "cpu"
    assert layer.weight.device.type == "cpu"
    assert not needs_tiles(torch.device("cpu"), 4096 * 4096)


def test_steps_are_spread_over_a_schedule_that_ends_in_noise_alone() -> None:
    """As Karras spaces them, twelve of twenty would lie above timestep 970."""
    config = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction",
    }
    zero = config | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = make_scheduler(zero)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == list(range(999, 0, -50))
    assert (sampler_name(config), sampler_name(zero)) == ("DPM++ 2M Karras", "DPM++ 2M")

"""Objectives: noise, targets and weights against numbers worked out by hand."""

import pytest
import torch

from app.contract.spec import Optimization
from worker.errors import BadSpec
from worker.objectives import Noising, Objective, read_objective, seed_of, step_generator

SIGNAL = torch.tensor([0.8, 0.5, 0.1])
"""Signal-to-noise ratios 4, 1 and 1/9."""

CAPPED = Optimization(min_snr_gamma=2.0)


def test_min_snr_weights_by_hand() -> None:
    steps = torch.tensor([0, 1, 2])
    epsilon, v = Objective("epsilon", SIGNAL), Objective("v_prediction", SIGNAL)
    assert epsilon.weights(steps, CAPPED).tolist() == pytest.approx([2 / 4, 1, 1])
    assert v.weights(steps, CAPPED).tolist() == pytest.approx([2 / 5, 1 / 2, (1 / 9) / (10 / 9)])
    assert epsilon.weights(steps, Optimization(min_snr_gamma=None)).tolist() == [1, 1, 1]


def test_noise_and_targets_by_hand() -> None:
    latents, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    steps = torch.tensor([0])
    kept, added = 0.8**0.5, 0.2**0.5
    for prediction, target in (("epsilon", 3.0), ("v_prediction", kept * 3 - added * 2)):
        objective = Objective(prediction, SIGNAL)  # type: ignore[arg-type]  # a loop variable is plain text
        assert objective.noisy(latents, noise, steps).item() == pytest.approx(kept * 2 + added * 3)
        assert objective.target(latents, noise, steps).item() == pytest.approx(target)


def test_losses_are_one_a_picture() -> None:
    objective = Objective("epsilon", SIGNAL)
    answer = torch.zeros(2, 1, 2, 2)
    target = torch.stack([torch.full((1, 2, 2), 1.0), torch.full((1, 2, 2), 3.0)])
    assert objective.losses(answer, target, torch.tensor([0, 1]), CAPPED).tolist() == pytest.approx([0.5, 9.0])


def test_the_objective_is_read_from_the_scheduler() -> None:
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    assert read_objective(config).prediction == "epsilon"
    objective = read_objective(config | {"prediction_type": "v_prediction"})
    assert objective.prediction == "v_prediction"
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    assert torch.allclose(objective.signal.double(), torch.cumprod(1 - betas, 0), atol=1e-6)
    with pytest.raises(BadSpec, match="sample"):
        read_objective(config | {"prediction_type": "sample"})
    with pytest.raises(BadSpec, match="pure noise"):
        read_objective(config | {"rescale_betas_zero_snr": True})


def test_a_schedule_that_ends_in_noise_alone_by_hand() -> None:
    """The roots of what is left are shifted until the last is nothing, and stretched until the first is as before."""
    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    objective = read_objective(config | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    roots = torch.cumprod(1 - betas, 0).sqrt()
    rescaled = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    assert objective.has_zero_snr
    assert torch.allclose(objective.signal.double(), rescaled.square(), atol=1e-6)
    last, latents, noise = torch.tensor([999]), torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    assert objective.noisy(latents, noise, last).item() == 3
    assert objective.target(latents, noise, last).item() == -2
    for weighting, weight in (("min-snr", 0.0), ("debiased", 1.0), ("none", 1.0)):
        assert objective.weights(last, Optimization.model_validate({"weighting": weighting})).item() == weight


def test_noise_depends_on_seed_and_step_alone() -> None:
    def noise(seed: int, step: int) -> torch.Tensor:
        return Noising(Optimization(), 1000).draw(step_generator(seed, step), (2, 4, 8, 8))[1]

    torch.manual_seed(0)
    first = noise(7, 3)
    torch.manual_seed(1)
    assert torch.equal(first, noise(7, 3))
    assert not torch.equal(first, noise(7, 4))
    assert not torch.equal(first, noise(8, 3))


def test_seeds_of_near_inputs_differ() -> None:
    assert seed_of(1, 23) != seed_of(12, 3)
    assert 0 <= seed_of("a") < 2**63


def test_debiased_weights_by_hand() -> None:
    steps, settings = torch.tensor([0, 1, 2]), Optimization(weighting="debiased")
    assert Objective("epsilon", SIGNAL).weights(steps, settings).tolist() == pytest.approx([1 / 2, 1, 3])
    assert Objective("v_prediction", SIGNAL).weights(steps, settings).tolist() == pytest.approx([1 / 5, 1 / 2, 9 / 10])
    assert Objective("epsilon", SIGNAL).weights(steps, Optimization(weighting="none")).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("loss", "small", "large"), [("huber", 0.04, 2 * 0.5 * 2 - 0.25), ("smooth-l1", 0.08, 3.5)])
def test_outliers_count_straight_from_delta_on(loss: str, small: float, large: float) -> None:
    settings = Optimization.model_validate({"loss": loss, "huber_delta": 0.5, "weighting": "none"})
    objective = Objective("epsilon", SIGNAL)
    answer = torch.tensor([0.2, 2.0]).view(2, 1, 1, 1)
    losses = objective.losses(answer, torch.zeros_like(answer), torch.tensor([0, 0]), settings)
    assert losses.tolist() == pytest.approx([small, large])
    twice = 2 * torch.nn.functional.huber_loss(answer, torch.zeros_like(answer), reduction="none", delta=0.5).flatten()
    assert torch.allclose(losses, twice if loss == "huber" else twice / 0.5)


def test_a_masked_loss_is_the_mean_over_what_is_let_through() -> None:
    objective, settings = Objective("epsilon", SIGNAL), Optimization(weighting="none")
    answer = torch.tensor([[1.0, 3.0], [5.0, 7.0]]).view(1, 1, 2, 2).expand(2, 3, 2, 2)
    areas = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[1.0, 0.5], [0.0, 0.0]]]])
    losses = objective.losses(answer, torch.zeros_like(answer), torch.tensor([0, 0]), settings, areas)
    assert losses.tolist() == pytest.approx([1.0, (1 + 0.5 * 9) / 1.5])
    nothing = objective.losses(
        answer, torch.zeros_like(answer), torch.tensor([0, 0]), settings, torch.zeros_like(areas)
    )
    assert nothing.tolist() == [0, 0]


def drawn(shape: tuple[int, ...] = (4000, 4, 4, 4), **settings: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Timesteps and noise of many pictures."""
    noising = Noising(Optimization.model_validate(settings), 1000)
    return noising.draw(step_generator(7, 3), shape)


def test_timesteps_keep_to_their_range() -> None:
    for sampling in ("uniform", "logit-normal"):
        steps, _ = drawn(min_timestep=200, max_timestep=300, timestep_sampling=sampling)
        assert (int(steps.min()), int(steps.max())) == pytest.approx((200, 300), abs=5 if sampling != "uniform" else 0)
    middle, even = (
        ((steps > 400) & (steps < 600)).float().mean().item()
        for steps in (drawn(timestep_sampling="logit-normal")[0], drawn()[0])
    )
    assert even == pytest.approx(0.2, abs=0.03)
    assert middle > 1.4 * even
    one, _ = drawn(min_timestep=5, max_timestep=5)
    assert set(one.tolist()) == {5}


def test_noise_offset_shifts_whole_channels() -> None:
    _, noise = drawn(noise_offset=0.5)
    spread = noise.mean(dim=(2, 3)).std().item()
    assert spread == pytest.approx((0.5**2 + 1 / 16) ** 0.5, rel=0.05)
    assert torch.equal(drawn()[1], drawn(noise_offset=0.0)[1])


def test_multires_noise_is_coarser_and_of_unit_variance() -> None:
    _, fine = drawn((200, 4, 16, 16))
    _, coarse = drawn((200, 4, 16, 16), multires_noise=0.5)
    assert coarse.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 200)

    def likeness(noise: torch.Tensor) -> float:
        return float((noise[..., 1:] * noise[..., :-1]).mean())

    assert abs(likeness(fine)) < 0.05
    assert likeness(coarse) > 0.08

"""Objectives: noise, targets and weights against numbers worked out by hand."""

import pytest
import torch

from worker.errors import BadSpec
from worker.objectives import Objective, draw, read_objective, seed_of, step_generator

SIGNAL = torch.tensor([0.8, 0.5, 0.1])
"""Signal-to-noise ratios 4, 1 and 1/9."""


def test_min_snr_weights_by_hand() -> None:
    steps = torch.tensor([0, 1, 2])
    epsilon, v = Objective("epsilon", SIGNAL), Objective("v_prediction", SIGNAL)
    assert epsilon.weights(steps, 2.0).tolist() == pytest.approx([2 / 4, 1, 1])
    assert v.weights(steps, 2.0).tolist() == pytest.approx([2 / 5, 1 / 2, (1 / 9) / (10 / 9)])
    assert epsilon.weights(steps, None).tolist() == [1, 1, 1]


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
    assert objective.losses(answer, target, torch.tensor([0, 1]), 2.0).tolist() == pytest.approx([0.5, 9.0])


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


def test_noise_depends_on_seed_and_step_alone() -> None:
    def noise(seed: int, step: int) -> torch.Tensor:
        return draw(step_generator(seed, step), 1000, (2, 4, 8, 8))[1]

    torch.manual_seed(0)
    first = noise(7, 3)
    torch.manual_seed(1)
    assert torch.equal(first, noise(7, 3))
    assert not torch.equal(first, noise(7, 4))
    assert not torch.equal(first, noise(8, 3))


def test_seeds_of_near_inputs_differ() -> None:
    assert seed_of(1, 23) != seed_of(12, 3)
    assert 0 <= seed_of("a") < 2**63

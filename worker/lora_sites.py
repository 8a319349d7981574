"""Which modules a LoRA attaches to, and with what rank, strength and rate each."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from app.contract.spec import BlockSetting, Network, Targets
from worker.errors import BadSpec

DENOISER_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
TEXT_MLP = ("mlp.fc1", "mlp.fc2")
WITH_CONVOLUTIONS = (ResnetBlock2D, Downsample2D, Upsample2D)


@dataclass(frozen=True)
class Site:
    """A module to attach to: at full strength its delta is up · down · alpha ÷ rank."""

    path: str
    rank: int
    alpha: float
    rate_scale: float = 1.0


def denoiser_targets(denoiser: nn.Module, targets: Targets) -> list[str]:
    """Return the paths to attach to: inside every transformer all Linear and 1x1 layers, or its attention alone."""
    found = [
        f"{outer}.{inner}"
        for outer, transformer in denoiser.named_modules()
        if isinstance(transformer, Transformer2DModel)
        for inner, layer in transformer.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1))
    ]
    return found if targets == "attention-mlp" else [path for path in found if path.endswith(DENOISER_ATTENTION)]


def convolution_targets(denoiser: nn.Module) -> list[str]:
    """Return the paths of the 3×3 convolutions in every resnet, downsampler and upsampler."""
    return [
        f"{outer}.{inner}"
        for outer, block in denoiser.named_modules()
        if isinstance(block, WITH_CONVOLUTIONS)
        for inner, layer in block.named_children()
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
    ]


def text_targets(encoder: nn.Module, targets: Targets) -> list[str]:
    """Return the paths to attach to in a text encoder: attention, and the MLP where the denoiser's is trained too."""
    endings = TEXT_ATTENTION + (TEXT_MLP if targets == "attention-mlp" else ())
    return [path for path, _ in encoder.named_modules() if path.endswith(endings)]


def denoiser_sites(denoiser: nn.Module, network: Network) -> list[Site]:
    """Return the denoiser's modules to attach to. Raises BadSpec for a block that the denoiser does not have."""
    _check_blocks(denoiser, network.blocks)
    strength = network.alpha / network.rank
    sites = [_site(path, network.rank, strength, network) for path in denoiser_targets(denoiser, network.targets)]
    if network.conv_rank:
        strength = network.conv_alpha / network.conv_rank
        for path in convolution_targets(denoiser):
            block = block_of(path, network.blocks)
            rank = 0 if block is not None and block.rank == 0 else network.conv_rank
            sites.append(Site(path, rank, _alpha(rank, strength, network), rate_scale(path, network.blocks)))
    return [site for site in sites if site.rank]


def text_sites(encoder: nn.Module, network: Network) -> list[Site]:
    """Return a text encoder's modules to attach to."""
    alpha = _alpha(network.rank, network.alpha / network.rank, network)
    return [Site(path, network.rank, alpha) for path in text_targets(encoder, network.targets)]


def block_of(path: str, blocks: Sequence[BlockSetting]) -> BlockSetting | None:
    """Return the setting of the longest prefix that a module's path begins with."""
    found = [block for block in blocks if f"{path}.".startswith(f"{block.prefix}.")]
    return max(found, key=lambda block: len(block.prefix), default=None)


def rate_scale(path: str, blocks: Sequence[BlockSetting]) -> float:
    """Return the share of the learning rate that a module is trained at."""
    block = block_of(path, blocks)
    return 1.0 if block is None else block.learning_rate_scale


def _site(path: str, rank: int, strength: float, network: Network) -> Site:
    block = block_of(path, network.blocks)
    own = rank if block is None or block.rank is None else block.rank
    return Site(path, own, _alpha(own, strength, network), rate_scale(path, network.blocks))


def _alpha(rank: int, strength: float, network: Network) -> float:
    """A block of another rank keeps alpha ÷ rank, so that it learns no harder than the others.

    LoRA files know alpha ÷ rank alone: a rank-stabilised scale, alpha ÷ √rank, is a larger alpha there.
    """
    return round(strength * rank * (sqrt(rank) if network.is_rank_stabilised else 1.0), 6)


def _check_blocks(denoiser: nn.Module, blocks: Sequence[BlockSetting]) -> None:
    paths = {path for path, _ in denoiser.named_modules()}
    for block in blocks:
        if block.prefix not in paths:
            raise BadSpec(
                f"The denoiser has no block {block.prefix!r}.",
                "Name blocks as diffusers does, such as down_blocks.1, mid_block or up_blocks.0.attentions.1.",
            )

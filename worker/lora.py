"""The LoRA in memory: attached to the base's modules by peft, its weights fp32 whatever the base is kept in."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import Parameter

from app.contract.spec import Network, Targets
from worker.families.base import Family
from worker.families.parts import with_text_model

ADAPTER = "lora"
DENOISER_PREFIX = "lora_unet"
DENOISER_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj")
TEXT_MLP = ("mlp.fc1", "mlp.fc2")


@dataclass(frozen=True)
class LoraModule:
    """One attached module: `file_name` as LoRA files spell it; `down` [rank, in, …], `up` [out, rank, …]."""

    file_name: str
    is_text: bool
    down: Parameter
    up: Parameter


@dataclass(frozen=True)
class Lora:
    """Every attached module, in the order of the models; at full strength the delta is up · down · alpha ÷ rank."""

    network: Network
    modules: tuple[LoraModule, ...]

    def named(self) -> dict[str, Parameter]:
        """The trainable weights by their names in a LoRA file."""
        weights = {}
        for module in self.modules:
            weights[f"{module.file_name}.lora_down.weight"] = module.down
            weights[f"{module.file_name}.lora_up.weight"] = module.up
        return weights

    def parameters(self, *, is_text: bool) -> list[Parameter]:
        """The trainable weights on the denoiser, or on the text encoders."""
        chosen = [module for module in self.modules if module.is_text is is_text]
        return [weight for module in chosen for weight in (module.down, module.up)]


def attach(family: Family, network: Network, *, trains_text: bool, seed: int) -> Lora:
    """Attach a fresh LoRA, drawn from the seed; it changes nothing until it is trained, for every `up` is zero.

    Call it while the models are on the CPU: then the same seed gives the same LoRA on every device.
    """
    parts = family.parts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        names = denoiser_targets(parts.denoiser, network.targets)
        layers = _inject(parts.denoiser, names, network)
        modules = [
            _module(f"{DENOISER_PREFIX}_{_flat(family.denoiser_name(path))}", layer, is_text=False)
            for path, layer in layers
        ]
        if trains_text:
            for prefix, encoder in zip(family.text_prefixes, parts.text_encoders, strict=True):
                layers = _inject(encoder, text_targets(encoder, network.targets), network)
                modules += [
                    _module(f"{prefix}_{_flat(with_text_model(path))}", layer, is_text=True) for path, layer in layers
                ]
    return Lora(network, tuple(modules))


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


def text_targets(encoder: nn.Module, targets: Targets) -> list[str]:
    """Return the paths to attach to in a text encoder: attention, and the MLP where the denoiser's is trained too."""
    endings = TEXT_ATTENTION + (TEXT_MLP if targets == "attention-mlp" else ())
    return [path for path, _ in encoder.named_modules() if path.endswith(endings)]


def _inject(model: nn.Module, paths: list[str], network: Network) -> Iterator[tuple[str, LoraLayer]]:
    config = LoraConfig(r=network.rank, lora_alpha=network.alpha, target_modules=paths)
    inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    for path, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for side in (layer.lora_A, layer.lora_B):
                side[ADAPTER].to(torch.float32).requires_grad_(True)
            yield path, layer


def _module(file_name: str, layer: LoraLayer, *, is_text: bool) -> LoraModule:
    return LoraModule(file_name, is_text, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight)


def _flat(path: str) -> str:
    return path.replace(".", "_")

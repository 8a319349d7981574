"""The LoRA in memory: attached to the base's modules by peft, its weights fp32 whatever the base is kept in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import Parameter

from app.contract.spec import Network
from worker.errors import BadSpec
from worker.families.base import Family
from worker.families.parts import with_text_model
from worker.lora_sites import Site, denoiser_sites, rate_scale, text_sites
from worker.lora_source import (
    DENOISER_PREFIX,
    LoraSource,
    SourceModule,
    check_all_placed,
    denoiser_places,
    flat,
    text_places,
)

ADAPTER = "lora"


@dataclass(frozen=True)
class LoraModule:
    """One attached module: `file_name` as LoRA files spell it; `down` [rank, in, …], `up` [out, rank, …].

    `encoder` is the text encoder's number, None on the denoiser; `magnitude` [out] is DoRA's length of each output.
    """

    file_name: str
    down: Parameter
    up: Parameter
    alpha: float
    magnitude: Parameter | None = None
    encoder: int | None = None
    rate_scale: float = 1.0
    is_trained: bool = True

    @property
    def rank(self) -> int:
        """Its inner size."""
        return self.down.shape[0]

    @property
    def weights(self) -> list[Parameter]:
        """All of its weights."""
        return [self.down, self.up] if self.magnitude is None else [self.down, self.up, self.magnitude]


@dataclass(frozen=True)
class Lora:
    """Every attached module, in the order of the models; at full strength the delta is up · down · alpha ÷ rank."""

    network: Network
    modules: tuple[LoraModule, ...]

    def named(self) -> dict[str, Parameter]:
        """The weights by their names in a LoRA file."""
        weights = {}
        for module in self.modules:
            weights[f"{module.file_name}.lora_down.weight"] = module.down
            weights[f"{module.file_name}.lora_up.weight"] = module.up
            if module.magnitude is not None:
                weights[f"{module.file_name}.dora_scale"] = module.magnitude
        return weights

    def parameters(self, *, is_text: bool) -> list[Parameter]:
        """The trained weights on the denoiser, or on the text encoders."""
        chosen = [module for module in self.modules if module.is_trained and (module.encoder is not None) is is_text]
        return [weight for module in chosen for weight in module.weights]

    def freeze_still(self) -> None:
        """Ask no gradients for the modules that are not trained; once the base is stored, which leaves out the LoRA."""
        for weight in (weight for module in self.modules if not module.is_trained for weight in module.weights):
            weight.requires_grad_(False)

    def freeze_text(self) -> None:
        """Leave the text encoders' part as it is from now on."""
        for weight in self.parameters(is_text=True):
            weight.requires_grad_(False)


def attach(
    family: Family, network: Network, *, trains_text: Sequence[bool], seed: int, source: LoraSource | None = None
) -> Lora:
    """Attach a fresh LoRA, drawn from the seed, which changes nothing until it is trained; or one to go on from.

    Call it while the models are on the CPU: then the same seed gives the same LoRA on every device. What the source
    has is attached as it has it, whatever the network says. Raises BadSpec for what has no place in the base.
    """
    if source is not None:
        check_all_placed(source, family)
        network = network.model_copy(update={"uses_dora": source.uses_dora})
    parts = family.parts
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        part = Part(parts.denoiser, DENOISER_PREFIX, None, is_trained=True)
        found = _of_source(source, denoiser_places(family)) if source is not None else {}
        modules = part.attach(denoiser_sites(parts.denoiser, network), network, found, family)
        for number, (prefix, encoder) in enumerate(zip(family.text_prefixes, parts.text_encoders, strict=True)):
            part = Part(encoder, prefix, number, is_trained=trains_text[number])
            found = _of_source(source, text_places(family, number)) if source is not None else {}
            modules += part.attach(text_sites(encoder, network) if part.is_trained else [], network, found, family)
    return Lora(network, tuple(modules))


def _of_source(source: LoraSource, places: Mapping[str, str]) -> dict[str, SourceModule]:
    return {places[name]: module for name, module in source.modules.items() if name in places}


@dataclass(frozen=True)
class Part:
    """A model that modules are attached to, and what their names begin with."""

    model: nn.Module
    prefix: str
    encoder: int | None
    is_trained: bool

    def attach(
        self, sites: Sequence[Site], network: Network, found: Mapping[str, SourceModule], family: Family
    ) -> list[LoraModule]:
        """Attach to the sites, and to what the source has."""
        wanted = {site.path: site for site in sites}
        for path, theirs in found.items():
            wanted[path] = Site(path, theirs.rank, theirs.alpha, rate_scale(path, network.blocks))
        modules = []
        for path, layer in _inject(self.model, list(wanted.values()), network):
            name = family.denoiser_name(path) if self.encoder is None else with_text_model(path)
            site = wanted[path]
            module = LoraModule(
                file_name=flat(self.prefix, name),
                down=layer.lora_A[ADAPTER].weight,
                up=layer.lora_B[ADAPTER].weight,
                alpha=site.alpha,
                magnitude=layer.lora_magnitude_vector[ADAPTER].weight if network.uses_dora else None,
                encoder=self.encoder,
                rate_scale=site.rate_scale,
                is_trained=self.is_trained and site.rate_scale > 0,
            )
            if path in found:
                _copy(found[path], module)
            modules.append(module)
        return modules


def _inject(model: nn.Module, sites: Sequence[Site], network: Network) -> Iterator[tuple[str, LoraLayer]]:
    def shape(site: Site) -> tuple[int, float]:
        return site.rank, site.alpha

    for (rank, alpha), alike in groupby(sorted(sites, key=shape), key=shape):
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=network.dropout,
            use_dora=network.uses_dora,
            target_modules=[site.path for site in alike],
        )
        # peft takes one shape at a time and would warn of a second adapter, which this is not.
        if hasattr(model, "peft_config"):
            del model.peft_config
        inject_adapter_in_model(config, model, adapter_name=ADAPTER)
    for path, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for side in (layer.lora_A, layer.lora_B, layer.lora_magnitude_vector):
                if ADAPTER in side:
                    side[ADAPTER].to(torch.float32).requires_grad_(True)
            yield path, layer


def _copy(source: SourceModule, module: LoraModule) -> None:
    pairs = [(module.down, source.down), (module.up, source.up)]
    if module.magnitude is not None and source.magnitude is not None:
        pairs.append((module.magnitude, source.magnitude))
    with torch.no_grad():
        for weight, theirs in pairs:
            if weight.numel() != theirs.numel():
                raise BadSpec(
                    f"The layer {module.file_name} of the LoRA is of another size than the base model's.",
                    "Choose a LoRA of the base's family.",
                )
            weight.copy_(theirs.view_as(weight))


def differences(lora: Lora, source: LoraSource, network: Network) -> list[str]:
    """Say in words where the LoRA that is gone on from is of another shape than the settings ask for."""
    shapes = {(module.rank, module.alpha) for module in source.modules.values()}
    said = []
    if shapes - {(network.rank, network.alpha)}:
        theirs = ", ".join(f"rank {rank} with alpha {alpha:g}" for rank, alpha in sorted(shapes))
        said.append(f"it has {theirs}; the settings say rank {network.rank} with alpha {network.alpha:g}")
    if source.uses_dora != network.uses_dora:
        said.append("it is a DoRA, the settings are not" if source.uses_dora else "it is no DoRA")
    if fresh := len(lora.modules) - len(source.modules):
        said.append(f"{fresh} layers that the settings ask for are not in it and start from nothing")
    return said

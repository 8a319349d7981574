"""Writes a base's parts as one file in Stability's layout: the way back from what loading a single file does."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from app.contract.families import FamilyKey
from worker.families.base import Parts
from worker.single_file import shipped

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
TEXT_PREFIX: dict[FamilyKey, str] = {
    "sd15": "cond_stage_model.transformer.text_model.",
    "sdxl": "conditioner.embedders.0.transformer.text_model.",
}


def renamed(name: str, table: dict[str, str]) -> str:
    """The name with its beginning looked up."""
    for ours, theirs in table.items():
        if name.startswith(f"{ours}."):
            return theirs + name[len(ours) :]
    return name


def unet_key(name: str, layers: int) -> str:
    """A denoiser weight's name; `layers` are those of a block on the way down."""
    head, _, rest = name.partition(".")
    if head not in ("down_blocks", "up_blocks", "mid_block"):
        return renamed(name, ENDS)
    if head == "mid_block":
        kind, number, rest = rest.split(".", 2)
        place = {"resnets": 2 * int(number), "attentions": 1}[kind]
        return f"middle_block.{place}.{renamed(rest, RESNET) if kind == 'resnets' else rest}"
    block, kind, number, rest = rest.split(".", 3)
    if head == "down_blocks":
        first = 1 + int(block) * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op.{rest.removeprefix('conv.')}"
        place, outer = first + int(number), "input_blocks"
    else:
        first, outer = int(block) * (layers + 1), "output_blocks"
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.UPSAMPLER.{rest}"
        place = first + int(number)
    return f"{outer}.{place}.{0 if kind == 'resnets' else 1}.{renamed(rest, RESNET) if kind == 'resnets' else rest}"


def unet_tensors(denoiser: UNet2DConditionModel) -> dict[str, Tensor]:
    """The denoiser's weights by their names in the file."""
    tensors = {}
    for name, tensor in denoiser.state_dict().items():
        key = unet_key(name, denoiser.config.layers_per_block)
        if "UPSAMPLER" in key:
            has_attention = hasattr(denoiser.up_blocks[int(name.split(".")[1])], "attentions")
            key = key.replace("UPSAMPLER", "2" if has_attention else "1")
        tensors[f"model.diffusion_model.{key}"] = tensor
    return tensors


def vae_tensors(vae: nn.Module, prefix: str = "first_stage_model.") -> dict[str, Tensor]:
    """The VAE's weights; its attention was a convolution of one pixel then."""
    last = len(vae.config.block_out_channels) - 1
    tensors = {}
    for name, tensor in vae.state_dict().items():
        side, _, rest = name.partition(".")
        parts = rest.split(".")
        if parts[0] in ("down_blocks", "up_blocks"):
            place = int(parts[1]) if parts[0] == "down_blocks" else last - int(parts[1])
            block = "down" if parts[0] == "down_blocks" else "up"
            inner = f"block.{'.'.join(parts[3:])}" if parts[2] == "resnets" else f"{block}sample.{'.'.join(parts[4:])}"
            rest = f"{block}.{place}.{inner}".replace("conv_shortcut", "nin_shortcut")
        elif parts[:2] == ["mid_block", "resnets"]:
            rest = f"mid.block_{int(parts[2]) + 1}.{'.'.join(parts[3:])}"
        elif parts[:2] == ["mid_block", "attentions"]:
            rest = f"mid.attn_1.{renamed('.'.join(parts[3:]), VAE_ATTENTION)}"
            tensor = tensor[:, :, None, None] if tensor.dim() == 2 else tensor
        rest = rest.replace("conv_norm_out", "norm_out") if side in ("encoder", "decoder") else rest
        tensors[f"{prefix}{side}.{rest}"] = tensor
    return tensors


def open_clip_tensors(encoder: nn.Module, prefix: str = "conditioner.embedders.1.model.") -> dict[str, Tensor]:
    """The second text encoder's weights in OpenCLIP's names: query, key and value in one."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    tensors = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
        "logit_scale": torch.ones(()),
    }
    for layer in range(encoder.config.num_hidden_layers):
        ours, theirs = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            joined = [state[f"{ours}self_attn.{one}_proj.{kind}"] for one in "qkv"]
            tensors[f"{theirs}attn.in_proj_{kind}"] = torch.cat(joined)
            for name, other in CLIP_LAYER.items():
                tensors[f"{theirs}{other}.{kind}"] = state[f"{ours}{name}.{kind}"]
    return {prefix + name: tensor for name, tensor in tensors.items()}


def clip_tensors(encoder: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The first text encoder's weights, with the position ids that old files carry."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    ids = torch.arange(encoder.config.max_position_embeddings)[None]
    return {prefix + name: tensor for name, tensor in (state | {"embeddings.position_ids": ids}).items()}


def tensors_of(family: FamilyKey, parts: Parts) -> dict[str, Tensor]:
    """Everything a single file of the family holds."""
    tensors = unet_tensors(parts.denoiser) | vae_tensors(parts.vae)
    tensors |= clip_tensors(parts.text_encoders[0], TEXT_PREFIX[family])
    if family == "sdxl":
        tensors |= open_clip_tensors(parts.text_encoders[1])
    return tensors


def models_on_meta(family: FamilyKey) -> dict[str, nn.Module]:
    """The real models by the shipped settings, without memory."""
    folder = shipped(family).folder

    def config(name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((folder / name / "config.json").read_text())
        return found

    with torch.device("meta"):
        models: dict[str, nn.Module] = {
            "unet": UNet2DConditionModel.from_config(config("unet")),
            "vae": AutoencoderKL.from_config(config("vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config("text_encoder"))),
        }
        if family == "sdxl":
            models["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**config("text_encoder_2")))
    return models


def tensors_on_meta(family: FamilyKey) -> dict[str, Tensor]:
    """Names and shapes of a whole single file of the family."""
    models = models_on_meta(family)
    tensors = unet_tensors(models["unet"]) | vae_tensors(models["vae"])
    tensors |= clip_tensors(models["text_encoder"], TEXT_PREFIX[family])
    return tensors | (open_clip_tensors(models["text_encoder_2"]) if family == "sdxl" else {})


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write tensors as a file."""
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata)
    return path

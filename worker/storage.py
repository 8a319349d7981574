"""How the frozen denoiser waits in memory: its layers kept smaller, or in main memory, and made whole for each use.

A layer's weights are made whole inside its own step of the graph, forward and backward, so that only one layer at a
time is whole, and nothing of it is kept for the way back.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from app.contract.spec import Storage

NF4_BLOCK = 64
# The sixteen values of NF4: quantiles of a normal distribution, scaled to -1 to 1.
NF4_VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
BLOCKS = ("down_blocks", "mid_block", "up_blocks")
Kept = tuple[Tensor, ...]


@dataclass(frozen=True)
class Form:
    """A way of keeping one weight tensor; `shape` and `dtype` are those it is made whole in."""

    storage: Storage
    shape: torch.Size
    dtype: torch.dtype

    def keep(self, weight: Tensor) -> Kept:
        """Return what is kept of a weight."""
        if self.storage == "fp8":
            peak = _peak(weight.float())
            scaled = weight.float() / peak * torch.finfo(torch.float8_e4m3fn).max
            # As plain bytes, so that no change of a model's precision changes them.
            return scaled.to(torch.float8_e4m3fn).view(torch.uint8), _as_bytes(peak)
        if self.storage == "int8":
            peak = _peak(weight.float())
            return (weight.float() / peak * 127).round().to(torch.int8), _as_bytes(peak)
        if self.storage == "nf4":
            return _nf4(weight.float())
        return (weight.detach(),)

    def whole(self, kept: Kept, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Make a weight whole on the device."""
        moved = [each.to(device, non_blocking=True) for each in kept]
        if self.storage == "full":
            return moved[0].to(dtype)
        scale = moved[1].view(torch.float32)
        if self.storage == "nf4":
            return self._whole_nf4(moved[0], scale, dtype)
        # Shares of the peak first: the peak over 127 or 448 is often less than fp16 can tell from nothing.
        if self.storage == "fp8":
            top = torch.finfo(torch.float8_e4m3fn).max
            return moved[0].view(torch.float8_e4m3fn).to(dtype).div_(top).mul_(scale.to(dtype))
        return moved[0].to(dtype).div_(127).mul_(scale.to(dtype))

    def _whole_nf4(self, packed: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
        values = torch.tensor(NF4_VALUES, device=packed.device, dtype=dtype)
        codes = torch.stack((packed >> 4, packed & 15), dim=-1).view(-1, NF4_BLOCK).int()
        flat = (values[codes] * scale[:, None].to(dtype)).view(-1)
        return flat[: self.shape.numel()].view(self.shape)


def _peak(weight: Tensor) -> Tensor:
    """The largest magnitude of each output channel, shaped to divide by."""
    return weight.abs().amax(dim=tuple(range(1, weight.dim())), keepdim=True).clamp(min=1e-12)


def _as_bytes(scale: Tensor) -> Tensor:
    return scale.float().contiguous().view(torch.uint8)


def _nf4(weight: Tensor) -> Kept:
    flat = F.pad(weight.reshape(-1), (0, -weight.numel() % NF4_BLOCK)).view(-1, NF4_BLOCK)
    scale = flat.abs().amax(dim=1).clamp(min=1e-12)
    values = torch.tensor(NF4_VALUES, device=weight.device)
    middles = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize(flat / scale[:, None], middles).to(torch.uint8).view(-1, 2)
    return (codes[:, 0] << 4 | codes[:, 1]), _as_bytes(scale)


class _Use(torch.autograd.Function):
    """Applies a kept weight; the way back asks for the gradient of the input alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: "Stored", *kept: Tensor) -> Tensor:
        ctx.layer, ctx.inputs_shape, ctx.kept = layer, inputs.shape, kept
        return layer.apply_weight(inputs, layer.form.whole(kept, inputs.device, inputs.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        weight = ctx.layer.form.whole(ctx.kept, gradient.device, gradient.dtype)
        return ctx.layer.input_gradient(ctx.inputs_shape, weight, gradient), None, *(None for _ in ctx.kept)


class Stored(nn.Module):
    """A frozen layer whose weight is kept in a smaller form, or in main memory, or both."""

    here: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d, storage: Storage, *, is_offloaded: bool) -> None:
        super().__init__()
        self.form = Form(storage, layer.weight.shape, layer.weight.dtype)
        self.is_offloaded = is_offloaded
        self.bias = layer.bias
        # Goes wherever the model goes, also where the layer has no bias and its weight stays behind.
        self.register_buffer("here", torch.empty(0, device=layer.weight.device), persistent=False)
        kept = self.form.keep(layer.weight.data)
        # What waits in main memory is no buffer, so that moving the model leaves it there.
        self._outside: Kept = tuple(_pinned(each) for each in kept) if is_offloaded else ()
        self._names = [] if is_offloaded else [f"kept_{place}" for place in range(len(kept))]
        for name, each in zip(self._names, kept, strict=False):
            self.register_buffer(name, each, persistent=False)

    @property
    def kept(self) -> Kept:
        """What is kept of the weight."""
        return self._outside or tuple(getattr(self, name) for name in self._names)

    @property
    def weight(self) -> Tensor:
        """The weight, made whole where the model is."""
        return self.form.whole(self.kept, self.here.device, self.form.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer in the precision of autocast, else in that of its input."""
        kind = inputs.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else inputs.dtype
        answer: Tensor = _Use.apply(inputs.to(dtype), self, *self.kept)
        return answer

    def bias_as(self, dtype: torch.dtype) -> Tensor | None:
        """The frozen bias in a precision."""
        return None if self.bias is None else self.bias.to(dtype)

    def apply_weight(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """Multiply by the weight, and add the bias."""
        raise NotImplementedError

    def input_gradient(self, shape: torch.Size, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient of the input [shape]."""
        raise NotImplementedError


class StoredLinear(Stored):
    """A linear layer."""

    def __init__(self, layer: nn.Linear, storage: Storage, *, is_offloaded: bool) -> None:
        super().__init__(layer, storage, is_offloaded=is_offloaded)
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def apply_weight(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """Multiply by the weight [out, in], and add the bias."""
        return F.linear(inputs, weight, self.bias_as(inputs.dtype))

    def input_gradient(self, shape: torch.Size, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient of the input."""
        return gradient.matmul(weight)


class StoredConv2d(Stored):
    """A convolution."""

    def __init__(self, layer: nn.Conv2d, storage: Storage, *, is_offloaded: bool) -> None:
        # Blocks of sixty-four cut across channels: convolutions, which are few, keep eight bits.
        super().__init__(layer, "int8" if storage == "nf4" else storage, is_offloaded=is_offloaded)
        self.in_channels, self.out_channels, self.kernel_size = layer.in_channels, layer.out_channels, layer.kernel_size
        self.stride, self.padding = layer.stride, layer.padding
        self.dilation, self.groups = layer.dilation, layer.groups

    def apply_weight(self, inputs: Tensor, weight: Tensor) -> Tensor:
        """Convolve with the weight, and add the bias."""
        bias = self.bias_as(inputs.dtype)
        return F.conv2d(inputs, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def input_gradient(self, shape: torch.Size, weight: Tensor, gradient: Tensor) -> Tensor:
        """Return the gradient of the input."""
        return conv2d_input(shape, weight, gradient, self.stride, self.padding, self.dilation, self.groups)


def _pinned(tensor: Tensor) -> Tensor:
    """In main memory, where a GPU can fetch it by itself."""
    moved = tensor.to("cpu")
    return moved.pin_memory() if torch.cuda.is_available() else moved


def store(denoiser: nn.Module, storage: Storage, *, offloads: bool = False) -> None:
    """Keep the frozen layers of the denoiser's blocks in another form, in place; ends, norms and LoRA stay as they are.

    Call it when the LoRA is attached and before the denoiser moves to its device. Nothing happens for whole storage
    without offloading. Call it once.
    """
    if storage == "full" and not offloads:
        return
    for parent_path, parent in list(denoiser.named_modules()):
        for name, layer in list(parent.named_children()):
            path = f"{parent_path}.{name}" if parent_path else name
            if path.startswith(BLOCKS) and _is_frozen(layer):
                kind = StoredLinear if isinstance(layer, nn.Linear) else StoredConv2d
                setattr(parent, name, kind(layer, storage, is_offloaded=offloads))


def _is_frozen(layer: nn.Module) -> bool:
    return type(layer) in (nn.Linear, nn.Conv2d) and not layer.weight.requires_grad

"""The names of SDXL's layers in Stability's own code, which LoRA files of this family use."""

from diffusers import UNet2DConditionModel

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


class SgmNames:
    """Maps diffusers paths to Stability's numbering, counted off the model itself.

    Input blocks count conv_in, each layer and each downsampler; output blocks each layer; in a block the resnet comes
    first, its attention second, and the upsampler last.
    """

    def __init__(self, denoiser: UNet2DConditionModel) -> None:
        self.blocks: dict[str, str] = {}
        self._resnets: set[str] = set()
        self._count_inputs(denoiser)
        self._count_middle(denoiser)
        self._count_outputs(denoiser)

    def name(self, path: str) -> str:
        """Return Stability's name of the module at a diffusers path."""
        if path in ENDS:
            return ENDS[path]
        block = max((block for block in self.blocks if path.startswith(f"{block}.") or path == block), key=len)
        rest = path[len(block) :].removeprefix(".")
        if block in self._resnets:
            rest = RESNET[rest]
        return f"{self.blocks[block]}.{rest}" if rest else self.blocks[block]

    def _put_layer(self, ours: str, layer: int, theirs: str, *, has_attention: bool) -> None:
        self.blocks[f"{ours}.resnets.{layer}"] = f"{theirs}.0"
        self._resnets.add(f"{ours}.resnets.{layer}")
        if has_attention:
            self.blocks[f"{ours}.attentions.{layer}"] = f"{theirs}.1"

    def _count_inputs(self, denoiser: UNet2DConditionModel) -> None:
        place = 1
        for number, block in enumerate(denoiser.down_blocks):
            ours, attentions = f"down_blocks.{number}", getattr(block, "attentions", None)
            for layer in range(len(block.resnets)):
                self._put_layer(ours, layer, f"input_blocks.{place}", has_attention=attentions is not None)
                place += 1
            if block.downsamplers:
                self.blocks[f"{ours}.downsamplers.0.conv"] = f"input_blocks.{place}.0.op"
            place += 1

    def _count_middle(self, denoiser: UNet2DConditionModel) -> None:
        middle = {"resnets.0": 0, "attentions.0": 1, "resnets.1": 2}
        for ours, place in middle.items():
            self.blocks[f"mid_block.{ours}"] = f"middle_block.{place}"
        self._resnets |= {"mid_block.resnets.0", "mid_block.resnets.1"}

    def _count_outputs(self, denoiser: UNet2DConditionModel) -> None:
        place = 0
        for number, block in enumerate(denoiser.up_blocks):
            ours, attentions = f"up_blocks.{number}", getattr(block, "attentions", None)
            for layer in range(len(block.resnets)):
                self._put_layer(ours, layer, f"output_blocks.{place}", has_attention=attentions is not None)
                place += 1
            if block.upsamplers:
                inside = 2 if attentions is not None else 1
                self.blocks[f"{ours}.upsamplers.0.conv"] = f"output_blocks.{place - 1}.{inside}.conv"

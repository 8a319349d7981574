"""Tiny models of the shapes that real taggers and captioners have, made on the spot."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration, BlipProcessor
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

SIDE_PX = 16
# Name, category, and how much blue, green and red count for it.
COLOURS = (
    ("general", "9", (0.3, 0.3, 0.3)),
    ("blue", "0", (1.0, 0.0, 0.0)),
    ("green_leaf", "0", (0.0, 1.0, 0.0)),
    ("red", "0", (0.0, 0.0, 1.0)),
    (">_<", "0", (0.0, 0.0, 0.5)),
    ("fox_hero", "4", (0.0, 0.0, 0.8)),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")
WORDS = (*SPECIAL, "a", "red", "blue", "cat", "dog", "on", "the", "photo", "of")


def make_wd(
    folder: Path,
    *,
    batch: int | str = "batch",
    is_channels_last: bool = True,
    has_sigmoid: bool = True,
    tags: Sequence[tuple[str, str, tuple[float, float, float]]] = COLOURS,
) -> Path:
    """Write a tagger that sees how blue, green and red an image is; without its sigmoid it gives scores, not shares."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = [batch, SIDE_PX, SIDE_PX, 3] if is_channels_last else [batch, 3, SIDE_PX, SIDE_PX]
    weights = np.array([counts for _, _, counts in tags], dtype=np.float32).T
    nodes = [helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2] if shape[3] == 3 else [2, 3], keepdims=0)]
    nodes += [
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["colours"]),
        helper.make_node("MatMul", ["colours", "weights"], ["share"]),
        helper.make_node("Mul", ["share", "gain"], ["gained"]),
        helper.make_node("Sub", ["gained", "bias"], ["scores"]),
    ]
    # Shares from 0 to 1, or scores from -8 to 8.
    scale, shift = (1 / 255, 0.0) if is_channels_last else (0.5, 0.5)
    numbers = {
        "scale": scale,
        "shift": shift,
        "gain": 1.0 if has_sigmoid else 16.0,
        "bias": 0.0 if has_sigmoid else 8.0,
    }
    constants = [numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in numbers.items()]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, len(tags)])],
        [*constants, numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with (folder / "selected_tags.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows([place, name, category, 1000] for place, (name, category, _) in enumerate(tags))
    return folder


def make_subject_finder(path: Path, *, side_px: int | None = 32, has_sigmoid: bool = True, gain: float = 6.0) -> Path:
    """Write a model for colours scaled as ImageNet's that sees the subject where an image is red; coarser maps follow.

    Without a side the graph leaves height and width open; without its sigmoid it gives scores.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = [1, 3, side_px or "height", side_px or "width"]
    # How much redder than green, of deviations: red alone gives about 4, grey 0.
    weights = np.array([[1.0, -1.0, 0.0]], dtype=np.float32).reshape(1, 3, 1, 1)
    numbers = {"gain": gain, "bias": -gain}
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["red"]),
        helper.make_node("Mul", ["red", "gain"], ["gained"]),
        helper.make_node("Add", ["gained", "bias"], ["scores"]),
        helper.make_node("Sigmoid" if has_sigmoid else "Identity", ["scores"], ["map"]),
        helper.make_node("AveragePool", ["map"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
    ]
    constants = [numpy_helper.from_array(np.array(value, dtype=np.float32), name) for name, value in numbers.items()]
    out = [1, 1, *shape[2:]]
    graph = helper.make_graph(
        nodes,
        "subject",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, out),
            helper.make_tensor_value_info("coarse", TensorProto.FLOAT, [1, 1, "h", "w"]),
        ],
        [*constants, numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def make_blip(folder: Path) -> Path:
    """Write a random BLIP of two thin layers with a vocabulary of sixteen words."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: place for place, word in enumerate(WORDS)}
    tokenizer = BertTokenizerFast(vocab=vocabulary, additional_special_tokens=["[DEC]", "[ENC]"])
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    thin = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BlipConfig(
        text_config={
            **thin,
            "vocab_size": len(WORDS),
            "encoder_hidden_size": 16,
            "max_position_embeddings": 64,
            "bos_token_id": 5,
            "eos_token_id": 3,
            "sep_token_id": 3,
            "pad_token_id": 0,
        },
        vision_config={**thin, "image_size": 32, "patch_size": 16},
        projection_dim=16,
    )
    torch.manual_seed(5)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    return folder


def rename_architecture(folder: Path, model_type: str) -> None:
    """Let the folder say that it holds another architecture."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type}))

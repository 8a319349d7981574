"""Headers of tensor files: read whole or refused in words, whatever the bytes."""

import json
import struct
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import save_file

from app.contract.base_file import NotABase, is_lora, is_vae, recognise
from app.contract.tensor_file import BadTensorFile, read_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"a.weight": torch.zeros(3, 4), "b": torch.zeros((), dtype=torch.bfloat16), "c": torch.zeros(0)}
    save_file(tensors, tmp_path / "x.safetensors", {"format": "pt", "who": "me"})
    return tmp_path / "x.safetensors"


def test_a_header_tells_names_shapes_and_remarks(file: Path) -> None:
    header = read_header(file)
    assert header.shape("a.weight") == (3, 4)
    assert header.shape("b") == header.shape("nothing") == ()
    assert header.tensors["b"].dtype == "BF16"
    assert header.metadata["who"] == "me"
    assert header.has("a.")
    assert not header.has("z")


@pytest.mark.parametrize("seed", range(200))
def test_whatever_the_bytes_nothing_but_words_comes_of_it(file: Path, seed: int) -> None:
    random, data = Random(seed), bytearray(file.read_bytes())
    for _ in range(random.randint(1, 6)):
        data[random.randrange(len(data))] = random.randrange(256)
    file.write_bytes(data[: random.choice((len(data), random.randrange(len(data)) + 1))])
    try:
        header = read_header(file)
    except BadTensorFile:
        return
    is_lora(header)
    is_vae(header)
    with pytest.raises(NotABase):
        recognise(header)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 2**82]},
        {"dtype": "F32", "shape": [1] * 20, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]},
        {"dtype": [], "shape": [1], "data_offsets": [0, 4]},
    ],
)
def test_an_entry_that_lies_is_refused(tmp_path: Path, entry: dict[str, object]) -> None:
    text = json.dumps({"x": entry}).encode()
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(BadTensorFile):
        read_header(tmp_path / "lie.safetensors")

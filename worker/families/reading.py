"""How texts are read: in chunks of a text encoder's length, at a layer counted from the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from app.contract.spec import BaseModelRef
from worker.errors import BadSpec

TextModel: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection


@dataclass(frozen=True)
class Reading:
    """`clip_skip` 1 reads the last layer; every text is given `chunks` chunks, so that all have one shape."""

    clip_skip: int = 1
    chunks: int = 1


def check_reading(base: BaseModelRef, encoder: TextModel, reading: Reading) -> None:
    """Raise BadSpec when the text encoder has no layer that far from its end."""
    layers = encoder.config.num_hidden_layers
    if reading.clip_skip > layers:
        raise BadSpec(
            f"Clip skip {reading.clip_skip} is more than {base.name} allows: its text encoder has {layers} layers.",
            "Choose a smaller clip skip.",
        )


def tokenize(tokenizer: CLIPTokenizer, texts: Sequence[str], longest: int, chunks: int = 1) -> Tensor:
    """Return token ids [B x chunks, length]: each chunk between begin and end, padded with the tokenizer's own token.

    What does not fit into the chunks is cut; a text that needs fewer is followed by empty ones.
    """
    length = min(tokenizer.model_max_length, longest)
    room = length - 2
    rows = []
    for text in texts:
        words = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        for start in range(0, room * chunks, room):
            row = [tokenizer.bos_token_id, *words[start : start + room], tokenizer.eos_token_id]
            rows.append(row + [tokenizer.pad_token_id] * (length - len(row)))
    return torch.tensor(rows, dtype=torch.long)


def encoded(encoder: TextModel, tokenizer: CLIPTokenizer, texts: Sequence[str], chunks: int) -> Any:
    """Ask a text encoder, with all of its layers' states; the first axis is texts times chunks."""
    ids = tokenize(tokenizer, texts, encoder.config.max_position_embeddings, chunks)
    return encoder(ids.to(encoder.device), output_hidden_states=True)


def joined(hidden: Tensor, texts: int) -> Tensor:
    """Put the chunks of each text after one another: [B x chunks, tokens, width] to [B, chunks x tokens, width]."""
    return hidden.reshape(texts, -1, hidden.shape[-1])


def with_final_norm(encoder: TextModel, hidden: Tensor) -> Tensor:
    """Send states of an early layer through the encoder's last norm."""
    model: Any = getattr(encoder, "text_model", encoder)
    normed: Tensor = model.final_layer_norm(hidden)
    return normed

"""Tokens of a text as the model's own tokenizer counts them, and where its chunks of 75 end."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

CHUNK_TOKENS = 75
FILES = ("tokenizer.json", "vocab.json")
ENDS = ("<|startoftext|>", "<|endoftext|>")
# The pattern that CLIP was trained with.
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


@dataclass(frozen=True)
class Measured:
    """How many tokens a text has, and the places in it (in letters) at which a new chunk of 75 begins."""

    tokens: int
    breaks: tuple[int, ...]


class Tokens:
    """A CLIP tokenizer, read from the files of a base model."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def measure(self, text: str, before: int = 0) -> Measured:
        """Count one text and find its breaks, where as many tokens stand before it already."""
        read = self._tokenizer.encode(text, add_special_tokens=False)
        starts = range(CHUNK_TOKENS - before % CHUNK_TOKENS, len(read.ids), CHUNK_TOKENS)
        return Measured(len(read.ids), tuple(read.offsets[place][0] for place in starts))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Count many texts at once."""
        return [len(each.ids) for each in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def read_tokens(folders: Sequence[Path]) -> Tokens | None:
    """Read the first tokenizer that stands in one of these folders; None when there is none to read."""
    for folder in folders:
        for name in FILES:
            if (folder / name).is_file() and (read := _read(folder, name)) is not None:
                return Tokens(read)
    return None


def _read(folder: Path, name: str) -> Tokenizer | None:
    try:
        read: Tokenizer = (
            Tokenizer.from_file(str(folder / name)) if name == "tokenizer.json" else _from_vocabulary(folder)
        )
    except Exception as error:
        # The library raises a plain Exception for a file that it cannot read.
        if type(error) is not Exception and not isinstance(error, OSError | ValueError):
            raise
        return None
    read.no_truncation()
    read.no_padding()
    return read


def _from_vocabulary(folder: Path) -> Tokenizer:
    model = BPE.from_file(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        continuing_subword_prefix="",
        end_of_word_suffix="</w>",
        unk_token=ENDS[1],
    )
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.add_special_tokens(list(ENDS))
    return made

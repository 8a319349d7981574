"""Settings that are written as text: what differs by block, and the LoRA file that a run goes on from."""

from pathlib import Path

from app.contract.base_file import is_lora
from app.contract.spec import BlockSetting, LoraRef
from app.contract.tensor_file import BadTensorFile, read_header

UNCHANGED = "-"


def read_blocks(text: str) -> tuple[BlockSetting, ...]:
    """Read one block a line, `prefix [rank [rate scale]]`. Raises ValueError naming the line."""
    found: dict[str, BlockSetting] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        if words[0] in found:
            raise ValueError(f"Line {number}: {words[0]} stands there twice.")
        try:
            found[words[0]] = _block(words)
        except ValueError:
            raise ValueError(
                f"Line {number}: write a path, a rank from 0 to 256 (or {UNCHANGED}) and a factor from 0 to 100, "
                "such as: down_blocks.0 4 0.5."
            ) from None
    return tuple(found.values())


def _block(words: list[str]) -> BlockSetting:
    prefix, rank, scale = (*words, UNCHANGED, "1")[:3] if len(words) < 3 else words
    return BlockSetting(
        prefix=prefix,
        rank=None if rank == UNCHANGED else int(rank),
        learning_rate_scale=1.0 if scale == UNCHANGED else float(scale),
    )


def read_continues(text: str) -> LoraRef | None:
    """Read the path of a LoRA file; its hash is filled in when the run starts. Raises ValueError in words."""
    if not text:
        return None
    path = Path(text.strip("\"'")).expanduser()
    if not path.is_absolute():
        raise ValueError("Give the file's full path.")
    try:
        header = read_header(path)
    except OSError as error:
        raise ValueError(f"There is no file to read at {path}: {error.strerror or error}.") from error
    except BadTensorFile as error:
        raise ValueError(f"{error}.") from error
    if not is_lora(header):
        raise ValueError(f"{path.name} holds no LoRA.")
    return LoraRef(path=str(path), sha256="")

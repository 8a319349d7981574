"""Training text: how a caption and the trigger word become what the text encoder reads."""

import re
from random import Random


def tags(caption: str) -> tuple[str, ...]:
    """Split a caption at its commas into trimmed, non-empty tags."""
    return tuple(tag for part in re.split(r"[,\n]", caption) if (tag := part.strip()))


def has_trigger(caption: str, trigger_word: str) -> bool:
    """True when the trigger word stands in the caption as a word of its own, whatever its case."""
    return bool(trigger_word) and bool(
        re.search(rf"(?<!\w){re.escape(trigger_word)}(?!\w)", caption, flags=re.IGNORECASE)
    )


def compose(caption: str, trigger_word: str) -> str:
    """Return the training text: the caption as written, led by the trigger word unless it is already there."""
    text = ", ".join(tags(caption))
    if not trigger_word or has_trigger(text, trigger_word):
        return text
    return f"{trigger_word}, {text}" if text else trigger_word


def vary(text: str, random: Random, *, shuffles: bool, keep: int, dropout: float) -> str:
    """Return one epoch's variant of a training text: dropped whole at the given rate, tags shuffled after `keep`."""
    if random.random() < dropout:
        return ""
    if not shuffles:
        return text
    words = list(tags(text))
    tail = words[keep:]
    random.shuffle(tail)
    return ", ".join(words[:keep] + tail)

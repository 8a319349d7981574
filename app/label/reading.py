"""What becomes of words while they are typed: segments, tokens with their breaks, the texts that would train."""

from collections.abc import Sequence
from random import Random

from pydantic import BaseModel

from app.contract.captions import Kind, compose, parse, vary
from app.contract.spec import Data
from app.label.tokens import Tokens

TRAININGS = 4
TRIES = 24


class SegmentRead(BaseModel):
    """A stretch of a line; all of them joined are the line."""

    text: str
    kind: Kind


class LineRead(BaseModel):
    """One line; `breaks` are the places in it (in letters) where a new chunk of 75 tokens begins.

    `tokens` are those of the training text in the order it was written, None where no tokenizer is at hand;
    `trainings` are up to four texts exactly as they may be trained.
    """

    segments: Sequence[SegmentRead]
    tokens: int | None
    breaks: Sequence[int]
    trainings: Sequence[str]


class CaptionRead(BaseModel):
    """A caption read line by line."""

    lines: Sequence[LineRead]


def read_caption(text: str, trigger_word: str, data: Data, tokens: Tokens | None) -> CaptionRead:
    """Read a caption as the trainer will; every line is shown, though a run may read the first alone."""
    always = data.model_copy(update={"caption_dropout": 0.0})
    return CaptionRead(lines=[_line(line.text, trigger_word, always, tokens) for line in parse(text).lines])


def _line(text: str, trigger_word: str, data: Data, tokens: Tokens | None) -> LineRead:
    composed = compose(text, trigger_word) if text.strip() else ""
    (read,) = parse(text).lines
    texts = list(dict.fromkeys(vary(composed, Random(seed), data) for seed in range(TRIES))) if composed else []
    as_written = vary(composed, Random(0), data.model_copy(update={"shuffles_tags": False, "tag_dropout": 0.0}))
    count = tokens.measure(as_written).tokens if tokens else None
    # The trigger word that leads a line which has none stands in the first chunk too.
    own = tokens.measure(text, max(0, (count or 0) - tokens.measure(text).tokens)) if tokens else None
    return LineRead(
        segments=[SegmentRead(text=each.text, kind=each.kind) for each in read.segments],
        tokens=count,
        breaks=own.breaks if own else (),
        trainings=texts[:TRAININGS],
    )

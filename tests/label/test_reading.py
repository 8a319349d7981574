"""What becomes of words while they are typed."""

from app.config import ROOT
from app.contract.spec import Data
from app.label.reading import read_caption
from app.label.tokens import read_tokens

TOKENS = read_tokens([ROOT / "worker" / "mini" / "base" / "tokenizer"])
SHUFFLED = Data(shuffles_tags=True, caption_dropout=0.9)


def test_every_line_is_read_as_it_may_train() -> None:
    read = read_caption("a, b, c\n\nA fox sits here, calm.", "rdfx", SHUFFLED, TOKENS)
    assert [len(line.trainings) for line in read.lines] == [4, 0, 1]
    assert all(text.startswith("rdfx, ") for line in read.lines for text in line.trainings)
    assert read.lines[2].trainings == ["rdfx, A fox sits here, calm."]
    assert [segment.kind for segment in read.lines[2].segments] == ["prose"]


def test_a_leading_trigger_word_moves_the_break_to_the_left() -> None:
    words = "red " * 80
    alone = read_caption(words, "", Data(), TOKENS).lines[0]
    led = read_caption(words, "red", Data(), TOKENS).lines[0]
    behind = read_caption(words, "blue", Data(), TOKENS).lines[0]
    assert (alone.tokens, alone.breaks) == (80, (300,))
    assert (led.tokens, led.breaks) == (80, (300,))
    # The word and its comma take the place of two.
    assert (behind.tokens, behind.breaks) == (82, (292,))


def test_signs_that_never_train_are_not_counted() -> None:
    plain, signed = (read_caption(text, "", Data(), TOKENS).lines[0] for text in ("a, b, c", "a ||| b;;;c"))
    assert plain.tokens == signed.tokens


def test_without_a_tokenizer_there_are_no_counts() -> None:
    (line,) = read_caption("a", "", Data(), None).lines
    assert (line.tokens, list(line.breaks)) == (None, [])

"""Token counts equal those of the tokenizer that trains."""

import json
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from app.config import ROOT
from app.label.tokens import Tokens, read_tokens

BUNDLED = ROOT / "worker" / "mini" / "base" / "tokenizer"
TEXTS = [
    "",
    "a red fox, standing in  snow",
    "1girl, solo, nero_(fate/extra), :3, don't, it's 2024!",
    "猫がいる, café, 👩‍🚀, <|endoftext|>, {a|b} ||| x;;;y",
    "\ufeffsks cat\n\ttwo lines " + "very long, " * 120,
]


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab.json"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled tokenizer, as it is and in the two files of older models."""
    if request.param == "tokenizer.json":
        return BUNDLED
    made = tmp_path_factory.mktemp("tokenizer")
    model = json.loads((BUNDLED / "tokenizer.json").read_text("utf-8"))["model"]
    (made / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    (made / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges), "utf-8")
    return made


@pytest.fixture(scope="module")
def tokens(folder: Path) -> Tokens:
    """Our reading of it."""
    read = read_tokens([folder / "missing", folder])
    assert read is not None
    return read


@pytest.mark.parametrize("text", TEXTS)
def test_counts_are_those_of_the_model(tokens: Tokens, text: str) -> None:
    theirs = CLIPTokenizer.from_pretrained(BUNDLED)(text, add_special_tokens=False, verbose=False).input_ids
    assert tokens.measure(text).tokens == len(theirs)
    assert tokens.counts([text, "a"])[0] == len(theirs)


def test_a_break_stands_where_the_next_chunk_begins(tokens: Tokens) -> None:
    text = "red " * 160
    measured = tokens.measure(text)
    assert measured.tokens == 160
    assert measured.breaks == (75 * 4, 150 * 4)
    assert tokens.measure("red " * 75).breaks == ()


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{broken")
    assert read_tokens([tmp_path, tmp_path / "gone"]) is None

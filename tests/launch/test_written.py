"""Settings written as text, read apart from the form they stand in."""

from pathlib import Path

import pytest

from app.launch.written import read_blocks, read_continues
from tests.launch.test_draft import lora_file


def test_what_is_left_out_of_a_block_stays_as_it_is() -> None:
    (alone, ranked, whole) = read_blocks("a\nb, 8\nc - 0.25")
    assert (alone.rank, alone.learning_rate_scale) == (None, 1)
    assert (ranked.rank, ranked.learning_rate_scale) == (8, 1)
    assert (whole.rank, whole.learning_rate_scale) == (None, 0.25)
    assert read_blocks(" \n") == ()


@pytest.mark.parametrize("line", ["a 1 2 3", "a 1.5", "a -1", "a 1 -1", "a 1 nan", "a 1 inf"])
def test_numbers_out_of_bounds_name_their_line(line: str) -> None:
    with pytest.raises(ValueError, match="Line 2"):
        read_blocks(f"fine 1\n{line}")


def test_a_path_may_stand_in_quotes(tmp_path: Path) -> None:
    file = lora_file(tmp_path / "my lora.safetensors", "lora_te_x.lora_down.weight")
    found = read_continues(f'"{file}"')
    assert found is not None
    assert (found.path, found.sha256) == (str(file), "")
    assert read_continues("") is None

"""The memory bars: as wide as they are large, held against the right card, with the advice that fits."""

import pytest

from app.contract.memory import GB
from app.launch.outlook import look_ahead
from tests.contract.test_memory import make_spec


def test_bars_are_as_wide_as_they_are_large() -> None:
    seen = look_ahead(make_spec("sdxl"))
    assert [bar.label for bar in seen.bars] == ["Encoding", "Training", "Samples"]
    assert (seen.card, seen.fits, seen.advice) == ("8.0 GB", True, "")
    for bar in seen.bars:
        assert bar.limit_at == 100
        ends = [segment.start + segment.width for segment in bar.segments]
        assert [segment.start for segment in bar.segments[1:]] == pytest.approx(ends[:-1], abs=0.02)
        assert ends[-1] == pytest.approx(float(bar.total.split()[0]) / 8 * 100, abs=1)


def test_the_limit_counts_before_the_card_and_the_card_before_a_small_one() -> None:
    assert look_ahead(make_spec("sdxl")).card_source == "a card of 8 GB"
    assert not look_ahead(make_spec("sdxl")).has_gpu
    seen = look_ahead(make_spec("sdxl"), 24 * GB)
    assert (seen.card, seen.card_source, seen.has_gpu) == ("24.0 GB", "the GPU of this computer", True)
    limited = look_ahead(make_spec("sdxl", optimization__memory_limit_gb=6), 24 * GB)
    assert (limited.card, limited.card_source, limited.fits) == ("6.0 GB", "the memory limit set here", False)
    assert limited.advice.startswith("Store the base as int8: ")
    assert any(bar.is_over for bar in limited.bars)
    assert limited.bars[1].limit_at < 100


def test_what_can_never_fit_is_said() -> None:
    assert look_ahead(make_spec("sdxl", optimization__memory_limit_gb=1)).advice.startswith("Nothing makes it fit.")


def test_without_prompts_no_samples_are_drawn() -> None:
    assert [bar.label for bar in look_ahead(make_spec("sdxl", sampling__prompts=[])).bars] == ["Encoding", "Training"]

"""Going on with less memory: the cheapest change that leaves what was learnt as it is."""

from app.contract.lean import Lean, lean_for
from app.contract.memory import GB, peak
from tests.contract.test_memory import make_spec


def test_the_cheapest_change_that_a_run_can_go_on_with() -> None:
    spec = make_spec("sdxl", optimization__gradient_checkpointing=False)
    found = lean_for(spec, 8 * GB)
    assert found is not None
    assert found == (Lean(gradient_checkpointing=True), "turn on gradient checkpointing")
    assert peak(found[0].applied(spec), 8 * GB) <= 8 * GB


def test_optimizer_texts_and_sizes_stay_as_they_are() -> None:
    """The state of another optimizer, or a dataset frozen for another size, is nothing to go on from."""
    spec = make_spec("sdxl", optimization__text_encoder_learning_rate=1e-5, optimization__batch=4)
    lean, words = lean_for(spec, 3 * GB) or (Lean(), "")
    after = lean.applied(spec)
    assert "halve the batch" in words
    assert (after.optimization.batch, after.optimization.accumulation) == (2, 2)
    assert after.optimization.optimizer == spec.optimization.optimizer
    assert after.optimization.text_encoder_learning_rate == 1e-5
    assert after.data == spec.data


def test_a_run_that_was_thought_to_fit_still_gets_a_change_and_the_leanest_none() -> None:
    spec = make_spec("sd15", optimization__batch=1)
    found = lean_for(spec, 24 * GB)
    assert found is not None
    assert peak(found[0].applied(spec), 24 * GB) < peak(spec, 24 * GB)
    least = make_spec(
        "sdxl", optimization__batch=1, optimization__base_storage="nf4", optimization__offloads_blocks=True
    )
    assert lean_for(least, GB) is None
    assert Lean().applied(spec) == spec

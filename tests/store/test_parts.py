"""Large edits in parts: one step, others write in between, and half of it is said and can be undone."""

from collections.abc import Callable, Sequence
from threading import Event, Thread

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from app.contract.recipe import Recipe
from app.errors import Conflict
from app.store import captions, images, parts, projects, recipes, splits, undo, versions
from app.store.db import read, write
from app.store.edits import Step, new_step
from app.store.models import Blob, Image
from app.store.parts import Unfinished, in_parts

COUNT = 450
TURNED = Recipe(quarter_turns=1)


@pytest.fixture
def ids(engine: Engine) -> list[int]:
    """More images than go into one part."""
    numbers = list(range(1, COUNT + 1))
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
        blob = {"extension": "png", "size_bytes": 9, "width_px": 120, "height_px": 90}
        session.execute(insert(Blob), [{"sha256": f"{each:064x}", **blob} for each in numbers])
        image = {"project_id": project_id, "added_us": 1}
        session.execute(
            insert(Image),
            [
                {"id": each, "sha256": f"{each:064x}", "name": f"{each}.png", "name_key": f"{each}.png", **image}
                for each in numbers
            ],
        )
    return numbers


def turned(engine: Engine) -> set[int]:
    with read(engine) as session:
        return {row.id for row in images.training_rows(session, 1) if row.recipe == TURNED}


def turning(step: Step) -> Callable[[Session, Sequence[int]], int]:
    return lambda session, part: recipes.set_recipes(session, step, dict.fromkeys(part, TURNED))


def test_all_parts_are_one_step_that_is_undone_and_done_again(engine: Engine, ids: list[int]) -> None:
    assert in_parts(engine, ids, turning(new_step(1, "ann"))) == COUNT
    done = undo.travel(engine, 1, "ann", "undo")
    assert done is not None
    assert done.said == f"Undone: {COUNT} images: turned right (ann)"
    assert turned(engine) == set()
    with read(engine) as session:
        assert undo.offers(session, 1)[0] is None
    assert undo.travel(engine, 1, "ann", "redo")
    assert turned(engine) == set(ids)
    with read(engine) as session:
        assert undo.offers(session, 1)[1] is None
        assert len(versions.past_steps(session, 1)) == 3


def test_somebody_else_writes_between_two_parts(engine: Engine, ids: list[int]) -> None:
    step, begun, written = new_step(1, "ann"), Event(), Event()

    def other() -> None:
        assert begun.wait(10)
        with write(engine) as session:
            captions.save(session, ids[-1], "words in between", "bob")
        written.set()

    def work(session: Session, part: Sequence[int]) -> int:
        begun.set()
        return turning(step)(session, part)

    def tell(done: int, _total: int) -> None:
        if done:
            assert written.wait(10)

    thread = Thread(target=other)
    thread.start()
    assert in_parts(engine, ids, work, tell) == COUNT
    thread.join()
    with read(engine) as session:
        row = images.get(session, ids[-1])
    assert (row.caption, row.recipe) == ("words in between", TURNED)


def test_what_stopped_half_way_says_so_is_undone_or_gone_on_with(engine: Engine, ids: list[int]) -> None:
    step = new_step(1, "ann")

    def breaks(session: Session, part: Sequence[int]) -> int:
        if ids[-1] in part:
            raise Conflict("The disk is full.")
        return turning(step)(session, part)

    with pytest.raises(
        Unfinished, match=r"of 450 images were dealt with, then it stopped: The disk is full\."
    ) as caught:
        in_parts(engine, ids, breaks)
    assert "can be undone" in caught.value.hint
    half = turned(engine)
    assert 0 < len(half) < COUNT
    assert in_parts(engine, ids, turning(new_step(1, "ann"))) == COUNT - len(half)
    for left in (half, set[int]()):
        assert undo.travel(engine, 1, "ann", "undo")
        assert turned(engine) == left


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        (OSError(28, "No space left on device"), "the disk refused (No space left on device)."),
        (KeyError("x"), "LoRA Studio made a mistake. The terminal that runs it says more."),
        (Conflict("Bob was faster.", "Ask him."), "Bob was faster. Ask him."),
    ],
)
def test_whatever_stops_it_half_way_it_is_said_what_is_done(
    engine: Engine, ids: list[int], trouble: Exception, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    step = new_step(1, "ann")

    def breaks(session: Session, part: Sequence[int]) -> int:
        count = turning(step)(session, part)
        if ids[-1] in part:
            raise trouble
        return count

    with pytest.raises(Unfinished) as caught:
        in_parts(engine, ids, breaks)
    half = turned(engine)
    assert 0 < len(half) < COUNT
    assert caught.value.message == f"{len(half)} of 450 images were dealt with, then it stopped: {why}"
    assert caught.value.hint.startswith(f"The other {COUNT - len(half)} are as they were. What is done is one step")
    # A mistake of ours is found in the log with its stack.
    assert [each.exc_info is not None for each in caplog.records] == ([] if isinstance(trouble, Conflict) else [True])
    assert undo.travel(engine, 1, "ann", "undo")
    assert turned(engine) == set()


def test_what_fails_at_once_is_told_as_it_is(engine: Engine, ids: list[int]) -> None:
    def breaks(_session: Session, _part: Sequence[int]) -> int:
        raise Conflict("Somebody was faster.")

    with pytest.raises(Conflict, match="Somebody was faster"):
        in_parts(engine, ids, breaks)
    assert in_parts(engine, [], breaks) == 0


def test_an_undo_in_parts_refuses_before_anything_changed(engine: Engine, ids: list[int]) -> None:
    in_parts(engine, ids, turning(new_step(1, "ann")))
    with write(engine) as session:
        session.get_one(Image, ids[-1]).recipe = "{}"
    with pytest.raises(Conflict, match=r"recipe of 450\.png after this step, so nothing was undone"):
        undo.travel(engine, 1, "ann", "undo")
    assert turned(engine) == set(ids[:-1])


def test_parts_become_smaller_where_they_take_long(
    engine: Engine, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_S", 0.0)
    sizes: list[int] = []
    in_parts(engine, ids[:150], lambda _session, part: sizes.append(len(part)) or 0)
    assert sizes == [100, 10, 10, 10, 10, 10]


def test_a_version_comes_back_in_parts(engine: Engine, ids: list[int]) -> None:
    with write(engine) as session:
        old = versions.save(session, 1, "old", "ann")
    batch = new_step(1, "ann").batch
    in_parts(
        engine, ids, lambda session, part: splits.set_split(session, 1, part, "regularisation", "ann", batch=batch)
    )
    assert versions.restore(engine, 1, old.history_id, "ann") == COUNT
    with read(engine) as session:
        assert splits.counts(session, 1).train == COUNT
        assert {each.images for each in versions.past_steps(session, 1)} == {COUNT}

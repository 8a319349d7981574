"""The one next step: dataset before labels, labels before training, review at the end."""

import pytest
from sqlalchemy import Engine

from app.next_step import PAGE, LastRun, Standing, next_step, standing, uncaptioned
from app.store import captions, images, projects, runs, verdicts
from app.store.db import read, write
from app.store.images import NewImage
from app.store.verdicts import VerdictKey

READY = Standing(project_id=7, images=4, captioned=4, has_base=True, last_run=None)


def after(status: str, *, has_verdict: bool = False, best_step: int | None = None) -> Standing:
    """A ready project whose last run has come this far."""
    return Standing(7, 4, 4, True, LastRun(3, "Balanced", status, has_verdict, best_step))


@pytest.mark.parametrize(
    ("reached", "title", "href"),
    [
        (Standing(7, 0, 0, False, None), "Add images", "/projects/7/images"),
        (Standing(7, 4, 3, False, LastRun(3, "Balanced", "completed")), "Caption 1 image", "/projects/7/captions"),
        (Standing(7, 4, 1, True, None), "Caption 3 images", "/projects/7/captions"),
        (Standing(7, 4, 4, False, None), "Choose a base model", "/projects/7#settings"),
        (READY, "Train", "/projects/7/train"),
        (after("queued"), "Watch Balanced", "/runs/3"),
        (after("running"), "Watch Balanced", "/runs/3"),
        (after("failed"), "See why Balanced failed", "/runs/3"),
        (after("completed"), "Review Balanced", "/projects/7/review?run=3"),
        (after("stopped"), "Review Balanced", "/projects/7/review?run=3"),
        (after("completed", has_verdict=True), "Mark the best sample of Balanced", "/projects/7/review?run=3"),
        (
            after("stopped", has_verdict=True, best_step=1500),
            "Take step 1,500 of Balanced",
            "/projects/7/review?run=3",
        ),
    ],
)
def test_the_earliest_thing_that_lacks_is_next(reached: Standing, title: str, href: str) -> None:
    step = next_step(reached)
    assert (step.title, step.href) == (title, href)
    assert step.text
    assert step.action


def test_only_verdicts_on_the_newest_run_and_its_sweeps_count(engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Twice", "style", "", None).id
        first = runs.create(session, project_id, "train", "First", "0001-first")
        verdicts.put(session, VerdictKey(first.id, 40, 0, 42, 100), "best")
        second = runs.create(session, project_id, "train", "Second", "0002-second")
        reached = standing(session, project_id).last_run
        assert reached == LastRun(second.id, "Second", second.status)
        sweep = runs.create(session, project_id, "render", "Sweep", "0003-sweep", parent_id=second.id)
        verdicts.put(session, VerdictKey(sweep.id, 60, 0, 42, 80), "keep")
        reached = standing(session, project_id).last_run
        assert reached == LastRun(second.id, "Second", second.status, has_verdict=True)
        verdicts.put(session, VerdictKey(second.id, 60, 0, 42, 100), "best")
        reached = standing(session, project_id).last_run
        assert reached == LastRun(second.id, "Second", second.status, has_verdict=True, best_step=60)


def test_an_uncaptioned_image_is_found_behind_many_pages(engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Many", "style", "", None).id
        for number in range(2 * PAGE):
            new = NewImage(f"{number:064x}", "png", 1, 8, 8, f"{number}.png")
            images.add(session, project_id, new, "words", "you")
        assert uncaptioned(session, project_id) is None
        captions.save(session, 2 * PAGE, " \n", "you")
    with read(engine) as session:
        found = uncaptioned(session, project_id)
        assert found is not None
        assert found.id == 2 * PAGE
        assert uncaptioned(session, project_id, after_id=2 * PAGE) is None
        assert standing(session, project_id) == Standing(project_id, 2 * PAGE, 2 * PAGE - 1, False, None)

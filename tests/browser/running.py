"""A studio whose runs the test itself writes, event by event, as a worker would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings
from app.contract.events import PhaseChanged
from app.store.db import migrate, open_engine
from tests.drawing import project_with_images
from tests.routes.stories import Story, living_worker, train_story
from tests.studio import Studio

STEPS = {"optimization.steps": "200", "saving.every_steps": "20", "sampling.every_steps": "20"}


@contextmanager
def running(data: Path, texts: dict[str, str] | None = None) -> Iterator[tuple[Studio, Story]]:
    """Start a studio on a project with four images and a training that has drawn its baseline and step 20."""
    settings = Settings(data=data, starts_worker=False)
    settings.make_folders()
    migrate(settings)
    engine = open_engine(settings.store_path)
    project_id = project_with_images(settings, engine)
    story = train_story(settings, engine, project_id, {**STEPS, **(texts or {})})
    with living_worker(settings):
        story.claim()
        story.draw(0)
        go_on(story, 20)
        studio = Studio(data, "--no-worker")
        yield studio, story
        studio.end()
    engine.dispose()


def go_on(story: Story, step: int) -> None:
    """Train up to a step, save there and draw."""
    story.log.append(PhaseChanged(phase="training"))
    story.train(step - 19, step)
    story.save(step)
    story.draw(step)

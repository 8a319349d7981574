"""Images that models have said something of."""

import httpx
from sqlalchemy import Engine

from app.contract.suggestions import Answer, Looked
from app.store import captions, images, runs, suggestions
from app.store.db import read, write
from app.store.suggestions import Taken
from tests.drawing import picture


async def three_images(http: httpx.AsyncClient, store: Engine, project_id: int) -> list[int]:
    """Add three images; the first gets tags, the second a sentence, the third no words."""
    for seed in range(3):
        answer = await http.post(
            f"/projects/{project_id}/images", content=picture(seed), headers={"X-File-Name": f"fox-{seed}.png"}
        )
        assert answer.status_code == 200
    with write(store) as session:
        found = [row.id for row in images.training_rows(session, project_id)]
        captions.save(session, found[0], "fox, red", "ana")
        captions.save(session, found[1], "A fox sleeps in the long grass.", "ana")
    return found


def suggest(store: Engine, image_id: int, *answers: Answer, model: str = "wd") -> None:
    """Let a model have said something of an image."""
    with write(store) as session:
        row = images.get(session, image_id)
        found = [run for run in runs.listed(session, row.project_id) if run.dir == "0001-tags"]
        run = found[0] if found else runs.create(session, row.project_id, "tag", "Tags", "0001-tags")
        line = Looked(sha256=row.sha256, name=row.name, answers=answers)
        suggestions.take(session, Taken(row.project_id, run.id, model), [line])


def tag(text: str, confidence: float = 0.9, category: str = "general") -> Answer:
    """A suggested tag."""
    return Answer(kind="tag", text=text, confidence=confidence, category=category)


def words(text: str) -> Answer:
    """A suggested caption."""
    return Answer(kind="caption", text=text, confidence=1.0)


def caption(store: Engine, image_id: int) -> str | None:
    """The caption of an image."""
    with read(store) as session:
        return images.get(session, image_id).caption

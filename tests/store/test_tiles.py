"""Tiles: the images of a project, a few at a time, in the order they are asked for."""

from sqlalchemy import Engine

from app.store import captions, images, projects
from app.store.db import read, write
from app.store.images import NewImage
from app.store.models import Suggestion, now_us
from app.store.tiles import image_ids, tile_rows


def test_tiles_come_as_asked_with_words_writer_and_open_suggestions(engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Foxes", "style", "", None).id
        other_id = projects.create(session, "Hares", "style", "", None).id
        ids = [
            images.add(session, owner, NewImage(f"{n:064x}", "png", 1, 64, 32, f"{n}.png"), None, "you")[0].id
            for n, owner in enumerate((project_id, project_id, other_id))
        ]
        captions.save(session, ids[1], "a fox", "Ann")
        for state in ("open", "dismissed"):
            session.add(
                Suggestion(
                    image_id=ids[0],
                    kind="tag",
                    text=f"tag {state}",
                    category="general",
                    confidence=0.5,
                    model="tagger",
                    state=state,
                    at_us=now_us(),
                )
            )
    with read(engine) as session:
        assert image_ids(session, project_id) == ids[:2]
        second, first = tile_rows(session, project_id, [ids[1], 99, ids[2], ids[0]])
    assert (second.name, second.caption, second.caption_by, second.suggestions) == ("1.png", "a fox", "Ann", 0)
    assert (first.caption, first.caption_by, first.suggestions) == (None, None, 1)
    assert (first.width_px, first.height_px, first.recipe.crop) == (64, 32, None)

"""How long it takes to sort the subjects of 20,000 images, against reading their rows alone."""

from collections.abc import Callable
from time import perf_counter

import pytest
from sqlalchemy import Engine, insert

from app.contract.buckets import make_buckets
from app.contract.recipe import Crop, Recipe
from app.polish.taking import groups
from app.store import projects, subjects
from app.store.db import read, write
from app.store.models import Blob, Image, SubjectRow

IMAGES = 20_000
TIMES_MOST = 30
BUCKETS = make_buckets(512, 64)
BOX = Crop(left=400, top=300, width=300, height=400).model_dump_json()


def _recipe(place: int) -> Recipe:
    return (Recipe(), Recipe(mask=f"{place:064x}"), Recipe(crop=Crop(left=place, top=0, width=600, height=600)))[
        place % 3
    ]


def _seconds(act: Callable[[], object]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


@pytest.mark.bench
def test_sorting_costs_a_few_readings(engine: Engine) -> None:
    ids = range(1, IMAGES + 1)
    blob = {"extension": "png", "size_bytes": 9, "width_px": 1200, "height_px": 900}
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
        session.execute(insert(Blob), [{"sha256": f"{each:064x}", **blob} for each in ids])
        image = {"project_id": project_id, "name": "a.png", "name_key": "a.png", "added_us": 1}
        session.execute(
            insert(Image),
            [{"id": each, "sha256": f"{each:064x}", "recipe": _recipe(each).to_json(), **image} for each in ids],
        )
        seen = {"run_id": None, "model": "u2net", "box": BOX, "share": 0.1, "is_dismissed": False, "at_us": 1}
        session.execute(insert(SubjectRow), [{"image_id": each, "mask_sha256": f"{each:064x}", **seen} for each in ids])
    with read(engine) as session:
        rows_s = min(_seconds(lambda: subjects.standings(session, project_id)) for _ in range(3))
        first_s = _seconds(lambda: groups(session, project_id, BUCKETS))
        again_s = min(_seconds(lambda: groups(session, project_id, BUCKETS)) for _ in range(3))
    print(f"rows {rows_s:.3f} s, sorted {first_s:.3f} s, again {again_s:.3f} s")
    assert first_s < TIMES_MOST * rows_s
    assert again_s < first_s

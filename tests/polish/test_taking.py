"""Which images count as taken: told from what is stored, as Found tells it of each."""

import json

from sqlalchemy import Engine, insert

from app.contract.buckets import make_buckets
from app.contract.recipe import Crop, Recipe
from app.polish.taking import found_images, groups, take
from app.store import projects, recipes
from app.store.db import read, write
from app.store.edits import new_step
from app.store.models import Blob, Image, SubjectRow

BUCKETS = make_buckets(512, 64)
BOX = Crop(left=400, top=300, width=300, height=400)
MASK, OWN_MASK = "a" * 64, "b" * 64
ODD_CROP, BUCKET_CROP = Crop(left=3, top=5, width=701, height=613), Crop(left=0, top=0, width=512, height=512)
RECIPES = (
    Recipe(),
    Recipe(mask=MASK),
    Recipe(mask=OWN_MASK),
    Recipe(crop=ODD_CROP),
    Recipe(crop=BUCKET_CROP),
    Recipe(mask=OWN_MASK, crop=ODD_CROP),
    Recipe(quarter_turns=1, straighten_deg=2.5),
    Recipe(quarter_turns=3, mirrored=True, crop=BUCKET_CROP),
)


def fill(engine: Engine) -> int:
    """A project with an image for each recipe, in all of which a model sees the same subject; return its id."""
    with write(engine) as session:
        project_id = projects.create(session, "Ink", "style", "inkstyle", None).id
        for place, recipe in enumerate(RECIPES, 1):
            sha256 = f"{place:064x}"
            blob = {"sha256": sha256, "extension": "png", "size_bytes": 9, "width_px": 1200, "height_px": 900}
            image = {"id": place, "project_id": project_id, "sha256": sha256, "added_us": 1, "recipe": recipe.to_json()}
            seen = {"image_id": place, "model": "u2net", "mask_sha256": MASK, "box": BOX.model_dump_json(), "at_us": 1}
            session.execute(insert(Blob).values(**blob))
            session.execute(insert(Image).values(**image, name=f"{place}.png", name_key=f"{place}.png"))
            session.execute(insert(SubjectRow).values(**seen, share=0.1, is_dismissed=place == 1))
    return project_id


def test_groups_are_what_each_image_says_of_itself(engine: Engine) -> None:
    project_id = fill(engine)
    # Some have taken the crop themselves.
    assert take(engine, new_step(project_id, "you"), "crop", BUCKETS, [5, 7, 8]).changed == 3
    with read(engine) as session:
        found = groups(session, project_id, BUCKETS)
        each = {one.image.id: one.found for one in found_images(session, project_id, BUCKETS)}
    assert found["away"] == [1]
    assert found["taken"] == [key for key, one in each.items() if key != 1 and one.is_taken] == [2, 5, 7, 8]
    assert found["open"] == [3, 4, 6]
    # The text that is searched is the one that recipes are stored as.
    assert json.loads(RECIPES[1].to_json()) == {"mask": MASK}


def test_some_images_can_be_read_alone(engine: Engine) -> None:
    project_id = fill(engine)
    with read(engine) as session:
        assert [one.image.id for one in found_images(session, project_id, BUCKETS, [4, 2])] == [2, 4]
        assert found_images(session, project_id + 1, BUCKETS, [4, 2]) == []
        assert [one.id for one in recipes.sizes(session, project_id, [10**30, 3])] == [3]

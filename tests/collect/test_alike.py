"""The alike pictures of a project, from stored hashes to pairs that wait."""

from sqlalchemy import Engine

from app.collect.alike import alike
from app.collect.imports import take_file
from app.config import Settings
from app.store import projects, relations
from app.store.db import read, write
from tests.collect.test_duplicates import scene
from tests.export.parts import encoded


def test_pairs_of_a_project(settings: Settings, engine: Engine) -> None:
    with write(engine) as session:
        project_id = projects.create(session, "Scenes", "style", "scn", None).id
    for name, image in (("a.png", scene(1)), ("b.png", scene(1).resize((99, 99))), ("c.png", scene(2))):
        take_file(settings, engine, project_id, name, encoded(image))
    with read(engine) as session:
        found = alike(session, project_id)
    (pair,) = found.waiting()
    assert found.unmeasured == 0
    names = {row.sha256: row.name for row in found.images}
    assert {names[pair.low], names[pair.high]} == {"a.png", "b.png"}
    assert found.groups().are_joined(pair.low, pair.high)
    with write(engine) as session:
        relations.decide(session, project_id, (pair.low, pair.high), "unrelated", None, "you")
        found = alike(session, project_id)
    assert found.waiting() == []
    assert not found.groups().are_joined(pair.low, pair.high)

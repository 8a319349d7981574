"""Another try of refused files: a job like an import, which is told of, cancelled, and gone on with."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.collect import retries
from app.collect.fetch import URL_SETTING, Fetch, SwitchedOff
from app.collect.imports import ImportJobs, ImportProgress
from app.collect.progress import Stage
from app.collect.retries import Retry
from app.collect.running import folder_of
from app.collect.sources import UrlSource
from app.config import Settings
from app.errors import Conflict
from app.store import images, imports, projects
from app.store import settings as choices
from app.store.db import read, write
from app.store.imports import Wanted
from tests.drawing import picture
from tests.studio import until

DEADLINE_S = 60


@dataclass
class Held:
    """A resolver that answers once it may, with an address that nobody asks; it says what it was asked for."""

    may_go: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> list[str]:
        """Wait until it may."""
        self.asked.append(host)
        assert self.may_go.wait(DEADLINE_S)
        return ["127.0.0.1"]


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.may_go.set()


@pytest.fixture
def jobs(settings: Settings, engine: Engine, held: Held) -> Iterator[ImportJobs]:
    made = ImportJobs(settings, engine, Fetch(resolve=held))
    yield made
    held.may_go.set()
    made.close()


@pytest.fixture
def project_id(engine: Engine) -> int:
    with write(engine) as session:
        choices.put(session, URL_SETTING, "on")
        return projects.create(session, "Cats", "style", "", None).id


@pytest.fixture
def other_id(engine: Engine) -> int:
    with write(engine) as session:
        return projects.create(session, "Dogs", "style", "", None).id


def ended(jobs: ImportJobs, project_id: int) -> ImportProgress:
    """Wait until the project's import is over."""
    until(lambda: (reached := jobs.progress(project_id)) and reached.is_over, "the import", DEADLINE_S)
    reached = jobs.progress(project_id)
    assert reached is not None
    return reached


def outcomes(engine: Engine, import_id: int) -> dict[str, str]:
    with read(engine) as session:
        return {item.name: item.outcome for item in imports.items(session, import_id, Wanted())}


def status(engine: Engine, import_id: int) -> str:
    with read(engine) as session:
        return imports.get(session, import_id).status


def switch(engine: Engine, *, is_on: bool) -> None:
    with write(engine) as session:
        choices.put(session, URL_SETTING, "on" if is_on else "off")


def fetching(jobs: ImportJobs, project_id: int, held: Held) -> int:
    """An import that waits for its first host to be resolved."""
    import_id = jobs.start_source(project_id, UrlSource(urls=("https://a.example/1.png", "https://b.example/2.png")))
    until(lambda: held.asked, "the first host", DEADLINE_S)
    return import_id


def refused_addresses(jobs: ImportJobs, project_id: int, held: Held) -> int:
    """An import of two addresses that were both refused."""
    held.may_go.set()
    import_id = jobs.start_source(project_id, UrlSource(urls=("https://a.example/1.png", "https://b.example/2.png")))
    assert ended(jobs, project_id).refused_count == 2
    held.may_go.clear()
    held.asked.clear()
    return import_id


def test_a_try_is_told_of_and_cancelled_like_an_import(
    jobs: ImportJobs, engine: Engine, project_id: int, held: Held
) -> None:
    import_id = refused_addresses(jobs, project_id, held)
    assert jobs.retry(import_id, list(outcomes(engine, import_id))) == 2
    reached = jobs.progress(project_id)
    assert reached is not None
    assert (reached.is_over, reached.done, reached.total) == (False, 0, 2)
    assert reached.stage == Stage("Trying again, 0 of 2", 0, 2)
    with pytest.raises(Conflict, match="under way"):
        jobs.start_source(project_id, UrlSource(urls=("https://a.example/3.png",)))
    jobs.cancel(project_id)
    held.may_go.set()
    after = ended(jobs, project_id)
    assert (after.done, after.total, after.refused_count, after.was_cancelled) == (2, 2, 2, False)
    with pytest.raises(Conflict, match="No such file is refused"):
        jobs.retry(import_id, ["https://nobody.example/"])


def test_a_try_that_a_restart_broke_off_goes_on_and_takes_nothing_else(
    settings: Settings, engine: Engine, project_id: int, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "bad.png").write_bytes(b"")
    first = ImportJobs(settings, engine)
    import_id = first.start(project_id, [folder])
    ended(first, project_id)
    first.close()
    (folder / "bad.png").write_bytes(picture(1))
    (folder / "rest.png").write_bytes(picture(2))
    with write(engine) as session:
        imports.set_status(session, import_id, "running")
    retries.remember(folder_of(settings, import_id), Retry(names=("bad.png",), status="cancelled"))
    second = ImportJobs(settings, engine)
    second.resume()
    ended(second, project_id)
    second.close()
    assert outcomes(engine, import_id) == {"bad.png": "added"}
    assert status(engine, import_id) == "cancelled"
    assert retries.remembered(folder_of(settings, import_id)) is None
    with read(engine) as session:
        assert [row.name for row in images.training_rows(session, project_id)] == ["bad.png"]


def test_another_projects_import_says_what_it_waits_for_and_is_cancelled_at_once(
    jobs: ImportJobs, engine: Engine, project_id: int, other_id: int, held: Held, tmp_path: Path
) -> None:
    (tmp_path / "dog.png").write_bytes(picture(1))
    fetching(jobs, project_id, held)
    waiting_id = jobs.start(other_id, [tmp_path / "dog.png"])
    reached = jobs.progress(other_id)
    assert reached is not None
    assert reached.stage is not None
    assert reached.stage.text == "Waits until the import of 2 addresses into Cats has ended"
    jobs.cancel(other_id)
    assert status(engine, waiting_id) == "cancelled"
    held.may_go.set()
    ended(jobs, project_id)
    assert outcomes(engine, waiting_id) == {}
    jobs.go_on(waiting_id)
    assert ended(jobs, other_id).added == 1


Begin = Callable[[ImportJobs, int], object]


@pytest.mark.parametrize("begin", [lambda jobs, each: jobs.retry(each, ["https://a.example/1.png"]), ImportJobs.go_on])
def test_nothing_is_fetched_again_once_fetching_is_off(
    jobs: ImportJobs, engine: Engine, project_id: int, held: Held, begin: Begin
) -> None:
    import_id = refused_addresses(jobs, project_id, held)
    switch(engine, is_on=False)
    with pytest.raises(SwitchedOff, match="Fetching from addresses is off") as refusal:
        begin(jobs, import_id)
    assert "Switch it on at the images page" in refusal.value.hint
    assert (held.asked, status(engine, import_id)) == ([], "done")


def test_nothing_is_fetched_after_a_restart_once_fetching_is_off(
    jobs: ImportJobs, engine: Engine, project_id: int, held: Held
) -> None:
    with write(engine) as session:
        source = UrlSource(urls=("https://a.example/1.png",)).model_dump_json()
        import_id = imports.create(session, project_id, source, "you").id
    switch(engine, is_on=False)
    jobs.resume()
    assert ended(jobs, project_id).has_failed
    assert held.asked == []
    with read(engine) as session:
        (row,) = imports.items(session, import_id, Wanted())
    assert (row.name, row.message) == (
        "the import",
        "It stopped: Fetching from addresses is off, so that nothing was fetched.",
    )
    assert "Switch it on at the images page" in row.hint
    switch(engine, is_on=True)
    held.may_go.set()
    jobs.go_on(import_id)
    assert ended(jobs, project_id).done == 1
    assert held.asked == ["a.example"]


def test_switching_it_off_ends_what_is_under_way(jobs: ImportJobs, engine: Engine, project_id: int, held: Held) -> None:
    urls = tuple(f"https://{number}.example/a.png" for number in range(12))
    jobs.start_source(project_id, UrlSource(urls=urls))
    until(lambda: held.asked, "the first host", DEADLINE_S)
    switch(engine, is_on=False)
    held.may_go.set()
    assert ended(jobs, project_id).has_failed
    assert len(held.asked) < len(urls)

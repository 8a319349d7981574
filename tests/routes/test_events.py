"""The stream of a run through a real server: nothing lost over a reconnect, and an end to everything."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from app.config import Settings
from app.contract.events import PhaseChanged, Progress, Queued
from app.main import create_app
from app.routes.events import collapse, place
from app.service import StudioServer, open_listener
from tests.drawing import project_with_images
from tests.routes.stories import Story, finished_story, train_story

pytestmark = pytest.mark.anyio

PATIENCE_S = 15


@dataclass(frozen=True)
class Tick:
    """One event as it came over the wire."""

    name: str
    id: int | None
    data: dict[str, object]


@dataclass(frozen=True)
class Served:
    """A studio that listens on a port of its own."""

    app: FastAPI
    settings: Settings
    server: StudioServer
    task: asyncio.Task[None]

    @property
    def store(self) -> Engine:
        """Its store."""
        engine: Engine = self.app.state.engine
        return engine

    def client(self) -> httpx.AsyncClient:
        """A client for it."""
        return httpx.AsyncClient(base_url=f"http://localhost:{self.settings.port}", timeout=PATIENCE_S)

    @asynccontextmanager
    async def listen(self, story: Story, after: str = "0", last: str | None = None) -> AsyncIterator["Stream"]:
        """Open the stream of a run."""
        headers = {"Last-Event-ID": last} if last is not None else {}
        address = f"/runs/{story.run.id}/events"
        async with (
            self.client() as client,
            client.stream("GET", address, params={"after": after}, headers=headers) as answer,
        ):
            yield Stream(answer)


class Stream:
    """Reads an answer as ticks."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.retry: int | None = None
        self._lines = answer.aiter_lines()

    async def next(self) -> Tick | None:
        """The next tick; None once the server has ended the stream."""
        name, id_, data = "", None, ""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                key, _, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "id":
                    id_ = int(value)
                elif key == "data":
                    data = value
                elif key == "retry":
                    self.retry = int(value)
                elif not line and name:
                    return Tick(name, id_, json.loads(data))
        return None

    async def take(self, count: int) -> list[Tick]:
        """The next so many ticks."""
        found = [await self.next() for _ in range(count)]
        return [tick for tick in found if tick is not None]

    async def rest(self) -> list[Tick]:
        """All ticks until the server ends the stream."""
        found = []
        while tick := await self.next():
            found.append(tick)
        return found


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    """The studio under its real server."""
    listener = open_listener(replace(settings, port=0))
    own = replace(settings, port=listener.getsockname()[1])
    app = create_app(own)
    server = StudioServer(app, own, opens_browser=False)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(PATIENCE_S):
        while not server.started:
            await asyncio.sleep(0.01)
    yield Served(app, own, server, task)
    server.handle_exit(signal.SIGTERM, None)
    async with asyncio.timeout(PATIENCE_S):
        await task


@pytest.fixture
async def story(served: Served) -> Story:
    """A training that waits in the queue: one event so far."""
    return train_story(served.settings, served.store, project_with_images(served.settings, served.store))


async def test_what_happens_comes_as_named_ticks_until_the_end(served: Served, story: Story) -> None:
    async with served.listen(story, after="1") as stream:
        story.claim()
        claimed, loading = await stream.take(2)
        assert (claimed.name, claimed.id, claimed.data["type"]) == ("run-claimed", 2, "claimed")
        assert (loading.name, loading.id) == ("run-phase", 3)
        assert stream.retry == 2000
        assert stream.answer.headers["content-type"].startswith("text/event-stream")
        assert stream.answer.headers["cache-control"] == "no-cache"
        story.end("completed")
        assert [(tick.name, tick.id) for tick in await stream.rest()] == [("run-ended", 4)]


async def test_nothing_is_lost_or_twice_over_reconnects(served: Served, story: Story) -> None:
    story.claim()
    seen: list[int] = []
    for _ in range(4):
        last = str(seen[-1]) if seen else None
        # The header is newer than the address, which stays as the page was made.
        async with served.listen(story, after="1", last=last) as stream:
            for done in range(3):
                story.log.append(PhaseChanged(phase="caching", done=done, total=3))
            seen += [tick.id or 0 for tick in await stream.take(2)]
    story.end("stopped")
    async with served.listen(story, after="1", last=str(seen[-1])) as stream:
        seen += [tick.id or 0 for tick in await stream.rest()]
    assert seen == list(range(2, 2 + 2 + 12 + 1))


async def test_catching_up_tells_progress_once(served: Served, story: Story) -> None:
    story.claim()
    story.draw(0)
    for step in range(1, 301):
        report = Progress(step=step, steps=300, losses=(0.1,), learning_rate=1e-4, images_per_s=1, eta_s=1)
        newest = story.log.append(report)
    story.save(20)
    story.end("completed")
    async with served.listen(story) as stream:
        ticks = await stream.rest()
    assert [tick.name for tick in ticks if tick.name != "run-phase"] == [
        "run-queued",
        "run-claimed",
        "run-sample",
        "run-sample",
        "run-progress",
        "run-checkpoint",
        "run-ended",
    ]
    [progress] = [tick for tick in ticks if tick.name == "run-progress"]
    assert (progress.id, progress.data["step"]) == (newest, 300)
    ids = [tick.id or 0 for tick in ticks]
    assert ids == sorted(ids)


@pytest.mark.parametrize("bad", ["abc", "-1", "99999", "1.5", "²", "9" * 30])
async def test_an_id_that_never_was_starts_anew(served: Served, story: Story, bad: str) -> None:
    async with served.listen(story, after=bad) as stream:
        reset = await stream.next()
        assert reset is not None
        assert reset.name == "run-reset"
        story.claim()
        [claimed] = await stream.take(1)
        assert claimed.name == "run-claimed"


async def test_who_comes_back_after_the_end_is_told_of_it(served: Served, story: Story) -> None:
    story.claim()
    story.end("failed", "It broke.")
    for last in ("4", "999"):
        async with served.listen(story, last=last) as stream:
            ticks = [tick for tick in await stream.rest() if tick.name != "run-reset"]
        assert [(tick.name, tick.id, tick.data["reason"]) for tick in ticks] == [("run-ended", 4, "It broke.")]


async def test_a_half_written_event_is_not_yet_one(served: Served, story: Story) -> None:
    story.claim()
    line = Queued(seq=4, reason="torn").model_dump_json().encode() + b"\n"
    async with served.listen(story, after="3") as stream:
        with story.folder.events.open("ab", buffering=0) as file:
            file.write(line[:20])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.6):
                    await stream.next()
        with story.folder.events.open("ab") as file:
            file.write(line[20:])
    async with served.listen(story, after="3") as stream:
        [tick] = await stream.take(1)
    assert (tick.id, tick.data["reason"]) == (4, "torn")


async def test_open_streams_hold_no_session_and_end_with_the_server_at_once(served: Served, story: Story) -> None:
    story.claim()
    async with asyncio.TaskGroup() as group:
        opened = asyncio.Semaphore(0)

        async def follow() -> None:
            async with served.listen(story, after="3") as stream:
                opened.release()
                assert await stream.rest() == []

        for _ in range(60):
            group.create_task(follow())
        for _ in range(60):
            await opened.acquire()
        assert served.store.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool has it, Pool does not
        async with served.client() as client:
            assert (await client.get(f"/runs/{story.run.id}")).status_code == 200
        served.server.handle_exit(signal.SIGTERM, None)
    # Nothing else would end a stream of a run that goes on.
    async with asyncio.timeout(PATIENCE_S):
        await served.task


async def test_a_reader_who_leaves_is_forgotten(served: Served, story: Story) -> None:
    before = len(served.server.server_state.tasks)
    async with served.listen(story, after="1"):
        assert len(served.server.server_state.tasks) == before + 1
    async with asyncio.timeout(PATIENCE_S):
        while len(served.server.server_state.tasks) > before:
            await asyncio.sleep(0.02)


async def test_a_stream_ends_when_the_folder_of_its_run_goes(served: Served, story: Story) -> None:
    async with asyncio.timeout(PATIENCE_S), served.listen(story, after="0") as stream:
        await stream.take(1)
        shutil.rmtree(story.folder.path)
        await stream.rest()


async def test_a_run_that_is_not_there_has_no_stream(served: Served) -> None:
    async with served.client() as client:
        answer = await client.get("/runs/99/events", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 404


def test_places_are_whole_numbers_up_to_the_newest() -> None:
    assert [place(text, 5) for text in ("0", "5", "6", "", "x", " 1", "+1")] == [0, 5, None, None, None, None, None]


def test_collapsing_keeps_order_and_everything_else() -> None:
    def report(seq: int) -> Progress:
        return Progress(seq=seq, step=seq, steps=9, losses=(), learning_rate=0, images_per_s=0, eta_s=0)

    phase = PhaseChanged(seq=2, phase="saving")
    assert collapse([report(1), phase, report(3), report(4)]) == [phase, report(4)]
    assert collapse([phase]) == [phase]
    assert collapse([]) == []


async def test_the_page_and_its_stream_meet_without_a_gap(served: Served) -> None:
    project_id = project_with_images(served.settings, served.store)
    done = finished_story(served.settings, served.store, project_id)
    story = train_story(served.settings, served.store, done.run.project_id)
    async with served.client() as client:
        html = (await client.get(f"/runs/{story.run.id}")).text
        over = (await client.get(f"/runs/{done.run.id}")).text
    assert "hx-sse:connect" not in over
    address = html.split('hx-sse:connect="')[1].split('"')[0]
    story.claim()
    async with served.listen(story, after=address.rpartition("after=")[2]) as stream:
        assert [tick.id for tick in await stream.take(2)] == [2, 3]

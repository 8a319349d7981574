"""The stream of a run: its events as named ticks, from which a page learns which of its regions to draw again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.contract.events import AnyEvent, Ended, EventReader, Progress, read_events
from app.launch.start import gone, run_dir
from app.store import runs
from app.store.db import read
from app.wiring import OwnSettings, Store

router = APIRouter()

LOOK_EVERY_S = 0.25
RETRY_MS = 2000


def events_path(run_id: int, store: Store, settings: OwnSettings) -> Path:
    """Find the run's event file; the store is asked before the stream begins and never while it is open.

    Raises NotFound when the run's folder is gone, which ends a browser's attempts for good.
    """
    with read(store) as session:
        run = runs.get(session, run_id)
    folder = run_dir(settings, run)
    if not folder.path.is_dir():
        raise gone(folder, run.name)
    return folder.events


@router.get("/runs/{run_id}/events", response_class=EventSourceResponse)
async def stream(
    request: Request,
    path: Annotated[Path, Depends(events_path)],
    after: str = "0",
    last_event_id: Annotated[str | None, Header()] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Send what happened behind an event and then what happens, until the run has ended or the studio stops."""
    stopping: asyncio.Event = request.app.state.stopping
    size = await asyncio.to_thread(length, path)
    known = await asyncio.to_thread(read_events, path)
    since = place(last_event_id or after, len(known))
    yield ServerSentEvent(retry=RETRY_MS, comment="open")
    if since is None:
        yield ServerSentEvent(event="run-reset", data={})
    # Whoever comes back after the end is told of it again, or it would come back for ever.
    has_ended = bool(known) and isinstance(known[-1], Ended)
    events = known[min(since, len(known) - has_ended) if since is not None else len(known) - has_ended :]
    reader = EventReader(path, after=len(known))
    while True:
        for event in collapse(events):
            yield tick(event)
            if isinstance(event, Ended):
                return
        await _pause(stopping)
        if stopping.is_set():
            return
        grown = await asyncio.to_thread(length, path)
        if size and not grown:
            return
        events = await asyncio.to_thread(reader.poll) if grown != size else []
        size = grown


def length(path: Path) -> int:
    """Return the length of a run's event file in bytes, 0 when it has gone."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def place(text: str, newest: int) -> int | None:
    """Return the seq that a text names, or None when the run has no such event."""
    is_number = text.isascii() and text.isdigit() and len(text) < 16
    return int(text) if is_number and int(text) <= newest else None


def collapse(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Return the events without all but the newest report of progress: one tick is enough to draw the state."""
    reports = [event.seq for event in events if isinstance(event, Progress)]
    return [event for event in events if not isinstance(event, Progress) or event.seq == reports[-1]]


def tick(event: AnyEvent) -> ServerSentEvent:
    """Return an event as the browser hears it: `run-<type>`, with its seq as the id to go on from."""
    return ServerSentEvent(event=f"run-{event.type}", id=str(event.seq), data=event)


async def _pause(stopping: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), LOOK_EVERY_S)

"""The event log: numbered lines, torn ends, and readers that go on where they were."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.contract.events import (
    EVENT,
    EVENT_TYPES,
    AnyEvent,
    CheckpointSaved,
    Claimed,
    Ended,
    EventLog,
    EventReader,
    Failed,
    Metric,
    PhaseChanged,
    Progress,
    Queued,
    Resumed,
    SampleDrawn,
    Warned,
    read_events,
)

EVERY: tuple[AnyEvent, ...] = (
    Queued(reason="été 猫\r\n\u2028"),
    Claimed(worker="w", pid=1),
    PhaseChanged(phase="caching", done=1, total=2),
    Progress(step=2, steps=4, losses=(0.1, 1e-20), learning_rate=1e-4, images_per_s=1.5, eta_s=3),
    SampleDrawn(step=2, prompt_index=0, prompt='a "cat"', seed=2**32 - 1, path="samples/x.png"),
    CheckpointSaved(step=2, path="checkpoints/x", size_bytes=2**40, sha256="0" * 64),
    Metric(step=2, name="vram_gib", value=7.5),
    Warned(message="w", hint="h"),
    Failed(message="e", hint="h"),
    Resumed(from_step=2),
    Ended(outcome="completed"),
)


def test_every_type_comes_back_as_it_went(tmp_path: Path) -> None:
    assert {event.type for event in EVERY} == set(EVENT_TYPES)
    log = EventLog(tmp_path / "run" / "events.jsonl", attempt=3)
    before = datetime.now(UTC)
    assert [log.append(event) for event in EVERY] == list(range(1, len(EVERY) + 1))
    read = read_events(tmp_path / "run" / "events.jsonl")
    for seq, (wrote, got) in enumerate(zip(EVERY, read, strict=True), start=1):
        assert got == wrote.model_copy(update={"seq": seq, "at": got.at, "attempt": 3})
        assert timedelta(0) <= got.at - before < timedelta(minutes=1)


def test_the_next_writer_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, 0).append(Queued())
    EventLog(path, 1).append(Claimed(worker="w", pid=1))
    assert [(event.seq, event.attempt) for event in read_events(path)] == [(1, 0), (2, 1)]


def test_a_line_torn_anywhere_is_no_event_and_is_cut_off(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    log = EventLog(whole, 1)
    log.append(Queued(reason="猫"))
    log.append(Warned(message="猫"))
    data = whole.read_bytes()
    second = data.index(b"\n") + 1
    for cut in range(second, len(data)):
        torn = tmp_path / f"{cut}.jsonl"
        torn.write_bytes(data[:cut])
        assert [event.type for event in read_events(torn)] == ["queued"]
        EventLog(torn, 2).append(Resumed(from_step=0))
        assert [(event.seq, event.type) for event in read_events(torn)] == [(1, "queued"), (2, "resumed")]


def test_a_reader_sees_each_event_once_and_none_by_halves(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.poll() == []
    log = EventLog(path, 1)
    log.append(Queued())
    assert [event.seq for event in reader.poll()] == [1]
    assert reader.poll() == []
    log.append(Warned(message="one"))
    line = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("ab") as file:
        file.write(line[:10])
    assert [event.seq for event in reader.poll()] == [2]
    with path.open("ab") as file:
        file.write(line[10:])
    assert len(reader.poll()) == 1


def test_a_reader_starts_behind_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, 1)
    for step in range(5):
        log.append(Resumed(from_step=step))
    assert [event.seq for event in read_events(path, after=3)] == [4, 5]
    assert read_events(path, after=99) == []
    assert read_events(tmp_path / "absent") == []


@pytest.mark.parametrize(
    "line", [b'{"type":"unknown"}', b'{"type":"queued","extra":1}', b'{"type":"phase","phase":"nap"}']
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValidationError):
        EVENT.validate_json(line)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_does_not_make_the_log_unreadable(tmp_path: Path, number: float) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path, 1)
    log.append(Queued())
    with suppress(ValidationError):
        log.append(Metric(step=1, name="loss", value=number))
    assert read_events(path)[0].type == "queued"


@pytest.mark.parametrize("damage", [b"\xff\xfe\n", b"{}\n", b'{"type":"dreamed","seq":2}\n', b"\n"])
def test_a_damaged_line_is_a_warning_in_its_place(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "events.jsonl"
    EventLog(path, attempt=1).append(Queued())
    with path.open("ab") as file:
        file.write(damage)
    EventLog(path, attempt=1).append(Ended(outcome="completed"))
    first, told, last = read_events(path)
    assert (first.seq, told.seq, last.seq) == (1, 2, 3)
    assert isinstance(told, Warned)
    assert "Line 2" in told.message
    assert isinstance(last, Ended)

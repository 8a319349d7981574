"""Template names, the forms of a request, and how figures are written for people."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import Request
from jinja2 import UndefinedError

from app.error_pages import ErrorContext
from app.render import ago, duration_text, environment, is_htmx, partial, size_text, static_version


def request(**headers: str) -> Request:
    """A GET request with these headers."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw})


def test_partial_takes_a_dataclass_or_a_mapping_and_escapes() -> None:
    shown = ErrorContext(422, "Not accepted", "<b>bold</b>", "", None)
    answer = partial(request(), "error", shown, 422)
    assert answer.status_code == 422
    assert b"&lt;b&gt;bold&lt;/b&gt;" in answer.body
    same = partial(request(), "error", {"title": "Not accepted", "message": "<b>bold</b>", "hint": ""})
    assert same.body == answer.body


def test_unknown_name_in_a_template_is_an_error() -> None:
    @dataclass(frozen=True)
    class Empty:
        pass

    with pytest.raises(UndefinedError):
        partial(request(), "error", Empty())


@pytest.mark.parametrize(
    ("headers", "is_partial"),
    [
        ({}, False),
        ({"hx_request": "true"}, True),
        ({"hx_request": "true", "hx_request_type": "partial"}, True),
        ({"hx_request": "true", "hx_request_type": "full"}, False),
        ({"hx_request": "true", "hx_boosted": "true"}, False),
        ({"hx_request": "true", "hx_history_restore_request": "true"}, False),
    ],
)
def test_is_htmx(headers: dict[str, str], is_partial: bool) -> None:
    assert is_htmx(request(**headers)) is is_partial


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (9_960_000, "10 MB"),
        (999_600, "1.0 MB"),
        (6_900_000_000, "6.9 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_size_text(size_bytes: float, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=200), "3 min ago"),
        (timedelta(hours=5, minutes=3), "5 h ago"),
        (timedelta(days=3), "3 d ago"),
    ],
)
def test_ago(passed: timedelta, text: str) -> None:
    at = datetime.now(UTC) - passed
    assert ago(at) == ago(at.replace(tzinfo=None)) == ago(at.timestamp()) == text


def test_ago_turns_to_a_date_after_a_month() -> None:
    assert ago(datetime(2020, 2, 3, tzinfo=UTC)) == "2020-02-03"


def test_static_version_is_one_short_word_in_every_template() -> None:
    assert static_version().isalnum()
    assert environment().from_string("{{ static_version }}").render() == static_version()


def test_every_template_compiles() -> None:
    names = environment().list_templates(extensions=["html"])
    assert "error.html" in names
    for name in names:
        environment().get_template(name)

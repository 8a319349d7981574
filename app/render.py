"""From a template name and a context to a page or a partial."""

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.config import ROOT
from app.polish.addresses import thumb_url

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"


def page(
    request: Request, name: str, context: "Mapping[str, object] | DataclassInstance", status: int = 200
) -> HTMLResponse:
    """Render templates/<name>.html, where name is area/function."""
    return _render(request, f"{name}.html", context, status)


def partial(
    request: Request, name: str, context: "Mapping[str, object] | DataclassInstance", status: int = 200
) -> HTMLResponse:
    """Render templates/<area>/_<part>.html, where name is area/part."""
    area, slash, part = name.rpartition("/")
    return _render(request, f"{area}{slash}_{part}.html", context, status)


def is_htmx(request: Request) -> bool:
    """Whether a region asked for its partial; boosted links and restored history want whole pages."""
    headers = request.headers
    if "hx-boosted" in headers or "hx-history-restore-request" in headers:
        return False
    return "hx-request" in headers and headers.get("hx-request-type") != "full"


def _render(
    request: Request, template: str, context: "Mapping[str, object] | DataclassInstance", status: int
) -> HTMLResponse:
    values = dict(context) if isinstance(context, Mapping) else _fields(context)
    html = environment().get_template(template).render(values, request=request)
    # Going back must show the page as it is now, never a copy that the browser kept.
    return HTMLResponse(html, status, headers={"cache-control": "no-store"})


def _fields(context: "DataclassInstance") -> dict[str, object]:
    return {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}


@cache
def environment() -> Environment:
    """The one Jinja environment; an unknown name in a template is an error, not an empty string."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static_version=static_version(), thumb_url=thumb_url)
    made.filters.update(bytes=size_text, seconds=duration_text, ago=ago)
    return made


@cache
def static_version() -> str:
    """A short word that changes whenever a static file does, for `?v=` in addresses."""
    seen = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            stat = path.stat()
            seen.update(f"{path.relative_to(STATIC)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:12]


def size_text(size_bytes: float) -> str:
    """Show bytes as a person reads them: 1234567 → 1.2 MB."""
    if abs(size_bytes) < 1000:
        return f"{size_bytes:.0f} bytes"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if abs(size) < 999.5 or unit == "TB":
            break
    return f"{size:.1f} {unit}" if abs(size) < 9.95 else f"{size:.0f} {unit}"


def duration_text(seconds: float) -> str:
    """Show a duration with its two largest units: 200 → 3 min 20 s."""
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two_units(whole, (60, "min"), (1, "s"))
    if whole < 86400:
        return _two_units(whole, (3600, "h"), (60, "min"))
    return _two_units(whole, (86400, "d"), (3600, "h"))


def _two_units(whole: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    count, rest = divmod(whole, large[0])
    rest //= small[0]
    return f"{count} {large[1]} {rest} {small[1]}" if rest else f"{count} {large[1]}"


def ago(time: datetime | float) -> str:
    """Show how long ago a moment was (a datetime, or seconds since 1970; a naive datetime is UTC)."""
    at = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    passed_s = (datetime.now(UTC) - at).total_seconds()
    if passed_s < 5:
        return "just now"
    if passed_s > 30 * 86400:
        return f"{at:%Y-%m-%d}"
    count, unit, *_ = duration_text(passed_s).split(" ")
    return f"{count} {unit} ago"

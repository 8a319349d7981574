"""The map of the house: function = URL = template, every template reached, every module with its tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from app.config import ROOT
from app.contract.events import EVENT_TYPES, AnyEvent
from app.contract.purposes import PURPOSES
from app.launch.draft import fields
from app.render import TEMPLATES
from app.routes import routers

SCRIPTS = sorted(path for path in (ROOT / "static").rglob("*.js") if "vendor" not in path.parts)
SHARED = {"base.html", "error.html", "login.html", "_error.html", "_icon.html", "_macros.html"}
NAMED = re.compile(r'(?:page|partial)\(\s*request,\s*"([^"]+)"')
INCLUDED = re.compile(r'\{%-?\s*(?:include|extends|from|import)\s+"([^"]+)"')


def routes() -> Iterator[APIRoute]:
    """Every route of the studio's pages and JSON."""
    for router in routers():
        for route in router.routes:
            assert isinstance(route, APIRoute)
            yield route


def rendered() -> set[str]:
    """Template files that a route names."""
    files = set()
    for module in (ROOT / "app" / "routes").glob("*.py"):
        for name in re.findall(r'"([a-z_]+/[a-z_]+)"', module.read_text("utf-8")):
            area, _, part = name.partition("/")
            files |= {f"{area}/{part}.html", f"{area}/_{part}.html"}
    return files


def templates() -> list[str]:
    """Every template's name."""
    return sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))


def test_every_template_is_reached() -> None:
    reached = rendered() | SHARED
    for name in templates():
        reached |= set(INCLUDED.findall((TEMPLATES / name).read_text("utf-8")))
    assert [name for name in templates() if name not in reached] == []


def test_every_template_that_is_named_exists() -> None:
    for name in templates():
        for other in INCLUDED.findall((TEMPLATES / name).read_text("utf-8")):
            assert (TEMPLATES / other).is_file(), f"{name} wants {other}"
    for module in (ROOT / "app" / "routes").glob("*.py"):
        for name in NAMED.findall(module.read_text("utf-8")):
            area, _, part = name.partition("/")
            files = [TEMPLATES / area / f"{part}.html", TEMPLATES / area / f"_{part}.html"]
            assert any(file.is_file() for file in files), f"{module.name} wants {name}"


def test_pages_stand_where_their_module_says() -> None:
    areas = {path.stem for path in (ROOT / "app" / "routes").glob("*.py")}
    for folder in TEMPLATES.iterdir():
        if folder.is_dir():
            assert folder.name in areas, f"templates/{folder.name} has no app/routes/{folder.name}.py"


def test_addresses_are_unique_and_functions_documented() -> None:
    seen = set()
    for route in routes():
        for method in route.methods:
            assert (method, route.path) not in seen
            seen.add((method, route.path))
        assert route.endpoint.__doc__, route.path


@pytest.mark.parametrize(
    "package", ["collect", "export", "inspect", "label", "launch", "polish", "review", "routes", "store"]
)
def test_every_room_has_tests(package: str) -> None:
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for module in (ROOT / "app" / package).glob("*.py"):
        if module.stem == "__init__":
            continue
        noun = module.stem
        is_used = f"app.{package}.{noun}" in tests or re.search(rf"from app\.{package} import [^\n]*\b{noun}\b", tests)
        mirror = ROOT / "tests" / package / f"test_{noun}.py"
        assert is_used or mirror.is_file(), f"nothing tests app/{package}/{noun}.py"


def test_every_event_is_folded() -> None:
    code = (ROOT / "app" / "contract" / "state.py").read_text("utf-8")
    for kind in AnyEvent.__args__:
        assert f"case {kind.__name__}()" in code, f"{kind.__name__} changes nothing"
    assert len(set(EVENT_TYPES)) == len(EVENT_TYPES)


def test_every_setting_can_be_understood() -> None:
    for field in fields():
        assert field.label[0].isupper()
        assert field.help.endswith((".", "%"))


def test_every_purpose_says_how_to_label() -> None:
    for purpose in PURPOSES.values():
        assert purpose.labeling
        assert all("{trigger}" in prompt for prompt in purpose.prompts + purpose.miniature_prompts)


@pytest.mark.parametrize(
    "path",
    SCRIPTS,
    ids=lambda path: path.name,
)
def test_scripts_stay_small(path: Path) -> None:
    assert path.read_text("utf-8").count("\n") <= 300


def test_templates_hold_no_script_and_trust_no_text() -> None:
    for name in templates():
        text = (TEMPLATES / name).read_text("utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|\|\s*safe\b", text), name

"""The rules of the house: who imports whom, how large things may be, what they may not be called."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from app.config import ROOT
from app.contract.families import FAMILIES

FILE_LINES = 400
FUNCTION_LINES = 60
TRAIN_LOOP_LINES = 120
ARGUMENTS = 7
FORBIDDEN_NAMES = {"utils", "helpers", "manager", "common"}
TORCH_STACK = {"torch", "torchvision", "diffusers", "transformers", "peft", "accelerate"}
WEB_STACK = {"fastapi", "starlette", "jinja2", "uvicorn"}
# In the order of a person's work: each may use the ones before it.
STEPS = ("collect", "polish", "label", "inspect", "launch", "review", "export")
# What any of our modules may use, since it is plain data and the standard library.
GROUND = ("app.contract", "app.config", "app.errors")
CONTRACT_OUTSIDE = {"pydantic", "annotated_types", "typing_extensions"}


def sources(*folders: str) -> list[Path]:
    """Every Python file of ours under these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name of one of our files."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imported_names(path: Path) -> set[str]:
    """Every dotted name that a file imports, late imports too: `from a.b import c` gives a.b and a.b.c."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            base = importlib.util.resolve_name(dots + (node.module or ""), package) if dots else node.module or ""
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def is_under(name: str, *roots: str) -> bool:
    """Whether a dotted name is one of these or lies inside one."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def tops(names: set[str]) -> set[str]:
    """The packages that these names start with."""
    return {name.partition(".")[0] for name in names}


def ours(names: set[str]) -> set[str]:
    """Those of the names that are modules of the studio or the worker."""
    return {name for name in names if is_under(name, "app", "worker") and name not in ("app", "worker")}


def strangers(path: Path, *allowed: str) -> list[str]:
    """What a file imports of ours beyond what it may."""
    return sorted(name for name in ours(imported_names(path)) if not is_under(name, *allowed))


def relative(path: Path) -> str:
    """A file's path as the test's id."""
    return path.relative_to(ROOT).as_posix()


def files(*folders: str) -> pytest.MarkDecorator:
    """Run a test once for each file under these folders."""
    return pytest.mark.parametrize("path", sources(*folders), ids=relative)


@files("app")
def test_app_never_imports_the_torch_stack_or_the_worker(path: Path) -> None:
    assert not tops(imported_names(path)) & (TORCH_STACK | {"worker"})


@files("worker")
def test_worker_never_imports_the_web(path: Path) -> None:
    names = imported_names(path)
    assert not tops(names) & WEB_STACK
    if module_name(path) == "worker.supervisor":
        assert strangers(path, "worker", "app.store", *GROUND) == []
    else:
        assert strangers(path, "worker", "app.contract") == []


@files("app/contract")
def test_contract_needs_the_standard_library_and_pydantic(path: Path) -> None:
    outside = tops(imported_names(path)) - set(sys.stdlib_module_names) - {"app"}
    if path.name == "pixels.py":
        outside -= {"PIL"}
    assert outside <= CONTRACT_OUTSIDE
    assert strangers(path, "app.contract") == []


@files("app/store")
def test_store_knows_the_contract_alone(path: Path) -> None:
    assert strangers(path, "app.store", *GROUND) == []
    assert not tops(imported_names(path)) & WEB_STACK


@files(*(f"app/{step}" for step in STEPS))
def test_steps_know_only_earlier_steps_and_no_web(path: Path) -> None:
    step = path.relative_to(ROOT / "app").parts[0]
    earlier = [f"app.{each}" for each in STEPS[: STEPS.index(step) + 1]]
    assert strangers(path, *earlier, "app.store", *GROUND) == []
    assert not tops(imported_names(path)) & WEB_STACK


@files("app/routes")
def test_routes_do_not_import_each_other(path: Path) -> None:
    others = {name for name in ours(imported_names(path)) if is_under(name, "app.routes")}
    if path.name != "__init__.py":
        assert not others


@files("worker")
def test_only_the_families_table_names_a_family(path: Path) -> None:
    if is_under(module_name(path), "worker.families"):
        assert "worker.train" not in imported_names(path)
    else:
        named = {name for name in imported_names(path) if name.startswith("worker.families.")}
        assert all(name.rpartition(".")[2] not in family_files() for name in named)


def family_files() -> set[str]:
    """The modules that hold one family each: those that the contract has a facts row for."""
    return {path.stem for path in sources("worker/families")} & {str(key) for key in FAMILIES}


def test_app_package_is_empty() -> None:
    assert (ROOT / "app" / "__init__.py").read_text("utf-8") == ""


@files("app", "worker", "tests", "migrations")
def test_names_say_what_is_inside(path: Path) -> None:
    words = {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    assert not words & FORBIDDEN_NAMES


@files("app", "worker", "tests")
def test_sizes(path: Path) -> None:
    lines = path.read_text("utf-8").count("\n")
    assert lines <= FILE_LINES, f"{lines} lines"
    for function in functions(parse(path)):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        limit = TRAIN_LOOP_LINES if relative(path) == "worker/train.py" else FUNCTION_LINES
        assert length <= limit, f"{function.name}: {length} lines"
        count = argument_count(function)
        assert count <= ARGUMENTS, f"{function.name}: {count} arguments"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def argument_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many arguments a caller may have to think of; self and cls do not count."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
heavy = {"torch", "diffusers", "transformers", "peft", "accelerate", "worker"} & set(sys.modules)
if heavy:
    print(f"loaded: {sorted(heavy)}")
"""


def test_imports_form_no_circle() -> None:
    """So each module can be imported first, and none depends on another having been there before."""
    by_name = {module_name(path): path for path in sources("app", "worker")}
    graph = {name: (imported_names(path) & set(by_name)) - {name} for name, path in by_name.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(by_name)


def test_no_module_of_the_app_loads_torch() -> None:
    names = [module_name(path) for path in sources("app")]
    assert "app.service" in names
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)

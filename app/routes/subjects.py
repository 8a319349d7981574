"""Subjects: ask a model where the subject of each image is, look at what it found, and take masks or crops of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.files import full_path
from app.contract.buckets import Size
from app.contract.recipe import straightened
from app.contract.spec import MaskSpec, Scaling
from app.errors import Invalid
from app.label.desk import Desk
from app.label.filters import FilterError
from app.launch.mask_start import MaskScope, model_name, start_masking
from app.person import person_of
from app.place import target_of
from app.polish.addresses import stage_url
from app.polish.subjects import Found
from app.polish.taking import FoundImage, Group, Took, What, found_images, groups, take
from app.render import is_htmx, page, partial
from app.store import images, projects, runs, subjects, tiles
from app.store import settings as choices
from app.store.db import read, write
from app.store.edits import new_step
from app.store.models import Project, Run
from app.store.parts import in_parts
from app.store.projects import ProjectCounts
from app.table import find
from app.wiring import LabelDesk, OwnSettings, Store

router = APIRouter()

Act = Literal["mask", "crop", "away", "back"]
TABS: tuple[tuple[Group, str], ...] = (("open", "Open"), ("taken", "Taken"), ("away", "Put away"))
SHOWN = 60
SHOWN_RUNS = 5
MAX_SELECTED = 200_000
SCALINGS: tuple[tuple[Scaling, str], ...] = (
    ("imagenet", "ImageNet’s mean and deviation: U²-Net, BiRefNet, RMBG-2"),
    ("half", "Mean 0.5, deviation 1: IS-Net, RMBG-1.4"),
)


@dataclass(frozen=True)
class Card:
    """An image with what a model sees in it; `whole` is the size of the picture before its crop."""

    id: int
    name: str
    thumb: str
    whole: Size
    found: Found


@dataclass(frozen=True)
class MaskRun:
    """A mask run as the page lists it; `count` is of how many images its word still stands."""

    run: Run
    count: int


@dataclass(frozen=True)
class RunsPart:
    """The newest mask runs of a project, and whether one of them is still at work."""

    project: Project
    mask_runs: Sequence[MaskRun]
    is_busy: bool


@dataclass(frozen=True)
class IndexPage:
    """The whole page, of which partials show parts; `values` and `errors` are the form's."""

    project: Project
    counts: ProjectCounts
    caption_url: str
    values: Mapping[str, str]
    scopes: Sequence[tuple[str, str]]
    mask_runs: Sequence[MaskRun]
    is_busy: bool
    show: Group
    tabs: Sequence[tuple[Group, str, int]]
    cards: Sequence[Card]
    start: int
    total: int
    errors: Mapping[str, str] = field(default_factory=dict)
    told: str = ""
    per_page: int = SHOWN
    scalings: Sequence[tuple[Scaling, str]] = SCALINGS
    section: str = "images"


class ActForm(BaseModel):
    """What is done to which images; `everyone` means all that are shown, on other pages too; `after` is the page's."""

    act: Act
    show: Group = "open"
    image: list[int] = []
    everyone: bool = False
    after: int = 0


async def read_form(request: Request) -> dict[str, str]:
    """The texts of a form that may be anything."""
    return {key: value.strip() for key, value in (await request.form()).items() if isinstance(value, str)}


Texts = Annotated[dict[str, str], Depends(read_form)]


@router.get("/projects/{project_id}/subjects")
def index(
    request: Request, project_id: int, store: Store, show: Group = "open", after: int = 0, image: int = 0
) -> HTMLResponse:
    """Group which model can be asked, what it found, and what can be taken of it."""
    with read(store) as session:
        values = {"scope": "image", "image": str(image)} if image else {}
        return page(request, "subjects/index", _read(session, project_id, show, after, values))


@router.get("/projects/{project_id}/subjects/runs")
def listing(request: Request, project_id: int, store: Store) -> HTMLResponse:
    """Draw the list of runs; polled while one works, and once it is over the page shows what it found."""
    with read(store) as session:
        shown = _runs(session, projects.get(session, project_id))
    answer = partial(request, "subjects/runs", shown)
    if not shown.is_busy:
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.post("/projects/{project_id}/subjects")
def create(
    request: Request, project_id: int, store: Store, settings: OwnSettings, desk: LabelDesk, texts: Texts
) -> Response:
    """Remember the model and queue a mask run."""
    with read(store) as session:
        shown = _read(session, project_id, "open", 0, texts)
        errors = dict(_wrong(shown.values))
        chosen, errors["scope"] = _chosen(session, desk, project_id, shown.values)
    if any(errors.values()):
        return page(request, "subjects/index", replace(shown, errors=errors), 422)
    spec = _spec(shown.project, shown.values)
    with write(store) as session:
        choices.put(session, "subject-model", spec.model_path)
        choices.put(session, "subject-scaling", spec.scaling)
    try:
        run = start_masking(settings, store, project_id, spec, _scope(shown.values), chosen)
    except Invalid as error:
        refused = replace(shown, errors={"scope": f"{error.message} {error.hint}"})
        return page(request, "subjects/index", refused, 422)
    return RedirectResponse(f"/runs/{run.id}", 303)


@router.post("/projects/{project_id}/subjects/take", form_limits={"max_fields": MAX_SELECTED})
def settle(request: Request, project_id: int, store: Store, form: Annotated[ActForm, Form()]) -> Response:
    """Take masks or crops of what was found, put it away, or bring it back."""
    if not form.image and not form.everyone:
        raise Invalid("No image is chosen.", "Tick some, or press a button that means all.")
    chosen = None if form.everyone else form.image
    told = _done(store, project_id, form, chosen, person_of(request))
    with read(store) as session:
        shown = replace(_read(session, project_id, form.show, form.after, {}), told=told)
    if is_htmx(request):
        return partial(request, "subjects/found", shown)
    return RedirectResponse(f"/projects/{project_id}/subjects?show={form.show}&after={max(0, form.after)}", 303)


def _done(store: Engine, project_id: int, form: ActForm, chosen: list[int] | None, by: str) -> str:
    with read(store) as session:
        buckets = target_of(session, projects.get(session, project_id)).buckets
        own = tiles.image_ids(session, project_id)
    is_away = form.act == "away"
    if is_away or form.act == "back":
        ids = own if chosen is None else sorted(set(own).intersection(chosen))
        count = in_parts(
            store, ids, lambda session, part: subjects.dismiss(session, project_id, part, is_dismissed=is_away)
        )
        return f"{count} put away." if is_away else f"{count} brought back."
    what: What = "mask" if form.act == "mask" else "crop"
    return _words(take(store, new_step(project_id, by), what, buckets, chosen), what)


def _words(took: Took, what: What) -> str:
    said = [f"{took.changed} {what}{'' if took.changed == 1 else 's'} taken, as one step of the history."]
    if took.own:
        kept = f"1 image kept its own {what}" if took.own == 1 else f"{took.own} images kept their own {what}"
        said.append(f"{kept}.")
    if took.none:
        said.append(f"For {took.none} no crop would help.")
    if took.changed and what == "mask":
        said.append("Masks count where Masked loss is on, among the settings under Train.")
    return " ".join(said)


def _wrong(values: Mapping[str, str]) -> Mapping[str, str]:
    """What is wrong with the model that was typed, by field."""
    if not values["model"]:
        return {"model": "Give the full path of an .onnx file."}
    path = full_path(values["model"])
    if not path.is_absolute():
        return {"model": "Give the file's full path, from its root on."}
    if path.suffix.lower() != ".onnx":
        return {"model": f"{path.name} is no .onnx file."}
    if not path.is_file():
        return {"model": f"There is no file {path} on the computer that runs LoRA Studio."}
    return {}


def _chosen(session: Session, desk: Desk, project_id: int, values: Mapping[str, str]) -> tuple[list[int], str]:
    """The ids that are chosen one by one or by a filter, and what is wrong with the filter."""
    if values["scope"] == "image":
        return [int(values["image"])] if values["image"].isdecimal() and len(values["image"]) < 18 else [], ""
    if values["scope"] != "filter":
        return [], ""
    try:
        return find(session, desk, project_id, values["filter"]), ""
    except FilterError as refusal:
        return [], f"{refusal.message} (at {refusal.column + 1})"


def _scope(values: Mapping[str, str]) -> MaskScope:
    asked = "chosen" if values["scope"] in ("image", "filter") else values["scope"]
    return next((each for each in get_args(MaskScope) if each == asked), "all")


def _spec(project: Project, values: Mapping[str, str]) -> MaskSpec:
    path = full_path(values["model"])
    scaling: Scaling = "half" if values["scaling"] == "half" else "imagenet"
    model = model_name(path)
    name = f"Subjects · {model}"
    return MaskSpec(name=name, project=project.name, model=model, model_path=str(path), scaling=scaling)


def _read(session: Session, project_id: int, show: Group, after: int, texts: Mapping[str, str]) -> IndexPage:
    project = projects.get(session, project_id)
    buckets = target_of(session, project).buckets
    found = groups(session, project_id, buckets)
    listed = _runs(session, project)
    total = len(found[show])
    # What was taken is gone from the list: whoever was at its end is at its new end, and not past it.
    start = min(max(0, after), max(0, total - 1) // SHOWN * SHOWN if after >= total else after)
    ids = found[show][start : start + SHOWN]
    return IndexPage(
        project=project,
        counts=projects.counts(session, project_id),
        caption_url=f"/projects/{project_id}/label",
        values=_values(session, texts),
        scopes=_scopes(session, texts),
        mask_runs=listed.mask_runs,
        is_busy=listed.is_busy,
        show=show,
        tabs=[(key, words, len(found[key])) for key, words in TABS],
        cards=_cards(session, project_id, found_images(session, project_id, buckets, ids)),
        start=start,
        total=total,
    )


def _runs(session: Session, project: Project) -> RunsPart:
    mask_runs = [run for run in runs.listed(session, project.id) if run.kind == "mask"][:SHOWN_RUNS]
    counted = subjects.of_runs(session, project.id)
    return RunsPart(
        project=project,
        mask_runs=[MaskRun(run, counted.get(run.id, 0)) for run in mask_runs],
        is_busy=any(run.status in ("queued", "running") for run in mask_runs),
    )


def _values(session: Session, texts: Mapping[str, str]) -> dict[str, str]:
    kept = {
        "model": choices.get(session, "subject-model", ""),
        "scaling": choices.get(session, "subject-scaling", "imagenet"),
        "scope": "unmasked",
        "filter": "",
        "image": "",
    }
    return {
        key: texts.get(key, default).strip("\"'") if key == "model" else texts.get(key, default)
        for key, default in kept.items()
    }


def _scopes(session: Session, texts: Mapping[str, str]) -> list[tuple[str, str]]:
    scopes = [
        ("all", "All"),
        ("unmasked", "Without a mask"),
        ("unseen", "Not yet found by this model"),
        ("filter", "By a filter"),
    ]
    image = texts.get("image", "")
    if image.isdecimal() and len(image) < 18:
        scopes.append(("image", f"Only {images.get(session, int(image)).name}"))
    return scopes


def _cards(session: Session, project_id: int, group: Sequence[FoundImage]) -> list[Card]:
    by_id = {each.image.id: each for each in group}
    return [
        Card(
            id=row.id,
            name=row.name,
            thumb=stage_url(row, "uncropped-thumb"),
            whole=straightened(row.recipe, by_id[row.id].image.upright),
            found=by_id[row.id].found,
        )
        for row in tiles.tile_rows(session, project_id, list(by_id))
    ]

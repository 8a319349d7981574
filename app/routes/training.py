"""The training form: a preset, settings with their messages beside them, the plan in words, and the start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.datastructures import UploadFile

from app.config import Settings
from app.contract.families import FAMILIES
from app.errors import AppError, Conflict, Invalid
from app.launch.controls import GROUPS, Field, fields
from app.launch.draft import Draft, Subject, draft, presets_of
from app.launch.gpu import gpu_bytes
from app.launch.outlook import Outlook, look_ahead
from app.launch.pace import Pace, latest_pace
from app.launch.plan import Plan
from app.launch.plan import plan as make_plan
from app.launch.presets import SMALL_BASE_PX, Preset
from app.launch.settings_import import MAX_CHARACTERS, Imported, read_settings
from app.launch.start import start_training
from app.launch.subject import subject_of
from app.render import is_htmx, page, partial
from app.store import bases, images, projects, runs
from app.store.db import read
from app.store.models import Base, Project, Run
from app.store.projects import ProjectCounts
from app.store.workers import live_workers
from app.wiring import OwnSettings, Store

router = APIRouter()

# What a person typed or chose that holds for every base and preset.
KEPT = ("preset", "name", "prompts")


@dataclass(frozen=True)
class Blocker:
    """Why the run cannot start yet, and where to mend it."""

    text: str
    href: str = ""
    action: str = ""


@dataclass(frozen=True)
class Group:
    """Controls that belong together, behind the main ones."""

    key: str
    label: str
    sentence: str
    fields: tuple[Field, ...]
    is_open: bool


@dataclass(frozen=True)
class TrainingForm:
    """The form as it stands; until `draft` and `plan` can be made they are None, and `kept` waits to be filled in."""

    project: Project
    counts: ProjectCounts
    listed: Sequence[Base]
    base: Base | None
    family_label: str
    is_hashing: bool
    is_toy: bool
    presets: tuple[Preset, ...]
    draft: Draft | None
    plan: Plan | None
    main_fields: tuple[Field, ...]
    groups: tuple[Group, ...]
    outlook: Outlook | None
    pace: Pace | None
    blockers: tuple[Blocker, ...]
    has_worker: bool
    caption_url: str
    base_error: str
    kept: Mapping[str, str]
    section: str = "train"
    refusal: AppError | None = None
    is_update: bool = False
    imported: Imported | None = None
    import_error: str = ""
    import_text: str = ""
    imported_labels: Mapping[str, str] = dataclass_field(default_factory=dict)


@dataclass(frozen=True)
class Material:
    """What the store gives to a form; `subject` is None while the base cannot be used, `problem` says why."""

    project: Project
    counts: ProjectCounts
    listed: Sequence[Base]
    base: Base | None
    subject: Subject | None
    problem: AppError | None
    rows: Sequence[images.ImageRow]
    runs: Sequence[Run]


async def sent_texts(request: Request) -> dict[str, str]:
    """The fields of the form as texts; a switch that is off sends nothing, so its text is empty."""
    form = await request.form()
    texts = {field.key: "" for field in fields() if field.kind == "bool"} if form else {}
    return texts | {key: value for key, value in form.multi_items() if isinstance(value, str)}


Texts = Annotated[dict[str, str], Depends(sent_texts)]


@router.get("/projects/{project_id}/train")
def new(
    request: Request, project_id: int, store: Store, settings: OwnSettings, preset: str = "", base_id: str = ""
) -> Response:
    """Show the form for a new training run."""
    return page(request, "training/new", _fill(store, settings, project_id, {"preset": preset, "base_id": base_id}))


@router.get("/projects/{project_id}/train/form")
def form(request: Request, project_id: int, store: Store, settings: OwnSettings) -> Response:
    """Fill the form anew after another preset or base was chosen; name and prompts stay."""
    return partial(request, "training/form", _fill(store, settings, project_id, request.query_params))


@router.post("/projects/{project_id}/train/plan")
def plan(request: Request, project_id: int, store: Store, settings: OwnSettings, texts: Texts) -> Response:
    """Say what the settings would do, or what is wrong with them, beside each."""
    filled = _fill(store, settings, project_id, texts)
    return partial(request, "training/plan", replace(filled, is_update=True), 200 if filled.plan else 422)


@router.post("/projects/{project_id}/runs")
def create(request: Request, project_id: int, store: Store, settings: OwnSettings, texts: Texts) -> Response:
    """Queue the run and go to its page."""
    filled = _fill(store, settings, project_id, texts)
    if filled.draft is None or filled.draft.spec is None:
        return page(request, "training/new", filled, 422)
    try:
        run = start_training(settings, store, project_id, filled.draft.spec)
    except AppError as refusal:
        return page(request, "training/new", _refused(filled, refusal), refusal.status)
    return RedirectResponse(f"/runs/{run.id}", 303)


@router.post("/projects/{project_id}/train/import")
async def take(request: Request, project_id: int, store: Store, settings: OwnSettings) -> Response:
    """Fill the form from another trainer's settings, and say what mapped, what differs and what is left."""
    async with request.form() as sent:
        texts = {key: value for key, value in sent.multi_items() if isinstance(value, str)}
        file = sent.get("file")
        text = texts.get("settings", "")
        if isinstance(file, UploadFile) and file.filename:
            text = (await file.read(MAX_CHARACTERS * 4)).decode("utf-8-sig", "replace")
    kept = {key: texts[key] for key in (*KEPT, "base_id") if key in texts}
    try:
        imported = read_settings(text)
    except Invalid as refused:
        shown = await run_in_threadpool(_fill, store, settings, project_id, kept)
        told = f"{refused.message} {refused.hint}"
        return _whole(request, replace(shown, import_error=told, import_text=text[:MAX_CHARACTERS]), 422)
    filled = await run_in_threadpool(_fill, store, settings, project_id, kept | imported.values)
    labels = {field.key: field.label for field in fields()} | {"prompts": "Sample prompts"}
    return _whole(request, replace(filled, imported=imported, imported_labels=labels), 200)


def _whole(request: Request, shown: TrainingForm, status: int) -> Response:
    if is_htmx(request):
        return partial(request, "training/whole", shown, status)
    return page(request, "training/new", shown, status)


def _refused(filled: TrainingForm, refusal: AppError) -> TrainingForm:
    """Say above the form why the run was not started, and beside the field that it is about."""
    told = replace(filled, refusal=refusal)
    words = f"{refusal.message} {refusal.hint}".strip()
    if refusal.field == "base_id":
        return replace(told, base_error=words)
    if filled.draft is None or refusal.field not in filled.draft.values:
        return told
    errors = {refusal.field: words}
    return replace(told, draft=replace(filled.draft, errors=errors), groups=_groups(errors))


def _fill(store: Engine, settings: Settings, project_id: int, texts: Mapping[str, str]) -> TrainingForm:
    with read(store) as session:
        found = _material(session, project_id, texts.get("base_id", ""))
    made = _draft(found.subject, texts) if found.subject else None
    errors = made.errors if made else {}
    base = found.base
    return TrainingForm(
        project=found.project,
        counts=found.counts,
        listed=found.listed,
        base=base,
        family_label=FAMILIES[base.family].label if base else "",
        is_hashing=base is not None and not base.is_missing and not base.sha256,
        is_toy=base is not None and base.resolution_px < SMALL_BASE_PX,
        presets=presets_of(found.subject) if found.subject else (),
        draft=made,
        plan=make_plan(made.spec, found.rows) if made and made.spec else None,
        main_fields=tuple(field for field in fields() if field.is_main),
        groups=_groups(errors),
        outlook=_outlook(made, base),
        pace=latest_pace(settings, found.runs, base.path) if base else None,
        blockers=_blockers(found, errors),
        has_worker=bool(live_workers(settings.data)),
        caption_url=f"/projects/{project_id}/captions",
        base_error=f"{found.problem.message} {found.problem.hint}" if found.problem else "",
        kept={key: texts[key] for key in KEPT if key in texts},
    )


def _draft(subject: Subject, texts: Mapping[str, str]) -> Draft:
    known = {field.key for field in fields()} | {"name", "prompts"}
    return draft(subject, texts.get("preset"), {key: text for key, text in texts.items() if key in known})


def _groups(errors: Mapping[str, str]) -> tuple[Group, ...]:
    rest = [field for field in fields() if not field.is_main]
    return tuple(
        Group(key, label, sentence, inside, any(field.key in errors for field in inside))
        for key, label, sentence in GROUPS
        if (inside := tuple(field for field in rest if field.group == key))
    )


def _outlook(made: Draft | None, base: Base | None) -> Outlook | None:
    """The memory of a run on a full-size base; a miniature's is not worth a word."""
    if made is None or made.spec is None or base is None or base.resolution_px < SMALL_BASE_PX:
        return None
    return look_ahead(made.spec, gpu_bytes())


def _material(session: Session, project_id: int, base_text: str) -> Material:
    project = projects.get(session, project_id)
    listed = [base for base in bases.listed(session) if not base.is_missing or base.id == project.base_id]
    base = _chosen(listed, base_text, project.base_id)
    subject, problem = None, None
    try:
        subject = subject_of(session, project_id, base) if base else None
    except Conflict as conflict:
        problem = conflict
    return Material(
        project=project,
        counts=projects.counts(session, project_id),
        listed=listed,
        base=base,
        subject=subject,
        problem=problem,
        rows=images.training_rows(session, project_id),
        runs=runs.listed(session),
    )


def _chosen(listed: Sequence[Base], text: str, project_base_id: int | None) -> Base | None:
    """The base that was chosen here, else the project's, else the first that can be used (the bundled one is last)."""
    by_id = {str(base.id): base for base in listed}
    usable = [base for base in listed if base.sha256 and not base.is_missing]
    return by_id.get(text) or by_id.get(str(project_base_id)) or next(iter([*usable, *listed]), None)


def _blockers(found: Material, errors: Mapping[str, str]) -> tuple[Blocker, ...]:
    blockers = []
    if found.base is None:
        blockers.append(Blocker("No base model is listed yet.", "/bases", "Find base models"))
    if found.problem is not None:
        blockers.append(Blocker(f"{found.problem.message} {found.problem.hint}", "/bases", "Base models"))
    if not found.counts.images:
        href = f"/projects/{found.project.id}/images"
        blockers.append(Blocker("The project has no images to train on.", href, "Add images"))
    if errors:
        own = {"name": "Name", "preset": "Preset", "prompts": "Prompts"}
        labels = {field.key: field.label for field in fields()} | own
        names = ", ".join(labels.get(key, key) for key in errors)
        first = next(iter(errors)).replace(".", "-")
        place = "preset-notes" if first == "preset" else first
        blockers.append(Blocker(f"To be mended first: {names}.", f"#{place}", "Show"))
    return tuple(blockers)

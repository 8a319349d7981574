"""Base models: the list, the folder they are looked for in, and how far their hashing is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.collect.files import full_path
from app.config import Settings
from app.contract.families import FAMILIES
from app.errors import Invalid
from app.launch.base_choices import (
    Vae,
    choose_prediction,
    choose_vae,
    prediction_choice_of,
    refused,
    vae_of,
    vaes,
)
from app.launch.base_scan import known_folder
from app.launch.bases import Refused, Told, prediction_of
from app.render import is_htmx, page, partial
from app.store import bases
from app.store.db import read, write
from app.store.models import Base
from app.wiring import OwnSettings, Scan, Store

router = APIRouter()

PREDICTIONS = {"epsilon": "noise (ε)", "v_prediction": "velocity (v)", None: "unknown"}
"""What a denoiser answers with, in words."""
CHOICES = (
    ("", "noise (ε), as most"),
    ("epsilon", "noise (ε)"),
    ("v", "velocity (v)"),
    ("v-zero-snr", "velocity (v), zero terminal SNR"),
)
"""What can be said of a base whose files do not tell."""
NAMED_V = re.compile(r"v[-_. ]?pred", re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """A base as the list shows it."""

    row: Base
    family_label: str
    prediction: str
    prediction_choices: Sequence[tuple[str, str]]
    prediction_choice: str
    vaes: tuple[Vae, ...]
    vae_path: str

    @property
    def is_hashing(self) -> bool:
        """Whether its hash is still being worked out."""
        return self.row.sha256 is None and not self.row.is_missing

    @property
    def is_named_v(self) -> bool:
        """Whether its name says velocity while nobody else has said anything."""
        return bool(self.prediction_choices and not self.prediction_choice and NAMED_V.search(self.row.name))


@dataclass(frozen=True)
class IndexPage:
    """The list and the folder form."""

    listed: Sequence[Listed]
    is_hashing: bool
    folder: str
    refused: tuple[Refused, ...] = ()
    folder_error: str = ""
    was_scanned: bool = False
    area: str = "bases"


@router.get("/bases")
def index(request: Request, store: Store, settings: OwnSettings) -> HTMLResponse:
    """Show the list and the folder form."""
    return page(request, "bases/index", _index_page(store, settings))


@router.get("/bases/list")
def listing(request: Request, store: Store, settings: OwnSettings) -> HTMLResponse:
    """Show the list alone; polled while a base is hashed."""
    return partial(request, "bases/listing", _index_page(store, settings))


@router.post("/bases")
def scan(
    request: Request, store: Store, settings: OwnSettings, base_scan: Scan, folder: Annotated[str, Form()] = ""
) -> Response:
    """Look for base models in a folder and remember it."""
    typed, error = folder.strip().strip("\"'"), ""
    try:
        base_scan.start(read_folder(typed))
    except Invalid as refusal:
        error = f"{refusal.message} {refusal.hint}".strip()
    except OSError as problem:
        error = f"{typed} cannot be read: {problem.strerror or problem}. Give a folder that you may read."
    if not error and not is_htmx(request):
        return RedirectResponse("/bases", 303)
    shown = replace(_index_page(store, settings, typed if error else None, error), was_scanned=not error)
    status = 422 if error else 200
    if is_htmx(request):
        return partial(request, "bases/folder", shown, status)
    return page(request, "bases/index", shown, status)


@router.post("/bases/{base_id}/vae")
def choose(
    request: Request, store: Store, settings: OwnSettings, base_id: int, vae: Annotated[str, Form()] = ""
) -> Response:
    """Choose the VAE that a base is used with; empty for its own."""
    with write(store) as session:
        choose_vae(session, base_id, vae)
    return _listing(request, store, settings)


@router.post("/bases/{base_id}/prediction")
def predict(
    request: Request, store: Store, settings: OwnSettings, base_id: int, prediction: Annotated[str, Form()] = ""
) -> Response:
    """Say what a base predicts whose files do not tell."""
    with write(store) as session:
        choose_prediction(session, base_id, prediction)
    return _listing(request, store, settings)


def read_folder(text: str) -> Path:
    """Return a full path. Raises Invalid for none and for one that starts nowhere."""
    path = full_path(text)
    if not text or not path.is_absolute():
        raise Invalid(
            f"{text} is not a full path." if text else "There is no path.",
            "Give the folder from its root on.",
            field="folder",
        )
    return path


def _listing(request: Request, store: Store, settings: OwnSettings) -> Response:
    """The list after a choice in it."""
    if not is_htmx(request):
        return RedirectResponse("/bases", 303)
    return partial(request, "bases/listing", _index_page(store, settings))


def _index_page(store: Engine, settings: Settings, typed: str | None = None, error: str = "") -> IndexPage:
    with read(store) as session:
        listed = [_listed(session, row) for row in bases.listed(session)]
        turned_away = refused(session)
    return IndexPage(
        listed=listed,
        is_hashing=any(each.is_hashing for each in listed),
        folder=str(known_folder(store, settings)) if typed is None else typed,
        refused=turned_away,
        folder_error=error,
    )


def _listed(session: Session, row: Base) -> Listed:
    told = Told(None) if row.is_missing else prediction_of(Path(row.path))
    return Listed(
        row=row,
        family_label=FAMILIES[row.family].label,
        prediction=PREDICTIONS[told.prediction],
        prediction_choices=() if told.is_sure else CHOICES,
        prediction_choice=prediction_choice_of(session, row.id),
        vaes=() if row.is_bundled else vaes(session, row.family),
        vae_path=vae_of(session, row.id),
    )

"""Copies for the screen that no page asks for any more are deleted; what came in never is."""

import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.collect.drawing import shown_of
from app.collect.facts import is_unreadable
from app.config import Settings
from app.contract.recipe import read_recipe
from app.errors import AppError
from app.store import looks
from app.store.db import read
from app.store.looks import Look

log = logging.getLogger("lora_studio")

COPY = re.compile(r"^([0-9a-f]{64})(?:-[0-9a-z-]+)?\.(?:webp|png)$")
HALF_WRITTEN = re.compile(r"^\.[0-9a-f]{64}.*\.tmp$")
DAY_S = 24 * 3600.0
KEPT_S = 7 * DAY_S
"""Younger copies stay: somebody may still undo to what they show."""


def tidy(settings: Settings, engine: Engine, is_over: Callable[[], bool] = lambda: False) -> None:
    """Sweep while the studio runs; what goes wrong is logged, since nothing depends on it."""
    try:
        if gone := sweep(settings, engine, is_over):
            log.info("Deleted %s copies of images that no page shows any more.", f"{gone:,}")
    except (AppError, OSError, SQLAlchemyError, ValueError) as error:
        log.warning("Old copies of images were not deleted: %s.", error)


def sweep(settings: Settings, engine: Engine, is_over: Callable[[], bool] = lambda: False) -> int:
    """Delete old copies of looks that no image has today, and return how many.

    All of them can be drawn again: where an original is gone or damaged, what was drawn of it stays. Raises OSError.
    """
    gone = 0
    for folder in sorted(settings.thumbs.iterdir()):
        if is_over():
            break
        if folder.is_dir():
            gone += _sweep_folder(folder, settings, engine)
    return gone


def _sweep_folder(folder: Path, settings: Settings, engine: Engine) -> int:
    old: dict[str, list[Path]] = defaultdict(list)
    spent: list[Path] = []
    now_s = time.time()
    for path in folder.iterdir():
        try:
            age_s = now_s - path.stat().st_mtime
        except FileNotFoundError:
            # Written to its end, and so renamed, in this moment.
            continue
        if (copy := COPY.match(path.name)) and age_s > KEPT_S:
            old[copy[1]].append(path)
        elif HALF_WRITTEN.match(path.name) and age_s > DAY_S:
            spent.append(path)
    found: dict[str, list[Look]] = defaultdict(list)
    with read(engine) as session:
        for look in looks.of_originals(session, old):
            found[look.sha256].append(look)
    for sha256, paths in old.items():
        spent += _unasked(paths, found[sha256], settings)
    for path in spent:
        path.unlink(missing_ok=True)
    return len(spent)


def _unasked(paths: Sequence[Path], its_looks: Sequence[Look], settings: Settings) -> Iterator[Path]:
    """Those of an original's copies that no page asks for, if they can be drawn again."""
    needed = {name for look in its_looks for name in _names(look, settings)}
    unasked = [path for path in paths if path.name not in needed]
    if unasked and all(_can_be_read(look, settings) for look in its_looks):
        yield from unasked


def _names(look: Look, settings: Settings) -> Iterator[str]:
    if look.recipe is None:
        return
    recipe = read_recipe(look.recipe)
    for wish in shown_of(look.sha256, look.extension, recipe, look.subject_mask):
        yield wish.target(settings).name


def _can_be_read(look: Look, settings: Settings) -> bool:
    try:
        size_bytes = settings.blob(look.sha256, look.extension).stat().st_size
    except FileNotFoundError:
        return False
    return size_bytes == look.size_bytes and not is_unreadable(look.facts)

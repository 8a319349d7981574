"""Large edits a few images at a time, so that others get their turn to write; still one step of a person."""

import logging
from collections.abc import Callable, Sequence
from time import monotonic, sleep

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.errors import AppError
from app.store.db import write

FIRST, LEAST, MOST = 100, 10, 250
PART_S = 0.25
"""How long a part may hold the store."""
PAUSE_S = 0.05
"""Who waits for the store asks for it again and again, at last every tenth of a second: let them in."""

Work = Callable[[Session, Sequence[int]], int]
AGAIN = "What is done is one step that can be undone. Do it again for the rest."

log = logging.getLogger("lora_studio")


class Unfinished(AppError):
    """A large edit that stopped half way: how much of it is done, why it stopped and how to go on or back."""

    status = 409
    title = "Not finished"

    def __init__(self, done: int, total: int, why: str, way_on: str = AGAIN) -> None:
        left = total - done
        rest = "The last one is as it was." if left == 1 else f"The other {left:,} are as they were."
        super().__init__(f"{done:,} of {total:,} images were dealt with, then it stopped: {why}", f"{rest} {way_on}")


def in_parts(
    engine: Engine,
    image_ids: Sequence[int],
    work: Work,
    tell: Callable[[int, int], None] | None = None,
    way_on: str = AGAIN,
) -> int:
    """Do the work for all images, each part in a transaction of its own, and return the sum of its answers.

    The work sees in its own transaction how the images are by then, and names one step of the history in every part.
    `tell` hears before each part how many of all are dealt with; what it raises ends the rest. Raises Unfinished when
    a later part fails, whatever the reason; `way_on` is what it then tells to do where that is no step to undo.
    """
    answers = done = 0
    size = FIRST
    while done < len(image_ids):
        part = image_ids[done : done + size]
        if tell:
            tell(done, len(image_ids))
        if done:
            sleep(PAUSE_S)
        try:
            with write(engine) as session:
                began = monotonic()
                answers += work(session, part)
        except Exception as error:
            # Of a first part nothing is kept: it fails as any edit does. Later nobody could tell what is done.
            if not done:
                raise
            raise Unfinished(done, len(image_ids), _why(error), way_on) from error
        done += len(part)
        size = max(LEAST, min(MOST, round(len(part) * PART_S / max(monotonic() - began, 0.001))))
    return answers


def _why(error: Exception) -> str:
    """The reason in words; a mistake of ours goes to the log with its stack, never to the page."""
    if isinstance(error, AppError):
        return f"{error.message} {error.hint}".strip()
    log.error("a large edit stopped half way", exc_info=error)
    if isinstance(error, OSError) and error.strerror:
        return f"the disk refused ({error.strerror})."
    return "LoRA Studio made a mistake. The terminal that runs it says more."

"""Accepting and dismissing suggestions: captions change as one step of the history, named by model and person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.contract.suggestions import DOUBT
from app.errors import Conflict
from app.label.rows import Table
from app.label.suggestions import Seen, View, ghosts, with_caption, with_tags, without_tag
from app.store import captions, images, suggestions
from app.store.db import write
from app.store.edits import Words, new_step, write_captions
from app.store.models import Suggestion
from app.store.parts import in_parts
from app.store.suggestions import StoredSuggestion
from app.store.undo import ACCEPTED_BY

How = Literal["empty", "replace", "line"]
Overwrites = Literal["empty", "models"]


ADDED = " added"
"""Stands behind a model's name in the history where it only added to a person's words."""


@dataclass(frozen=True)
class Wish:
    """Which suggestions of a project are to be accepted; no model means every one."""

    kind: Literal["tag", "caption"]
    model: str
    threshold: float
    overwrites: Overwrites = "empty"


@dataclass(frozen=True)
class Change:
    """What becomes of one image: its caption before and after, by which suggestions, and whether they replace it."""

    image_id: int
    before: str
    after: str
    used: tuple[Seen, ...]
    replaces: bool = False


@dataclass(frozen=True)
class Plan:
    """What a wish would do, told before it is done: whose captions are there, and what becomes of them."""

    changes: tuple[Change, ...]
    by_person: int
    by_model: int
    empty: int
    kept: int

    @property
    def suggestions(self) -> int:
        """How many suggestions would be accepted."""
        return sum(len(change.used) for change in self.changes)


def seen(row: Suggestion | StoredSuggestion) -> Seen:
    """A stored suggestion as the pure functions take it."""
    return Seen(
        row.id, row.image_id, row.kind, row.text, row.category, row.confidence, row.model, row.state == "accepted"
    )


def is_by_model(author: str) -> bool:
    """Whether a caption was written by a model and then accepted; one that a model only added to is a person's."""
    return ACCEPTED_BY in author and f"{ADDED}{ACCEPTED_BY}" not in author


def keeps_author(change: Change, author: str) -> bool:
    """Whether the words stay a person's although something was accepted into them."""
    return bool(change.before.strip()) and not change.replaces and not is_by_model(author)


def open_of(session: Session, image_id: int) -> list[Seen]:
    """What is suggested for an image and not yet in its caption, the surest first. Raises NotFound."""
    row = images.get(session, image_id)
    return ghosts(row.caption or "", [seen(each) for each in suggestions.of_image(session, image_id)])


def accept(session: Session, suggestion_id: int, person: str, how: How = "empty") -> int:
    """Accept one suggestion and return its image's id.

    Raises NotFound, and Conflict for a caption where there is one and nobody said what to do with it.
    """
    found = seen(suggestions.get(session, suggestion_id))
    caption = images.get(session, found.image_id).caption or ""
    if found.category == DOUBT:
        after: str | None = without_tag(caption, found.text)
    elif found.kind == "tag":
        after = with_tags(caption, [found.text])
    else:
        after = with_caption(caption, found.text, how)
    if after is None:
        raise Conflict(
            "The image has a caption already.", "Empty it first, and take the suggested one then.", field="how"
        )
    replaces = found.kind == "caption" and how == "replace"
    _save(session, [Change(found.image_id, caption, after, (found,), replaces)], person)
    return found.image_id


def accept_image(session: Session, image_id: int, threshold: float, person: str) -> int:
    """Accept an image's tags from a confidence on, or for an empty caption without any a suggested one; how many."""
    caption = images.get(session, image_id).caption or ""
    sure = [each for each in open_of(session, image_id) if each.confidence >= threshold]
    tags = [each for each in sure if each.kind == "tag"]
    if tags:
        _save(
            session, [Change(image_id, caption, with_tags(caption, [each.text for each in tags]), tuple(tags))], person
        )
        return len(tags)
    words = next((each for each in sure if each.kind == "caption"), None)
    if words is None or caption.strip():
        return 0
    _save(session, [Change(image_id, caption, words.text, (words,))], person)
    return 1


def dismiss(session: Session, suggestion_id: int) -> int:
    """Dismiss one suggestion and return its image's id. Raises NotFound."""
    row = suggestions.get(session, suggestion_id)
    suggestions.settle(session, [row.id], "dismissed")
    return row.image_id


def dismiss_everywhere(engine: Engine, suggestion_id: int, person: str) -> tuple[int, int]:
    """Dismiss a suggested tag in the whole project for good, a doubt or a caption only where it stands.

    Return the image's id and in how many images it went. Raises NotFound, Unfinished.
    """
    with write(engine) as session:
        row = suggestions.get(session, suggestion_id)
        project_id = images.get(session, row.image_id).project_id
        if row.kind != "tag" or row.category == DOUBT:
            return dismiss(session, suggestion_id), 1
    return row.image_id, suggestions.dismiss_tag(engine, project_id, row.text, person)


def plan(session: Session, project_id: int, wish: Wish) -> Plan:
    """Work out what a wish would do; nothing changes."""
    by_image: dict[int, list[Seen]] = {}
    for row in suggestions.of_project(session, project_id):
        each = seen(row)
        if each.kind == wish.kind and each.confidence >= wish.threshold and wish.model in ("", each.model):
            by_image.setdefault(each.image_id, []).append(each)
    changes, authors, kept = [], {"person": 0, "model": 0, "empty": 0}, 0
    for image_id, caption, author in suggestions.authors(session, project_id):
        found = ghosts(caption, by_image.get(image_id, []))
        if not found:
            continue
        whose = "empty" if not caption.strip() else "model" if is_by_model(author) else "person"
        authors[whose] += 1
        change = _change(image_id, caption, found, wish, whose)
        if change is None:
            kept += 1
        else:
            changes.append(change)
    return Plan(tuple(changes), authors["person"], authors["model"], authors["empty"], kept)


def _change(image_id: int, caption: str, found: Sequence[Seen], wish: Wish, whose: str) -> Change | None:
    if wish.kind == "tag":
        return Change(image_id, caption, with_tags(caption, [each.text for each in found]), tuple(found))
    if whose == "empty" or (whose == "model" and wish.overwrites == "models"):
        return Change(image_id, caption, found[0].text, (found[0],), replaces=True)
    return None


def carry_out(engine: Engine, changes: Sequence[Change], person: str) -> int:
    """Do what was planned, as one step in parts; return how many captions changed. Raises Unfinished.

    Captions that somebody has changed since it was planned are left alone.
    """
    batch, by_image = str(uuid4()), {change.image_id: change for change in changes}

    def some(session: Session, ids: Sequence[int]) -> int:
        now = captions.texts(session, ids)
        still = [by_image[each] for each in ids if each in now and now[each] == by_image[each].before]
        _save(session, still, person, batch)
        return len(still)

    return in_parts(engine, list(by_image), some)


def tag_changes(table: Table, found: Mapping[int, Sequence[Seen]], view: View) -> list[Change]:
    """What makes all captions agree with the models over one tag: it is added, or taken out.

    `found` are the suggestions of the tag by image, out of label.disagreements.
    """
    changes = []
    for image_id, here in found.items():
        text = table.by_id[image_id].caption
        after = with_tags(text, [here[0].text]) if view == "missing" else without_tag(text, here[0].text)
        changes.append(Change(image_id, text, after, tuple(here)))
    return changes


def let_stand(engine: Engine, found: Mapping[int, Sequence[Seen]]) -> int:
    """Let the captions stand over a tag that models doubt; return how many these are. Raises Unfinished."""
    by_image = {image_id: [each.id for each in here] for image_id, here in found.items()}
    return suggestions.settle_in_parts(engine, by_image, "dismissed", "Let the captions stand again for the rest.")


def _save(session: Session, changes: Sequence[Change], person: str, batch: str = "") -> None:
    """Write the changes as one step of the history, or as a part of one that is named."""
    if not changes:
        return
    project_id = images.get(session, changes[0].image_id).project_id
    authors = suggestions.authors_of(session, [change.image_id for change in changes])
    used = [each for change in changes for each in change.used]
    by = f"{_models(used)}{ACCEPTED_BY}{person}"
    step = new_step(project_id, by, batch)
    # The history says it too: undo takes the authors of what it brings back from there.
    added_step = replace(step, by=f"{_models(used)}{ADDED}{ACCEPTED_BY}{person}")
    whole: dict[int, Words] = {}
    added: dict[int, Words] = {}
    for change in changes:
        author = authors.get(change.image_id, "")
        if keeps_author(change, author):
            added[change.image_id] = Words(change.after, author)
        else:
            whole[change.image_id] = Words(change.after, by)
    write_captions(session, step, whole)
    write_captions(session, added_step, added)
    suggestions.settle(session, [each.id for each in used], "accepted")


def _models(used: Iterable[Seen]) -> str:
    return " and ".join(dict.fromkeys(each.model for each in used))

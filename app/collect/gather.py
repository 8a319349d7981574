"""One file of an import: its words read, its picture measured by a child, and what is to be written down of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.collect.decode_child import Measured
from app.collect.decoders import Decoders
from app.collect.entries import Entry
from app.collect.files import Found, read_file
from app.collect.masks import MaskWish
from app.collect.pictures import Note
from app.collect.refusals import Refused
from app.collect.sidecars import ENCODING_LABELS, MAX_CAPTION_BYTES, Words, read_words
from app.contract.recipe import UNTOUCHED, Recipe
from app.errors import Invalid
from app.store.images import NewCaption, NewImage
from app.store.provenance import Provenance


@dataclass(frozen=True)
class Gathered:
    """What is known of one file before the store hears of it; `words` are its different captions, the closest first.

    `again` is what a new look found of the original of an image that is here already.
    """

    name: str
    path: str | None = None
    new: NewImage | None = None
    words: tuple[Words, ...] = ()
    refusal: Refused | None = None
    notes: tuple[Note, ...] = ()
    prompt: str = ""
    mask: Measured | None = None
    again: Measured | None = None
    image_id: int | None = None

    @property
    def new_name(self) -> str:
        """The bare name of the picture."""
        return self.new.name if self.new else self.name

    @property
    def caption(self) -> NewCaption | None:
        """The caption that the image gets at first."""
        return as_caption(self.words[0]) if self.words else None


class Task(Protocol):
    """One file still to be dealt with; `name` tells it from the others of its import."""

    @property
    def name(self) -> str:
        """The name in the report."""

    def gather(self) -> Gathered:
        """Read and measure the file; never raises for a bad one."""


@dataclass(frozen=True)
class EntryTask:
    """A picture of a dataset on this disk."""

    entry: Entry
    decoders: Decoders = field(repr=False)

    @property
    def name(self) -> str:
        """Its name with its folders."""
        return self.entry.picture.shown_rel

    def gather(self) -> Gathered:
        """Read the captions, have the picture and its mask decoded."""
        return gather(self.entry, self.decoders)


@dataclass(frozen=True)
class RefusedTask:
    """A file that is refused before it is opened."""

    found: Found
    refusal: Refused

    @property
    def name(self) -> str:
        """Its name with its folders."""
        return self.found.shown_rel

    def gather(self) -> Gathered:
        """Say why."""
        return Gathered(self.name, None, refusal=self.refusal)


def gather(entry: Entry, decoders: Decoders) -> Gathered:
    """Deal with one entry. Raises Unavailable when the studio's own disk is full."""
    name = entry.picture.shown_rel
    told = Gathered(name, name)
    try:
        measured = decoders.measure(entry.picture.path, entry.picture.shown)
    except Refused as refusal:
        return replace(told, refusal=refusal)
    words, notes = read_sidecars(entry.sidecars, entry.given)
    mask, mask_notes = _mask(entry.mask, measured, decoders)
    recipe = Recipe(mask=mask.sha256) if mask else UNTOUCHED
    aside = (Note("F08", entry.aside),) if entry.aside else ()
    return replace(
        told,
        new=_as_said(new_image(measured, entry.name or entry.picture.shown), entry, recipe),
        words=words,
        notes=(*measured.notes, *notes, *mask_notes, *aside),
        prompt=measured.facts.prompt,
        mask=mask,
    )


def _as_said(new: NewImage, entry: Entry, recipe: Recipe) -> NewImage:
    """The picture with what its dataset says of it."""
    return replace(
        new,
        recipe=recipe,
        repeats=entry.repeats,
        weight=entry.weight,
        split=entry.split,
        origin=Provenance(entry.source, entry.author, entry.licence, entry.collected_on, entry.no_ai),
    )


def new_image(measured: Measured, name: str) -> NewImage:
    """A measured picture as the store takes it."""
    return NewImage(
        sha256=measured.sha256,
        extension=measured.extension,
        size_bytes=measured.size_bytes,
        width_px=measured.width_px,
        height_px=measured.height_px,
        name=name,
        phash=measured.phash,
        phash_mirrored=measured.phash_mirrored,
        facts=measured.facts.to_json(),
        uses_alpha=measured.facts.uses_alpha,
    )


def as_caption(words: Words) -> NewCaption:
    """Words as the store takes them."""
    return NewCaption(words.text, words.raw, words.encoding, words.came_from or None)


def read_sidecars(sidecars: Sequence[Found], given: Sequence[Words]) -> tuple[tuple[Words, ...], tuple[Note, ...]]:
    """Read caption files; return the captions that differ, the closest first, and what was odd about them."""
    words: list[Words] = []
    notes: list[Note] = []
    for found in sidecars:
        try:
            read = read_words(read_file(found.path, MAX_CAPTION_BYTES), found.shown)
        except Refused as refusal:
            notes.append(Note("F10", refusal.words))
            continue
        except (Invalid, OSError):
            notes.append(Note("F10", f"{found.shown} cannot be read. Check that it is still there."))
            continue
        notes += notes_on(read)
        words.append(read)
    return different([*words, *given]), tuple(notes)


def notes_on(words: Words) -> list[Note]:
    """What is odd about a caption file that could be read."""
    notes = []
    if words.is_guess and words.encoding:
        told = f"{words.came_from} was read as {ENCODING_LABELS[words.encoding]}. Check its letters."
        notes.append(Note("F10", told))
    if not words.text.strip():
        notes.append(Note("F09", f"{words.came_from} is empty."))
    return notes


def different(words: Sequence[Words]) -> tuple[Words, ...]:
    """Each text once, spaces around it and the kind of line ends aside; empty ones only where there is no other."""
    seen: dict[str, Words] = {}
    for each in words:
        seen.setdefault(same_text(each.text), each)
    full = tuple(each for key, each in seen.items() if key)
    return full or tuple(seen.values())


def same_text(text: str) -> str:
    """A text by which captions are compared."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _mask(found: Found | None, picture: Measured, decoders: Decoders) -> tuple[Measured | None, tuple[Note, ...]]:
    if found is None:
        return None, ()
    try:
        wish = MaskWish(width_px=picture.width_px, height_px=picture.height_px, fills=True)
        return decoders.measure(found.path, found.shown, as_mask=wish), ()
    except Refused as refusal:
        return None, (Note("F01", f"Its mask is left out: {refusal.words}"),)

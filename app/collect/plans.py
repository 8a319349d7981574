"""From the source of an import to its tasks, one for each file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from sqlalchemy import Engine

from app.collect import archives, layouts
from app.collect.archives import ALONE, LISTS, Watch, free_name
from app.collect.decoders import Decoders
from app.collect.entries import Entry, Leftover
from app.collect.fetch import Fetch, UrlTask, is_switched_on
from app.collect.files import Found, Listing, found_under
from app.collect.films import frame_tasks
from app.collect.gather import EntryTask, Gathered, RefusedTask, Task
from app.collect.measuring import MeasureTask, waiting
from app.collect.pictures import PICTURE_SUFFIXES
from app.collect.refusals import Refused
from app.collect.sidecars import CAPTION_SUFFIXES, Words
from app.collect.sources import FramesSource, MeasureSource, PathSource, ProjectSource, Source, UrlSource, ZipSource
from app.config import Settings
from app.store import animations, arrivals
from app.store.db import read
from app.store.images import NewCaption, NewImage

LINES_TOLD = 12
READ_BY_NAME = PICTURE_SUFFIXES | set(CAPTION_SUFFIXES) | set(LISTS)


@dataclass(frozen=True)
class Plan:
    """The files of an import in their order, the layouts that were recognised, and what is left out of the whole.

    With `is_in_turn` each is done once the one before it is: they share a child that goes on where it is.
    """

    tasks: Sequence[Task]
    layouts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_in_turn: bool = False


@dataclass(frozen=True)
class Workshop:
    """What a plan is made with; `folder` is the import's own, for what it fetches or unpacks."""

    settings: Settings
    engine: Engine = field(repr=False)
    decoders: Decoders = field(repr=False)
    fetch: Fetch = field(repr=False)
    folder: Path
    watch: Watch = field(default=ALONE, repr=False)


def plan(source: Source, workshop: Workshop) -> Plan:
    """List what is to be done. Raises Refused for a hostile archive, OSError for an unreadable folder."""
    match source:
        case PathSource():
            root_name = source.paths[0].name if len(source.paths) == 1 else ""
            listing = found_under(source.paths)
            odd = _by_hand(source.paths)
            found = [each for each in listing.found if each.path not in odd]
            made = _of_files(found, root_name, folders_left_out(listing), workshop)
            by_hand = [EntryTask(Entry(each), workshop.decoders) for each in listing.found if each.path in odd]
            return replace(made, tasks=[*by_hand, *made.tasks])
        case ZipSource():
            unpacked = archives.unpack(source.path, workshop.folder / "files", source.name, workshop.watch)
            root_name = Path(source.name).stem
            return _of_files(unpacked.found, root_name, unpacked.leftovers, workshop)
        case UrlSource():
            return Plan([_url_task(number, url, workshop) for number, url in enumerate(source.urls)])
        case ProjectSource():
            with read(workshop.engine) as session:
                copies = arrivals.copies(session, source.project_id)
            return Plan([_copy_task(number, new, caption) for number, (new, caption) in enumerate(copies, 1)])
        case FramesSource():
            with read(workshop.engine) as session:
                parents = animations.by_id(session, [clip.image_id for clip in source.clips])
            return Plan(frame_tasks(source, parents, workshop.decoders, workshop.settings), is_in_turn=True)
        case MeasureSource():
            with read(workshop.engine) as session:
                lacking = waiting(session, workshop.settings, source.project_id)
            tools = (workshop.settings, workshop.engine, workshop.decoders)
            return Plan([MeasureTask(each, *tools) for each in lacking])
        case _:
            return Plan([])


def _of_files(found: list[Found], root_name: str, refused: Sequence[Leftover], workshop: Workshop) -> Plan:
    reading = layouts.read(found, root_name)
    tasks: list[Task] = [EntryTask(entry, workshop.decoders) for entry in reading.entries]
    leftovers = _numbered([*refused, *reading.leftovers])
    return Plan([*tasks, *leftovers], short(reading.layouts), short(reading.notes))


def short(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines on the whole as pages show them: the first few, and how many more there are."""
    more = (f"and {len(lines) - LINES_TOLD:,} more",) if len(lines) > LINES_TOLD else ()
    return (*lines[:LINES_TOLD], *more)


def _by_hand(paths: Sequence[Path]) -> set[Path]:
    """Files that were named one by one are opened whatever they are called."""
    return {path for path in paths if path.suffix.lower() not in READ_BY_NAME and not path.is_dir()}


def folders_left_out(listing: Listing) -> list[Leftover]:
    """Folders that are not read: what is in them is not known, so that each is a row of its own."""
    hint = "Let LoRA Studio read it, then try it again."
    unreadable = [
        Leftover(found, Refused("F01", f"The folder {found.shown} cannot be read: {reason}.", hint))
        for found, reason in listing.unreadable
    ]
    link = "Import the folder that it leads to by itself."
    return unreadable + [
        Leftover(found, Refused("F08", f"{found.shown} is a link to a folder, which is not followed.", link))
        for found in listing.links
    ]


def _numbered(leftovers: Sequence[Leftover]) -> list[RefusedTask]:
    """One list may be told of many times: its rows are told apart by a number."""
    taken: set[PurePosixPath] = set()
    tasks = []
    for each in leftovers:
        rel = free_name(each.found.rel, taken)
        taken.add(rel)
        tasks.append(RefusedTask(Found(rel, each.found.path), each.refusal))
    return tasks


def _url_task(number: int, url: str, workshop: Workshop) -> UrlTask:
    def is_on() -> bool:
        with read(workshop.engine) as session:
            return is_switched_on(session)

    path = workshop.folder / "files" / f"{number:06d}"
    return UrlTask(url, path, workshop.decoders, workshop.fetch, is_on)


@dataclass(frozen=True)
class CopyTask:
    """An image of another project, which needs no decoding."""

    name: str
    new: NewImage
    caption: NewCaption | None

    def gather(self) -> Gathered:
        """Take it as it is there."""
        caption = self.caption
        words = (
            () if caption is None else (Words(caption.text, caption.raw, caption.encoding, caption.came_from or ""),)
        )
        return Gathered(self.name, None, self.new, words)


def _copy_task(number: int, new: NewImage, caption: NewCaption | None) -> CopyTask:
    return CopyTask(f"{number}: {new.name}", new, caption)

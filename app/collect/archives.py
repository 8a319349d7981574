"""Zip archives from anywhere: members are streamed to names of our own, and nothing of theirs reaches the disk."""

import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from app.collect.entries import Leftover, path_parts
from app.collect.files import Found, shown_name
from app.collect.formats import HEAD_BYTES, begins_like_picture, is_picture, lacks_ending, left_out
from app.collect.pictures import MAX_BYTES
from app.collect.refusals import Refused
from app.collect.sidecars import MAX_CAPTION_BYTES, is_caption
from app.errors import Conflict

MAX_MEMBERS = 200_000
MAX_TOTAL_BYTES = 50_000_000_000
MAX_RATIO = 200
RATIO_COUNTS_FROM_BYTES = 50_000_000
SHARE_OF_FREE = 0.8
CHUNK_BYTES = 1 << 20
LISTS = (".json", ".jsonl", ".csv", ".toml")
UTF8_FLAG = 0x800
ENCRYPTED_FLAG = 0x1
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What zipfile raises on damaged, encrypted or unknown members."""


@dataclass(frozen=True)
class Watch:
    """Who looks on: whether it is to end, and how many members of an archive were dealt with of how many."""

    is_over: Callable[[], bool] = lambda: False
    unpacked: Callable[[int, int], None] = lambda done, total: None


ALONE = Watch()


@dataclass(frozen=True)
class Unpacked:
    """The files of an archive, the members that were refused, and how large each file is in bytes.

    A file that nothing here reads is there by its name alone: its path leads nowhere.
    """

    found: list[Found]
    leftovers: list[Leftover]
    sizes: dict[PurePosixPath, int]


def unpack(archive: Path, into: Path, name: str, watch: Watch = ALONE) -> Unpacked:
    """Stream pictures, captions and lists into `into`, named by number. Raises Refused for a hostile or broken archive.

    OSError tells that the archive or our own disk cannot be read or written, Conflict that it was to end.
    """
    return _opened(archive, into, name, Unpacking(into, name, watch))


def glance(archive: Path, into: Path, name: str) -> Unpacked:
    """List the files as `unpack` does, without the bytes of its pictures. Raises as that does."""
    return _opened(archive, into, name, Unpacking(into, name, ALONE, is_glance=True))


def _opened(archive: Path, into: Path, name: str, unpacking: "Unpacking") -> Unpacked:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            return unpacking.run(opened)
    except zipfile.BadZipFile as error:
        raise Refused("F01", f"{name} is no whole zip archive ({error}).", "Copy or download it again.") from error


@dataclass(frozen=True)
class Unpacking:
    """One archive on its way to the disk; with `is_glance` only lists and captions get there."""

    into: Path
    name: str
    watch: Watch
    is_glance: bool = False

    def run(self, opened: zipfile.ZipFile) -> Unpacked:
        """Deal with every member."""
        members = opened.infolist()
        if len(members) > MAX_MEMBERS:
            raise Refused(
                "F07", f"{self.name} holds {len(members):,} files, more than {MAX_MEMBERS:,}.", "Split it up."
            )
        allowance = min(MAX_TOTAL_BYTES, int(shutil.disk_usage(self.into).free * SHARE_OF_FREE))
        done = Unpacked([], [], {})
        taken: set[str] = set()
        for number, member in enumerate(members):
            self.watch.unpacked(number, len(members))
            rel = member_name(member)
            if member.is_dir() or rel is None:
                continue
            path = self.into / f"{number:06d}"
            try:
                allowance -= self._take(opened, member, (rel, path), taken, min(MAX_BYTES, allowance))
            except Refused as refusal:
                path.unlink(missing_ok=True)
                done.leftovers.append(Leftover(Found(rel, path), refusal))
                continue
            if allowance <= 0:
                raise Refused(
                    "F07", f"{self.name} unpacks to more than the disk may hold.", "Make room, or split it up."
                )
            rel = free_name(rel, done.sizes)
            done.sizes[rel] = member.file_size
            done.found.append(Found(rel, path))
        self.watch.unpacked(len(members), len(members))
        return done

    def _take(
        self,
        opened: zipfile.ZipFile,
        member: zipfile.ZipInfo,
        place: tuple[PurePosixPath, Path],
        taken: set[str],
        limit_bytes: int,
    ) -> int:
        """Check a member and write as much of it as matters; return the bytes written. Raises Refused, Conflict."""
        rel, path = place
        wanted = _wanted(rel, member)
        if wanted == "nothing":
            return 0
        _check(member, rel, taken)
        if self.is_glance and wanted == "picture":
            return 0
        if wanted == "head":
            head = _head(opened, member)
            if not begins_like_picture(head):
                return 0
            if self.is_glance:
                return path.write_bytes(head)
        return _write(opened, member, path, limit_bytes, self.watch)


def member_name(member: zipfile.ZipInfo) -> PurePosixPath | None:
    """The name of a member with its folders, cleared of ways out; None for what is hidden or macOS's own.

    A name without the UTF-8 flag is read as UTF-8 where it is that, as most tools that forget the flag write it.
    """
    text = member.filename
    if not member.flag_bits & UTF8_FLAG:
        try:
            text = member.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            text = member.filename
    parts = [shown_name(part) for part in path_parts(text)]
    parts = [unicodedata.normalize("NFC", part) for part in parts]
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    return PurePosixPath(*parts)


def free_name(rel: PurePosixPath, taken: Container[PurePosixPath]) -> PurePosixPath:
    """The name, or with a number behind it where the name is taken: once ways out are gone, two may be equal."""
    number = 2
    free = rel
    while free in taken:
        free = rel.with_name(f"{rel.stem} ({number}){rel.suffix}")
        number += 1
    return free


def _wanted(rel: PurePosixPath, member: zipfile.ZipInfo) -> Literal["picture", "words", "head", "nothing"]:
    """What of a member is read: a picture, words or a list, the head of what has no ending, or its name alone.

    Small files of endings that nobody knows may be captions, if a list says so.
    """
    if is_picture(rel.name):
        return "picture"
    if lacks_ending(rel.name):
        return "head"
    is_list = is_caption(rel.name) or rel.suffix.lower() in LISTS
    may_be_caption = member.file_size <= MAX_CAPTION_BYTES and not left_out(rel.name)
    return "words" if is_list or may_be_caption else "nothing"


def _head(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with opened.open(member) as source:
            return source.read(HEAD_BYTES)
    except BROKEN:
        return b""


def _check(member: zipfile.ZipInfo, rel: PurePosixPath, taken: set[str]) -> None:
    """Refuse by the directory of the archive alone."""
    name = rel.as_posix()
    if stat.S_ISLNK(member.external_attr >> 16):
        raise Refused("F08", f"{name} is a link, which may lead anywhere.", "Put the file itself into the archive.")
    if member.flag_bits & ENCRYPTED_FLAG:
        raise Refused("F01", f"{name} is encrypted.", "Unpack the archive yourself, then import the folder.")
    if member.filename in taken:
        raise Refused("F08", f"{name} is in the archive twice.", "Give one of them another name.")
    taken.add(member.filename)
    is_bomb = member.file_size > RATIO_COUNTS_FROM_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size)
    if member.file_size > MAX_BYTES or is_bomb:
        raise Refused("F07", f"{name} would unpack to {member.file_size / 1e6:,.0f} MB.", "Leave it out.")


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, limit_bytes: int, watch: Watch) -> int:
    """Write a member, counting what really comes out. Raises Refused, and Conflict when it was to end."""
    written = 0
    try:
        with opened.open(member) as source, path.open("wb") as target:
            for chunk in _chunks(source):
                if watch.is_over():
                    raise Conflict("The archive was not unpacked to its end.", "Go on with the import.")
                written += len(chunk)
                if written > limit_bytes:
                    raise Refused("F07", f"{shown_name(member.filename)} unpacks to too much.", "Leave it out.")
                target.write(chunk)
    except BROKEN as error:
        if isinstance(error, Refused):
            raise
        words = f"{shown_name(member.filename)} cannot be unpacked ({str(error) or type(error).__name__})."
        raise Refused("F01", words, "Make the archive again.") from error
    return written


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk

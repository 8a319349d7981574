"""Zip archives from anywhere: members are streamed to names of our own, and nothing of theirs reaches the disk."""

import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from app.collect.entries import Leftover, path_parts
from app.collect.files import Found, shown_name
from app.collect.formats import is_picture
from app.collect.pictures import MAX_BYTES
from app.collect.refusals import Refused
from app.collect.sidecars import is_caption

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
class Unpacked:
    """The files of an archive that matter, and the members that were refused."""

    found: list[Found]
    leftovers: list[Leftover]


def unpack(archive: Path, into: Path, name: str) -> Unpacked:
    """Stream pictures, captions and lists into `into`, named by number. Raises Refused for a hostile or broken archive.

    Other members are passed over. OSError tells that the archive or our own disk cannot be read or written.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            return _unpack(opened, into, name)
    except zipfile.BadZipFile as error:
        raise Refused("F01", f"{name} is no whole zip archive ({error}).", "Copy or download it again.") from error


def _unpack(opened: zipfile.ZipFile, into: Path, name: str) -> Unpacked:
    members = opened.infolist()
    if len(members) > MAX_MEMBERS:
        raise Refused("F07", f"{name} holds {len(members):,} files, more than {MAX_MEMBERS:,}.", "Split it up.")
    allowance = min(MAX_TOTAL_BYTES, int(shutil.disk_usage(into).free * SHARE_OF_FREE))
    found: list[Found] = []
    leftovers: list[Leftover] = []
    taken: set[str] = set()
    rels: set[PurePosixPath] = set()
    for number, member in enumerate(members):
        rel = member_name(member)
        if member.is_dir() or rel is None or not _matters(rel):
            continue
        path = into / f"{number:06d}"
        try:
            _check(member, rel, taken)
            written = _write(opened, member, path, min(MAX_BYTES, allowance))
        except Refused as refusal:
            path.unlink(missing_ok=True)
            leftovers.append(Leftover(Found(rel, path), refusal))
            continue
        allowance -= written
        if allowance <= 0:
            raise Refused("F07", f"{name} unpacks to more than the disk may hold.", "Make room, or split it up.")
        rel = free_name(rel, rels)
        rels.add(rel)
        found.append(Found(rel, path))
    return Unpacked(found, leftovers)


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


def _matters(rel: PurePosixPath) -> bool:
    return is_picture(rel.name) or is_caption(rel.name) or rel.suffix.lower() in LISTS


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


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, limit_bytes: int) -> int:
    """Write a member, counting what really comes out. Raises Refused."""
    written = 0
    try:
        with opened.open(member) as source, path.open("wb") as target:
            for chunk in _chunks(source):
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

"""From the files of a dataset to its entries: every layout that other tools write, told by what is there."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.collect import layouts_huggingface, layouts_kohya, layouts_manifest, layouts_masks, layouts_onetrainer
from app.collect.entries import Entry, Leftover, Patch, Said, Tree, few, patched
from app.collect.files import Found
from app.collect.formats import endless, left_out
from app.collect.refusals import Refused
from app.collect.sidecars import DEFAULT_CAPTION, folded, sidecar_names

# In this order: a setting of a list counts more than the name of a folder.
READERS = (
    layouts_masks.read,
    layouts_kohya.read,
    layouts_huggingface.read,
    layouts_onetrainer.read,
    layouts_manifest.read,
)


@dataclass(frozen=True)
class Reading:
    """The pictures of a dataset with what came along, the files that nothing belongs to, and the layouts seen.

    `notes` say what of the whole is left out, why, and what to do.
    """

    entries: tuple[Entry, ...]
    leftovers: tuple[Leftover, ...]
    layouts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read(found: list[Found], root_name: str = "") -> Reading:
    """Read a dataset. Only lists are opened here; pictures and captions are read later, one by one."""
    tree = Tree(found, root_name)
    patches: dict[PurePosixPath, list[Patch]] = {}
    used: set[PurePosixPath] = set()
    leftovers: list[Leftover] = []
    layouts: list[str] = []
    notes: list[str] = []
    for reader in READERS:
        said: Said = reader(tree)
        for rel, more in said.patches.items():
            patches.setdefault(rel, []).extend(more)
        used |= said.used
        leftovers += said.leftovers
        layouts += said.layouts
        notes += said.notes
    entries, taken = _paired(tree, used)
    kept = [patched(entry, patches.get(entry.picture.rel, ())) for entry in entries if not _is_off(patches, entry)]
    leftovers += _left(tree, used | taken)
    told = used | taken | {each.found.rel for each in leftovers}
    notes += _passed_over(
        each for each in tree.files.values() if each.rel not in told and not tree.is_picture(each.rel)
    )
    return Reading(tuple(kept), tuple(leftovers), tuple(layouts), tuple(notes))


def _is_off(patches: dict[PurePosixPath, list[Patch]], entry: Entry) -> bool:
    return any(patch.is_off for patch in patches.get(entry.picture.rel, ()))


def _paired(tree: Tree, used: set[PurePosixPath]) -> tuple[list[Entry], set[PurePosixPath]]:
    """Every picture with its caption files, and the caption files that belong to one."""
    entries: list[Entry] = []
    taken: set[PurePosixPath] = set()
    for folder in tree.folders.values():
        exact = {each.rel.name: each for each in folder}
        alike: dict[str, list[Found]] = {}
        for each in folder:
            alike.setdefault(folded(each.rel.name), []).append(each)
        owners: dict[PurePosixPath, list[str]] = {}
        found: list[Entry] = []
        for each in folder:
            if tree.is_picture(each.rel) and each.rel not in used:
                sidecars = _sidecars(each, exact, alike)
                found.append(Entry(each, sidecars))
                for sidecar in sidecars:
                    owners.setdefault(sidecar.rel, []).append(each.shown)
        taken |= set(owners)
        entries += [patched(entry, [Patch(aside=_shared(entry, owners))]) for entry in found]
    return entries, taken


def _sidecars(picture: Found, exact: dict[str, Found], alike: dict[str, list[Found]]) -> tuple[Found, ...]:
    """A name counts as it is written; one that differs by case or composition only where just one does."""
    found = []
    for name in sidecar_names(picture.rel.name):
        same = alike.get(folded(name), [])
        if name in exact:
            found.append(exact[name])
        elif len(same) == 1 and not _has_nearer(picture, same[0], alike):
            found.append(same[0])
    if not found and DEFAULT_CAPTION in exact:
        found.append(exact[DEFAULT_CAPTION])
    return tuple(dict.fromkeys(found))


def _has_nearer(picture: Found, caption: Found, alike: dict[str, list[Found]]) -> bool:
    """Whether another picture, alike but for case, has this caption's name exactly."""
    others = alike.get(folded(picture.rel.name), [])
    return any(each is not picture and caption.rel.name in sidecar_names(each.rel.name) for each in others)


def _shared(entry: Entry, owners: dict[PurePosixPath, list[str]]) -> str:
    for sidecar in entry.sidecars:
        others = [name for name in owners[sidecar.rel] if name != entry.picture.shown]
        if others and sidecar.rel.name != DEFAULT_CAPTION:
            return f"{sidecar.shown} is also the caption of {', '.join(others[:3])}."
    return ""


def _left(tree: Tree, used: set[PurePosixPath]) -> list[Leftover]:
    """Files that a person will miss: captions without a picture, and what looks like a picture and is none."""
    left = []
    for each in tree.captions():
        if each.rel not in used and each.rel.name != DEFAULT_CAPTION and _is_among_pictures(tree, each):
            words = f"{each.shown} belongs to no image: none beside it has that name."
            left.append(Leftover(each, Refused("F09", words, "Rename it like its image, or add the image.")))
    for each in tree.files.values():
        if (
            each.rel not in used
            and not tree.is_picture(each.rel)
            and (refusal := left_out(each.shown) or endless(each.shown))
        ):
            left.append(Leftover(each, refusal))
    return left


def _is_among_pictures(tree: Tree, caption: Found) -> bool:
    return bool(tree.pictures(caption.rel.parent))


def _passed_over(rest: Iterable[Found]) -> list[str]:
    """The files that have nothing to do with images, so that nobody looks for them in vain."""
    names = sorted(each.shown_rel for each in rest)
    if not names:
        return []
    head = "1 other file is" if len(names) == 1 else f"{len(names):,} other files are"
    return [f"{head} passed over, being neither image nor caption nor a list of them: {few(names)}."]

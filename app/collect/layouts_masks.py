"""Masks beside pictures: OneTrainer's `-masklabel.png`, and folders of masks as ai-toolkit and kohya have them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from app.collect.entries import Leftover, Patch, Said, Tree, few
from app.collect.files import Found
from app.collect.refusals import Refused
from app.collect.sidecars import folded

MASK_END = "-masklabel"
CONDITION_END = "-condlabel"
MASK_FOLDERS = ("mask", "masks", "_mask", "_masks")
MASK_FOLDER_ENDS = ("_mask", "_masks", "-mask", "-masks")
PASSED_OVER = ("_controls", ".thumbnails", "_latent_cache", "_t_e_cache")


def read(tree: Tree) -> Said:
    """Find masks and say whose they are; a mask without a picture is left over."""
    said = Said()
    for folder in list(tree.folders):
        if set(folder.parts) & set(PASSED_OVER):
            said.used |= {each.rel for each in tree.folders[folder]}
            if pictures := tree.pictures(folder):
                said.notes.append(_unused(pictures, f"in {folder.as_posix()}"))
            continue
        _labels(tree, folder, said)
        if is_mask_folder(folder):
            join_masks(tree, folder, _beside(tree, folder), said)
    return said


def is_mask_folder(folder: PurePosixPath) -> bool:
    """Whether a folder is called like one of masks."""
    name = folder.name.lower()
    return name in MASK_FOLDERS or name.endswith(MASK_FOLDER_ENDS)


def _labels(tree: Tree, folder: PurePosixPath, said: Said) -> None:
    stems = {each.rel.stem: each for each in tree.pictures(folder)}
    count = 0
    conditions = [each for bare, each in stems.items() if bare.endswith(CONDITION_END)]
    if conditions:
        said.used |= {each.rel for each in conditions}
        said.notes.append(_unused(conditions, f"called …{CONDITION_END}"))
    for bare, each in stems.items():
        if not bare.endswith(MASK_END):
            continue
        said.used.add(each.rel)
        owner = stems.get(bare.removesuffix(MASK_END))
        if owner is None:
            words = f"{each.shown} is a mask, but its image is not here."
            said.leftovers.append(Leftover(each, Refused("F09", words, "Add the image beside it.")))
        else:
            said.say(owner.rel, Patch(mask=each))
            count += 1
    if count:
        said.layouts.append(f"OneTrainer masks: {count}")


def _unused(pictures: Sequence[Found], where: str) -> str:
    many = len(pictures) > 1
    head = f"{len(pictures):,} images {where} are control images" if many else f"1 image {where} is a control image"
    names = few(each.shown for each in pictures)
    way_out = "To have it as an image of its own, rename it or move it elsewhere."
    return f"{head} of another tool, which nothing here trains with: {names}. {way_out}"


def _beside(tree: Tree, folder: PurePosixPath) -> list[PurePosixPath]:
    """The folders whose pictures a folder of masks may belong to, the likeliest first."""
    name = folder.name
    for end in MASK_FOLDER_ENDS:
        if name.lower().endswith(end) and len(name) > len(end):
            return [folder.parent / name[: -len(end)]]
    siblings = [each for each in tree.folders if each.parent == folder.parent and each != folder and each.name]
    return [folder.parent, *siblings]


def join_masks(tree: Tree, masks: PurePosixPath, folders: list[PurePosixPath], said: Said) -> None:
    """Give each picture of the folders the mask of its name; unless most masks find one, they are pictures."""
    found: list[tuple[Found, Found]] = []
    own = tree.pictures(masks)
    for folder in folders:
        stems = {folded(each.rel.stem): each for each in tree.pictures(folder)}
        found += [(mask, stems[folded(mask.rel.stem)]) for mask in own if folded(mask.rel.stem) in stems]
    joined = {mask.rel for mask, _ in found}
    if len(joined) * 2 < len(own) or not joined:
        return
    for mask, picture in found:
        said.say(picture.rel, Patch(mask=mask))
    for mask in own:
        said.used.add(mask.rel)
        if mask.rel not in joined:
            words = f"{mask.shown_rel} is a mask, but its image is not here."
            said.leftovers.append(Leftover(mask, Refused("F09", words, "Add the image, or leave the mask out.")))
    said.layouts.append(f"masks in {masks.name}: {len(joined)}")

"""From an animation of the project to the tasks of an import, one for each frame that is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from sqlalchemy.orm import Session

from app.collect import blobs
from app.collect.decode_child import Measured
from app.collect.decoders import Decoders, Stuck
from app.collect.files import Found
from app.collect.frames import ON_ITS_OWN, FrameWish
from app.collect.gather import Gathered, RefusedTask, Task, new_image
from app.collect.refusals import Refused
from app.collect.sidecars import Words
from app.collect.sources import Clip, FramesSource
from app.config import Settings
from app.errors import Invalid
from app.store.animations import Animation, by_id, frame_stems

MOST_FRAMES = 10_000
FEWEST_DIGITS = 3


@dataclass(frozen=True)
class Choice:
    """Which frames are wanted: every n-th from the first on, so many of each animation are looked at at most."""

    every: int = 1
    most: int = 100
    skips_alike: bool = True
    takes_caption: bool = False


def checked(choice: Choice) -> Choice:
    """Return the choice where it makes sense. Raises Invalid naming the field."""
    if not 1 <= choice.every <= MOST_FRAMES:
        raise Invalid(f"One of every {choice.every} frames is not possible.", f"Give 1 to {MOST_FRAMES:,}.", "every")
    if not 1 <= choice.most <= MOST_FRAMES:
        raise Invalid(f"{choice.most} frames are not possible.", f"Give 1 to {MOST_FRAMES:,}.", "most")
    return choice


def frames_source(session: Session, project_id: int, image_ids: Sequence[int], choice: Choice) -> FramesSource:
    """Describe the import of frames, with names settled for good. Raises Invalid when none is an animation."""
    chosen = [each for each in by_id(session, image_ids) if each.project_id == project_id]
    if not chosen:
        raise Invalid("None of these images is an animation.", "Choose images with more than one frame.")
    stems = frame_stems(session, project_id, chosen)
    clips = [
        Clip(
            image_id=each.image_id,
            name=each.name,
            sha256=each.sha256,
            extension=each.extension,
            frames=each.frames,
            stem=stem,
        )
        for each, stem in zip(chosen, stems, strict=True)
    ]
    return FramesSource(clips=tuple(clips), **vars(checked(choice)))


def looked_at(frames: int, choice: Choice) -> range:
    """The frames of an animation that are looked at, counted from 1."""
    return range(1, frames + 1, choice.every)[: choice.most]


def frame_name(clip: Clip, number: int) -> str:
    """What a frame is called: three digits at least, and so many that names sort as frames follow."""
    digits = max(FEWEST_DIGITS, len(str(clip.frames)))
    return f"{clip.stem}-frame-{number:0{digits}d}.png"


class Projector:
    """Shows the frames of one animation one by one; behind a frame that took its decoder along none is tried."""

    def __init__(self, decoders: Decoders, settings: Settings, clip: Clip, choice: Choice) -> None:
        self._decoders = decoders
        self._path = blobs.blob_path(settings, clip.sha256, clip.extension)
        self._choice = choice
        self._stuck_at = 0

    def frame(self, number: int, name: str) -> Measured:
        """Have a frame composed and published. Raises Refused, Unavailable."""
        if self._stuck_at and number > self._stuck_at:
            words = f"Frame {number} lies behind frame {self._stuck_at}, which no decoder survived."
            raise Refused("F01", words, ON_ITS_OWN)
        wish = FrameWish(number=number, every=self._choice.every, skips_alike=self._choice.skips_alike)
        try:
            return self._decoders.frame(self._path, name, wish)
        except Stuck:
            self._stuck_at = number
            raise


@dataclass(frozen=True)
class FrameTask:
    """One frame of an animation; it inherits where it came from, what it is used for and, if wanted, its words."""

    name: str
    number: int
    parent: Animation
    takes_caption: bool
    projector: Projector = field(repr=False)

    def gather(self) -> Gathered:
        """Have the frame composed."""
        try:
            measured = self.projector.frame(self.number, self.name)
        except Refused as refusal:
            return Gathered(self.name, refusal=refusal)
        parent = self.parent
        new = replace(
            new_image(measured, self.name),
            # On the other side of a split it would be the same picture as one that must not be trained on.
            split=parent.split,
            origin=replace(parent.origin, parent_id=parent.image_id),
        )
        return Gathered(self.name, None, new, self._words(), notes=measured.notes)

    def _words(self) -> tuple[Words, ...]:
        caption = self.parent.caption
        if caption is None or not self.takes_caption:
            return ()
        return (Words(caption.text, caption.raw, caption.encoding, caption.came_from or self.parent.name),)


def frame_tasks(
    source: FramesSource, parents: Sequence[Animation], decoders: Decoders, settings: Settings
) -> list[Task]:
    """List the frames of an import; an animation that is gone from the project by now is one refusal."""
    choice = Choice(source.every, source.most, source.skips_alike, source.takes_caption)
    here = {each.image_id: each for each in parents}
    tasks: list[Task] = []
    for clip in source.clips:
        parent = here.get(clip.image_id)
        if parent is None:
            tasks.append(_gone(clip, settings))
            continue
        projector = Projector(decoders, settings, clip, choice)
        tasks += [
            FrameTask(frame_name(clip, number), number, parent, choice.takes_caption, projector)
            for number in looked_at(clip.frames, choice)
        ]
    return tasks


def _gone(clip: Clip, settings: Settings) -> RefusedTask:
    words = f"{clip.name} is no longer in the project, so its frames are left out."
    refusal = Refused("F01", words, "Undo its removal, then try again.")
    path = blobs.blob_path(settings, clip.sha256, clip.extension)
    return RefusedTask(Found(PurePosixPath(f"{clip.stem}.{clip.extension}"), path), refusal)

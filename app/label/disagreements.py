"""Where captions and models disagree in a project, kept in memory and brought up to date image by image."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from app.contract.suggestions import tag_key
from app.label.rows import Row, Table
from app.label.suggestions import Seen, TagCount, View, disagreeing

VIEWS: tuple[View, ...] = ("missing", "doubted")
ByImage = dict[int, tuple[Seen, ...]]


class Disagreements:
    """The disagreements of one project by tag; after an edit only the images that it touched are read again."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[int, Row] = {}
        self._seen: dict[int, dict[int, Seen]] = {}
        self._tags: dict[View, dict[str, ByImage]] = {view: {} for view in VIEWS}
        self._tags_of: dict[int, dict[View, tuple[str, ...]]] = {}
        self._counts: dict[View, dict[str, TagCount]] = {view: {} for view in VIEWS}
        self._ranked: dict[View, list[TagCount]] = {}

    @property
    def ids(self) -> tuple[int, int]:
        """How many suggestions are known, and the sum of their ids, by which a lost one is noticed."""
        with self._lock:
            known = [each for seen in self._seen.values() for each in seen]
        return len(known), sum(known)

    def renew(self, table: Table, seen: Iterable[Seen] = (), dropped: Iterable[Seen] = ()) -> None:
        """Bring it up to the captions of a table, and to suggestions that are new or changed, or were dismissed."""
        with self._lock:
            stale = {image_id for image_id, row in table.by_id.items() if self._rows.get(image_id) is not row}
            gone = self._rows.keys() - table.by_id.keys()
            for each in dropped:
                self._seen.get(each.image_id, {}).pop(each.id, None)
                stale.add(each.image_id)
            for each in seen:
                self._seen.setdefault(each.image_id, {})[each.id] = each
                stale.add(each.image_id)
            for image_id in gone:
                self._seen.pop(image_id, None)
            self._rows = table.by_id
            for image_id in stale | gone:
                self._read(image_id)
            if stale or gone:
                self._ranked.clear()

    def counts(self, view: View) -> Sequence[TagCount]:
        """The tags over which they disagree, the most frequent first."""
        with self._lock:
            if view not in self._ranked:
                counts, tags = self._counts[view], self._tags[view]
                for key in tags.keys() - counts.keys():
                    counts[key] = _counted(key, tags[key])
                self._ranked[view] = sorted(
                    counts.values(), key=lambda each: (-each.images, -each.confidence, each.key)
                )
            return self._ranked[view]

    def of_tag(self, view: View, tag: str) -> Mapping[int, Sequence[Seen]]:
        """The suggestions of one tag over which they disagree, by image."""
        with self._lock:
            return dict(sorted(self._tags[view].get(tag_key(tag), {}).items()))

    def scores(self, tag: str) -> Mapping[int, Sequence[Seen]]:
        """What models said of one tag, by image, whether captions agree or not."""
        key = tag_key(tag)
        with self._lock:
            same = {
                image_id: [each for each in seen.values() if each.kind == "tag" and tag_key(each.text) == key]
                for image_id, seen in self._seen.items()
            }
        return {image_id: seen for image_id, seen in same.items() if seen}

    def _read(self, image_id: int) -> None:
        """Take the image out of the tags it stood under, and put it where it belongs now."""
        for view, keys in self._tags_of.pop(image_id, {}).items():
            for key in keys:
                by_image = self._tags[view][key]
                del by_image[image_id]
                self._counts[view].pop(key, None)
                if not by_image:
                    del self._tags[view][key]
        row, seen = self._rows.get(image_id), self._seen.get(image_id)
        if row is None or not seen:
            return
        under: dict[View, tuple[str, ...]] = {}
        for view in VIEWS:
            found = _by_key(disagreeing(view, row.reading, seen.values()))
            for key, here in found.items():
                self._tags[view].setdefault(key, {})[image_id] = tuple(here)
                self._counts[view].pop(key, None)
            under[view] = tuple(found)
        self._tags_of[image_id] = under


def _by_key(seen: Iterable[Seen]) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {}
    for each in seen:
        found.setdefault(tag_key(each.text), []).append(each)
    return found


def _counted(key: str, by_image: ByImage) -> TagCount:
    """Count one tag; it is written as in the suggestion that came first."""
    every = [each for seen in by_image.values() for each in seen]
    first = min(every)
    return TagCount(key, first.text, first.category, len(by_image), sum(each.confidence for each in every) / len(every))

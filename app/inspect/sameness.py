"""Rules of sameness: equal files, alike images, equal words, copies on both sides of a split."""

from collections import defaultdict
from collections.abc import Iterator

from app.collect.duplicates import SAME_MOST, Settled, groups
from app.contract.captions import tags
from app.inspect.findings import Facts, Finding, Severity, image_page, named
from app.store.images import ImageRow

LARGE_GROUP_SHARE = 0.1
LARGE_GROUP_LEAST = 3
ALIKE_WORDS = 0.9
# So few tags agree by chance.
FEWEST_TAGS = 4
# Every caption is compared with every other up to here; above, only equal sets of tags are told.
COMPARED_MOST = 1500


def equal_files(facts: Facts) -> Iterator[Finding]:
    """Images with the same bytes."""
    by_hash: dict[str, list[ImageRow]] = defaultdict(list)
    for row in facts.rows:
        by_hash[row.sha256].append(row)
    for rows in by_hash.values():
        if len(rows) > 1:
            reason = f"{named([row.name for row in rows])} are the same file."
            yield Finding(
                "equal-files", "error", rows[0].name, reason, "Remove all but one.", rows[0].id, "D01",
                facts.page("images"), tuple(row.id for row in rows),
            )  # fmt: skip


def alike(facts: Facts) -> Iterator[Finding]:
    """Images that are almost the same, while nobody has decided about them."""
    settled = Settled(facts.decisions)
    waiting = [pair for pair in facts.pairs if not settled.says(pair.low, pair.high)]
    by_hash = {row.sha256: row for row in facts.rows}
    joined = groups(waiting, ())
    members: dict[str, list[ImageRow]] = defaultdict(list)
    nearest: dict[str, int] = {}
    for pair in waiting:
        root = joined.root(pair.low)
        nearest[root] = min(pair.distance, nearest.get(root, pair.distance))
    for sha256, row in by_hash.items():
        if (root := joined.root(sha256)) in nearest:
            members[root].append(row)
    for root, rows in members.items():
        is_large = len(rows) >= LARGE_GROUP_LEAST and len(rows) > LARGE_GROUP_SHARE * len(facts.rows)
        severity: Severity = "warning" if nearest[root] <= SAME_MOST or is_large else "hint"
        words = "are almost the same" if nearest[root] <= SAME_MOST else "look alike"
        share = f", {len(rows) / len(facts.rows):.0%} of all" if is_large else ""
        yield Finding(
            "alike", severity, rows[0].name, f"{named([row.name for row in rows])} {words}{share}.",
            "Decide which of them to keep.", rows[0].id, "D02", facts.page("duplicates"),
            tuple(row.id for row in rows),
        )  # fmt: skip


def same_caption(facts: Facts) -> Iterator[Finding]:
    """Images that share one text, word for word."""
    by_text: dict[str, list[ImageRow]] = defaultdict(list)
    for row in facts.rows:
        if text := (row.caption or "").strip():
            by_text[text].append(row)
    for rows in by_text.values():
        if len(rows) > 1:
            yield Finding(
                "same-caption", "hint", rows[0].name, f"{len(rows)} images share its caption word for word.",
                "Describe what differs between them.", rows[0].id, "D03", image_page(rows[0]),
                tuple(row.id for row in rows),
            )  # fmt: skip


def alike_caption(facts: Facts) -> Iterator[Finding]:
    """Images whose captions hold nearly the same tags."""
    told = [(row, frozenset(tag.casefold() for tag in tags(row.caption or ""))) for row in facts.rows]
    rich = [(row, words) for row, words in told if len(words) >= FEWEST_TAGS]
    for row, other in _alike_pairs(rich):
        if (row.caption or "").strip() != (other.caption or "").strip():
            yield Finding(
                "alike-caption", "hint", row.name, f"Its caption says nearly the same as that of {other.name}.",
                "Describe what differs between them.", row.id, "D03", image_page(row), (row.id, other.id),
            )  # fmt: skip


def _alike_pairs(rich: list[tuple[ImageRow, frozenset[str]]]) -> Iterator[tuple[ImageRow, ImageRow]]:
    """Each image with the first before it that says nearly the same."""
    if len(rich) > COMPARED_MOST:
        first: dict[frozenset[str], ImageRow] = {}
        for row, words in rich:
            if (earlier := first.setdefault(words, row)) is not row:
                yield row, earlier
        return
    for place, (row, words) in enumerate(rich):
        for earlier, others in rich[:place]:
            if len(words & others) >= ALIKE_WORDS * len(words | others):
                yield row, earlier
                break


def copies_on_both_sides(facts: Facts) -> Iterator[Finding]:
    """A held-out image with a near copy among those that train."""
    joined = groups(facts.pairs, facts.decisions)
    training: dict[str, ImageRow] = {}
    for row in facts.training:
        training.setdefault(joined.root(row.sha256), row)
    for row in facts.rows:
        twin = training.get(joined.root(row.sha256)) if row.split == "held-out" else None
        if twin is not None:
            yield Finding(
                "copies-on-both-sides", "error", row.name,
                f"It is held out, but {twin.name}, which trains, is nearly the same; so it tells nothing.",
                "Hold out another, or both.", row.id, "P01", facts.page("held-out"), (row.id, twin.id),
            )  # fmt: skip

"""Rules of amounts: how many images there are, and how often a run would look at them."""

from collections.abc import Iterator

from app.contract.purposes import PURPOSES, PurposeKey
from app.inspect.findings import Facts, Finding

FEW_ANYWAY = 10
FEW: dict[PurposeKey, int] = {"character": 12, "concept": 15, "style": 20}
PLENTY: dict[PurposeKey, int] = {"character": 50, "concept": 60, "style": 150}
VIEWS: dict[PurposeKey, int] = {"character": 1500, "concept": 2000, "style": 2000}
VIEWS_MARGIN = 0.5


def too_few(facts: Facts) -> Iterator[Finding]:
    """A dataset too small to learn from without copying, or needlessly large."""
    count, href = len(facts.training), facts.page("images")
    few = FEW[facts.purpose] if facts.purpose else FEW_ANYWAY
    kind = f"a {PURPOSES[facts.purpose].label.lower()}" if facts.purpose else "a LoRA"
    if not facts.rows:
        yield Finding("too-few", "error", "dataset", "It has no images.", "Add images.", None, "N01", href)
    elif count < few:
        reason = f"{count} {'image trains' if count == 1 else 'images train'}; under {few} {kind} tends to be copied."
        yield Finding("too-few", "warning", "dataset", reason, "Add varied images.", None, "N01", href)
    elif facts.purpose and count > PLENTY[facts.purpose]:
        reason = f"{count} images train; {PLENTY[facts.purpose]} good ones are plenty for {kind}."
        yield Finding("many", "hint", "dataset", reason, "Keep the best if training is slow.", None, "N01", href)


def odd_views(facts: Facts) -> Iterator[Finding]:
    """A plan that looks at pictures far less or far more often than is usual."""
    if facts.views is None or facts.purpose is None:
        return
    usual = VIEWS[facts.purpose]
    if abs(facts.views - usual) > VIEWS_MARGIN * usual:
        words = "fewer" if facts.views < usual else "more"
        reason = f"The plan looks at {facts.views:,} pictures in all, far {words} than the usual {usual:,}."
        fix = "Change the steps, the repeats or the batch."
        yield Finding("odd-views", "hint", "dataset", reason, fix, None, "N02", facts.page("train"))

"""Comparisons in filters: `>512`, `512..768`, `85%`, `3:2`."""

import re
from dataclasses import dataclass
from math import inf

NUMBER = r"\d{1,12}(?:\.\d{1,9})?(?::\d{1,5})?"
COMPARED = re.compile(rf"(>=|<=|==|!=|=|<|>)?\s*({NUMBER})(%?)")
BETWEEN = re.compile(rf"({NUMBER})\.\.({NUMBER})(%?)")
CLOSENESS = 5e-3


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`; the flags say which ends count, whether it is turned round or in per cent."""

    least: float
    most: float
    has_least: bool = True
    has_most: bool = True
    is_not: bool = False
    is_percent: bool = False

    def holds(self, number: float) -> bool:
        """Whether a number lies in it."""
        above = number >= self.least if self.has_least else number > self.least
        below = number <= self.most if self.has_most else number < self.most
        return (above and below) is not self.is_not


def read_range(text: str) -> Range | None:
    """Read a comparison; None when it is none."""
    if found := BETWEEN.fullmatch(text.strip()):
        return Range(_number(found[1]), _number(found[2]), is_percent=bool(found[3]))
    found = COMPARED.fullmatch(text.strip())
    if found is None:
        return None
    number, is_percent = _number(found[2]), bool(found[3])
    match found[1]:
        case ">=":
            return Range(number, inf, is_percent=is_percent)
        case ">":
            return Range(number, inf, has_least=False, is_percent=is_percent)
        case "<=":
            return Range(-inf, number, is_percent=is_percent)
        case "<":
            return Range(-inf, number, has_most=False, is_percent=is_percent)
        case _:
            # 1.33 is meant to find 4:3 too.
            room = CLOSENESS if "." in found[2] or ":" in found[2] else 0.0
            return Range(number - room, number + room, is_not=found[1] == "!=", is_percent=is_percent)


def _number(text: str) -> float:
    over, _, under = text.partition(":")
    return float(over) / (float(under) or inf) if under else float(over)

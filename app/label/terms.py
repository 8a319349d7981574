"""What each key of the filter language looks at: terms become tests of one image."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.contract.captions import PLACEHOLDER, has_trigger
from app.label.filters import FilterError, Term, Test, read_filter
from app.label.numbers import Range, read_range
from app.label.rows import Row, Table, fold

NEAR_BITS = 10
TYPO_EDITS = 2
SHORTEST_TYPO = 4
WORD = re.compile(r"\w+")

NUMBERS: dict[str, Callable[[Row], float]] = {
    "w": lambda row: row.size.width,
    "h": lambda row: row.size.height,
    "mp": lambda row: row.size.area / 1e6,
    "ar": lambda row: row.size.aspect,
    "repeats": lambda row: row.stored.repeats,
    "lines": lambda row: row.lines,
    "tags": lambda row: len(row.tags),
    "chars": lambda row: len(row.caption),
}
TEXTS: dict[str, Callable[[Row], str]] = {
    "caption": lambda row: row.folded,
    "name": lambda row: row.folded_name,
    "src": lambda row: row.stored.source.casefold(),
    "license": lambda row: row.stored.licence.casefold(),
    "author": lambda row: row.stored.author.casefold(),
}
HAS: dict[str, Test] = {
    "caption": lambda row: row.has_words,
    "mask": lambda row: (
        row.recipe.mask is not None or (row.recipe.alpha == "mask" and bool(row.facts.get("uses_alpha")))
    ),
    "crop": lambda row: row.recipe.crop is not None,
    "alpha": lambda row: bool(row.facts.get("has_alpha")),
    "prompt": lambda row: bool(row.facts.get("prompt")),
    "source": lambda row: bool(row.stored.source),
    "author": lambda row: bool(row.stored.author),
    "license": lambda row: bool(row.stored.licence),
    "wildcard": lambda row: any("{" in tag and "|" in tag for tag in row.tags),
}
IS: dict[str, Test] = {
    "tagged": lambda row: row.has_words,
    "untagged": lambda row: not row.has_words,
    "reviewed": lambda row: row.stored.reviewed_by is not None,
    "unreviewed": lambda row: row.stored.reviewed_by is None,
    "edited": lambda row: row.writer == "person",
    "masked": HAS["mask"],
    "cropped": HAS["crop"],
    "rotated": lambda row: row.recipe.quarter_turns != 0 or row.facts.get("orientation", 1) != 1,
    "mirrored": lambda row: row.recipe.mirrored or row.recipe.flipped,
    "noai": lambda row: row.stored.no_ai,
}
IS_OF_TABLE = ("dup", "upscaled", "error")
HAS_OF_TABLE = ("trigger", "suggestion")
ALIASES = {"licence": "license", "source": "src", "sharp": "blur"}
BUCKET_SHAPES = ("portrait", "landscape", "square", "upscaled", "cropped")
BUCKET_LOSS = 0.15
SPLITS = {"train": "train", "val": "held-out", "held-out": "held-out", "reg": "regularisation"} | {
    "regularisation": "regularisation"
}
TRIGGER_PLACES = ("missing", "present", "first", "late", "typo")


def matching(table: Table, text: str) -> list[int]:
    """The ids of the images that a filter finds, in their order. Raises FilterError."""
    test = read_filter(text, table, read_term)
    return [row.id for row in table.rows if test(row)]


def read_term(table: Table, term: Term) -> Test:
    """Make the test of one term. Raises FilterError for an unknown key or a value that fits it not."""
    term = replace(term, key=ALIASES.get(term.key, term.key))
    if term.key == "":
        return _words(term)
    reader = READERS.get(term.key)
    if reader is None:
        word = f"{term.key}:{term.value}"
        raise FilterError(
            f'There is no key “{term.key}:”. Write "{word}" in quotes to look for these letters; '
            f"the keys are {', '.join(sorted(READERS))}.",
            term.column - len(term.key) - 1 - term.is_quoted,
        )
    if not term.value.strip():
        raise FilterError(f"Say what “{term.key}:” should find, such as {EXAMPLES[term.key]}.", term.column)
    return reader(table, term)


def _words(term: Term) -> Test:
    finds = pattern(term.value)
    return lambda row: finds(row.folded) or finds(row.folded_name)


def _text(_table: Table, term: Term) -> Test:
    read, finds = TEXTS[term.key], pattern(term.value)
    return lambda row: finds(read(row))


def _tag(_table: Table, term: Term) -> Test:
    key = fold(term.value.strip())
    if not re.search(r"[*?]", key):
        return lambda row: key in row.keys
    finds = pattern(key, is_whole=True)
    return lambda row: any(map(finds, row.keys))


def _number(_table: Table, term: Term) -> Test:
    read, wanted = NUMBERS[term.key], _range(term)
    return lambda row: wanted.holds(read(row))


def _tokens(table: Table, term: Term) -> Test:
    wanted = _range(term)
    if not table.tokens and table.rows:
        raise FilterError("No tokenizer is at hand to count tokens with. Choose a base model first.", term.column)
    return lambda row: wanted.holds(table.tokens.get(row.id, 0))


def _blur(_table: Table, term: Term) -> Test:
    wanted = _range(term)

    def holds(row: Row) -> bool:
        sharpness = row.facts.get("sharpness")
        return isinstance(sharpness, int | float) and wanted.holds(sharpness)

    return holds


def _frequency(table: Table, term: Term) -> Test:
    wanted = _range(term)
    total = max(1, len(table.rows))
    own = fold(table.trigger_word)
    scale = 100 / total if wanted.is_percent else 1
    found = {key for key, count in table.frequencies.items() if key != own and wanted.holds(count * scale)}
    return lambda row: not found.isdisjoint(row.keys)


def _named(tests: dict[str, Test]) -> "Reader":
    def read(_table: Table, term: Term) -> Test:
        return tests[_choice(term, tuple(tests))]

    return read


def _is(table: Table, term: Term) -> Test:
    choice = _choice(term, (*IS, *IS_OF_TABLE))
    if choice == "error":
        graves = {image_id for image_id, marks in table.marks.items() if "error" in marks}
        return lambda row: row.id in graves
    if choice == "dup":
        return lambda row: row.id in table.twin_ids
    if choice == "upscaled":
        return lambda row: table.place(row).upscaled
    return IS[choice]


def _finding(table: Table, term: Term) -> Test:
    finds = pattern(term.value.strip(), is_whole=True)
    found = {image_id for image_id, marks in table.marks.items() if any(map(finds, marks))}
    return lambda row: row.id in found


def _has(table: Table, term: Term) -> Test:
    choice = _choice(term, (*HAS, *HAS_OF_TABLE))
    if choice == "trigger":
        return lambda row: row.has_trigger(table.trigger_word)
    if choice == "suggestion":
        return lambda row: row.id in table.suggested
    return HAS[choice]


def _split(_table: Table, term: Term) -> Test:
    wanted = SPLITS[_choice(term, tuple(SPLITS))]
    return lambda row: row.stored.split == wanted


def _by(_table: Table, term: Term) -> Test:
    value = term.value.casefold()
    if value in ("person", "model", "import"):
        return lambda row: row.writer == value
    finds = pattern(value)
    return lambda row: row.has_words and finds(row.stored.by.casefold())


def _bucket(table: Table, term: Term) -> Test:
    value = term.value.casefold().replace("×", "x")
    if found := re.fullmatch(r"(\d{1,5})x(\d{1,5})", value):
        width, height = int(found[1]), int(found[2])
        return lambda row: (size := table.place(row).bucket).width == width and size.height == height
    if value not in BUCKET_SHAPES:
        raise FilterError(f"A bucket is a size like 512x768, or {_either(BUCKET_SHAPES)}.", term.column)
    shapes: dict[str, Test] = {
        "portrait": lambda row: table.place(row).bucket.aspect < 1,
        "landscape": lambda row: table.place(row).bucket.aspect > 1,
        "square": lambda row: table.place(row).bucket.aspect == 1,
        "upscaled": lambda row: table.place(row).upscaled,
        "cropped": lambda row: table.place(row).lost > BUCKET_LOSS,
    }
    return shapes[value]


def _trigger(table: Table, term: Term) -> Test:
    choice = _choice(term, TRIGGER_PLACES)
    word = table.trigger_word
    if not word:
        raise FilterError("The project has no trigger word to look for.", term.column)
    if choice == "typo":
        misspelled = _Misspelled(word.casefold())
        return lambda row: any(misspelled.holds(each) for each in WORD.findall(row.folded))
    if choice == "missing":
        return lambda row: not row.has_trigger(word)
    if choice == "present":
        return lambda row: row.has_trigger(word)
    if choice == "first":
        return lambda row: _leads(row, word)
    return lambda row: row.has_trigger(word) and not _leads(row, word)


def _leads(row: Row, word: str) -> bool:
    return bool(row.tags) and (has_trigger(row.tags[0], word) or bool(PLACEHOLDER.search(row.tags[0])))


def _near(table: Table, term: Term) -> Test:
    if not (term.value.isascii() and term.value.isdigit() and len(term.value) < 19):
        raise FilterError("near: wants the number of an image, such as near:12.", term.column)
    row = table.by_id.get(int(term.value))
    if row is None:
        raise FilterError(f"There is no image {term.value} in this project.", term.column)
    wanted = row.hashes

    def holds(other: Row) -> bool:
        if other is row:
            return True
        return any((one ^ two).bit_count() <= NEAR_BITS for one in wanted for two in other.hashes[:1])

    return holds


class _Misspelled:
    """Tells near spellings of the trigger word; each word of a dataset is measured once."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._known: dict[str, bool] = {}

    def holds(self, other: str) -> bool:
        """Whether a word is nearly, but not quite, the trigger word."""
        if other not in self._known:
            self._known[other] = other != self._word and is_near_spelling(other, self._word)
        return self._known[other]


def is_near_spelling(one: str, other: str) -> bool:
    """Whether two words differ by at most two letters, of which short words have too few to tell."""
    most = TYPO_EDITS if min(len(one), len(other)) > SHORTEST_TYPO else 1
    if min(len(one), len(other)) < SHORTEST_TYPO or abs(len(one) - len(other)) > most:
        return False
    return edits(one, other) <= most


def edits(one: str, other: str) -> int:
    """How many letters to add, drop, change or swap with the next to get from one word to another."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]


@dataclass(frozen=True)
class _Glob:
    """Letters in which `*` stands for any and `?` for one; parts, each with its length, are found one by one."""

    parts: tuple[tuple[re.Pattern[str], int], ...]
    is_whole: bool

    def finds(self, text: str) -> bool:
        """Whether the text holds, or is as a whole, what is looked for."""
        at = 0
        for place, (part, length) in enumerate(self.parts):
            if self.is_whole and place == len(self.parts) - 1:
                start = len(text) - length
                return start >= at and (place > 0 or start == 0) and part.fullmatch(text, start) is not None
            found = part.match(text) if self.is_whole and place == 0 else part.search(text, at)
            if found is None:
                return False
            at = found.end()
        return True


def pattern(value: str, *, is_whole: bool = False) -> Callable[[str], bool]:
    r"""Return what finds a value in casefolded text; `*` and `?` are wildcards, `\*` and `\?` the letters."""
    folded = value.casefold()
    if not re.search(r"[*?]", folded):
        return (lambda text: text == folded) if is_whole else (lambda text: folded in text)
    parts: list[list[str]] = [[]]
    for token in re.findall(r"\\[*?]|.", folded, re.DOTALL):
        if token == "*":
            parts.append([])
        else:
            parts[-1].append("." if token == "?" else re.escape(token[-1]))
    made = tuple((re.compile("".join(part), re.DOTALL), len(part)) for part in parts)
    return _Glob(made, is_whole).finds


def _range(term: Term) -> Range:
    found = read_range(term.value)
    if found is None or (found.is_percent and term.key != "df"):
        raise FilterError(
            f"“{term.value}” is no number to compare with. Write for example {EXAMPLES[term.key]}.", term.column
        )
    return found


def _choice(term: Term, choices: tuple[str, ...]) -> str:
    value = term.value.casefold()
    value = ALIASES.get(value, value) if ALIASES.get(value, "") in choices else value
    if value not in choices:
        raise FilterError(f"{term.key}: knows {_either(choices)}, not “{term.value}”.", term.column)
    return value


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


Reader = Callable[[Table, Term], Test]
READERS: dict[str, Reader] = {
    **dict.fromkeys(NUMBERS, _number),
    **dict.fromkeys(TEXTS, _text),
    "is": _is,
    "has": _has,
    "tag": _tag,
    "tokens": _tokens,
    "blur": _blur,
    "df": _frequency,
    "split": _split,
    "by": _by,
    "bucket": _bucket,
    "trigger": _trigger,
    "near": _near,
    "finding": _finding,
}
EXAMPLES = dict.fromkeys(NUMBERS, "w:>=512") | {
    "w": "w:>=512",
    "h": "h:<768",
    "mp": "mp:<0.5",
    "ar": "ar:>3:2",
    "repeats": "repeats:>1",
    "lines": "lines:>1",
    "tags": "tags:<5",
    "chars": "chars:>300",
    "tokens": "tokens:>75",
    "blur": "blur:<100",
    "df": "df:>85%",
    "caption": 'caption:"red hat"',
    "name": "name:portrait*",
    "src": "src:*.org",
    "license": "license:cc0",
    "author": "author:ann",
    "is": "is:untagged",
    "has": "has:mask",
    "tag": 'tag:"red hair"',
    "split": "split:val",
    "by": "by:model",
    "bucket": "bucket:512x768",
    "trigger": "trigger:missing",
    "near": "near:12",
    "finding": "finding:no-caption",
}

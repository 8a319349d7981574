"""The filter language: words and key:value terms, joined by AND (also unwritten), OR, NOT, `-` and parentheses."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.label.rows import Row, Table

MAX_LENGTH = 2000
MAX_DEPTH = 40
KEYWORDS = {"and": "AND", "or": "OR", "not": "NOT"}
KEYED = re.compile(r"([A-Za-z]+):(.*)", re.DOTALL)

Test = Callable[[Row], bool]


class FilterError(Exception):
    """A filter cannot be read; `column` counts from 0 into its text."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


@dataclass(frozen=True)
class Term:
    """One thing to look for; `key` is empty for a bare word, `column` is where its value begins."""

    key: str
    value: str
    column: int
    is_quoted: bool = False


@dataclass(frozen=True)
class Token:
    """A word, parenthesis, keyword or minus of a filter, where it begins, and where what is quoted in it begins."""

    kind: str
    text: str
    column: int
    quoted_from: int | None = None


TermReader = Callable[[Table, Term], Test]


def read_filter(text: str, table: Table, read_term: TermReader) -> Test:
    """Turn a filter into a test of rows; an empty one finds everything. Raises FilterError."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"A filter has at most {MAX_LENGTH} letters.", MAX_LENGTH)
    tokens = tokenize(text)
    if not tokens:
        return lambda _row: True
    return _Parser(tokens, len(text), table, read_term).whole()


def tokenize(text: str) -> list[Token]:
    """Cut a filter into tokens. Raises FilterError for an open quotation mark."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter.isspace():
            at += 1
        elif letter in "()":
            tokens.append(Token(letter, letter, at))
            at += 1
        elif letter == "-":
            tokens.append(Token("-", letter, at))
            at += 1
        else:
            token, at = _word(text, at)
            tokens.append(token)
    return tokens


def _word(text: str, start: int) -> tuple[Token, int]:
    """Read a word: up to a space or a parenthesis that it did not open; quotes may begin it or stand behind its key."""
    said: list[str] = []
    depth, at, quoted_from = 0, start, None
    while at < len(text) and not text[at].isspace():
        letter = text[at]
        if letter in "\"'" and (at == start or (text[at - 1] in ":=" and ":" in said)):
            quoted_from = len(said)
            inside, at = _quoted(text, at)
            said += inside
            break
        if letter == "(":
            depth += 1
        elif letter == ")":
            if depth == 0:
                break
            depth -= 1
        said.append(letter)
        at += 1
    word = "".join(said)
    is_keyword = quoted_from is None and word.casefold() in KEYWORDS
    return Token(KEYWORDS[word.casefold()] if is_keyword else "word", word, start, quoted_from), at


def _quoted(text: str, start: int) -> tuple[list[str], int]:
    mark, at = text[start], start + 1
    said: list[str] = []
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in "\"'\\":
            said.append(text[at + 1])
            at += 2
        elif text[at] == mark:
            return said, at + 1
        else:
            said.append(text[at])
            at += 1
    raise FilterError(f"This quotation mark is not closed: add {mark} at the end.", start)


class _Parser:
    """Reads tokens by descent: OR binds least, then AND, then NOT."""

    def __init__(self, tokens: Sequence[Token], end: int, table: Table, read_term: TermReader) -> None:
        self._tokens = tokens
        self._end = end
        self._table = table
        self._read_term = read_term
        self._at = 0
        self._depth = 0

    def whole(self) -> Test:
        """Read everything."""
        test = self._either()
        if (token := self._next) is not None:
            raise FilterError("This closing parenthesis has no opening one.", token.column)
        return test

    @property
    def _next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, kind: str) -> bool:
        token = self._next
        if token is None or token.kind != kind:
            return False
        self._at += 1
        return True

    def _either(self) -> Test:
        tests = [self._both()]
        while self._takes("OR"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while (token := self._next) is not None and token.kind not in ("OR", ")"):
            self._takes("AND")
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        is_wanted = True
        while (token := self._next) is not None and token.kind in ("NOT", "-"):
            self._at += 1
            is_wanted = not is_wanted
        test = self._atom()
        return test if is_wanted else lambda row: not test(row)

    def _atom(self) -> Test:
        token = self._next
        if token is None:
            raise FilterError("Something to look for is missing at the end.", self._end)
        self._at += 1
        if token.kind == "word":
            return self._read_term(self._table, read_word(token))
        if token.kind == "(":
            return self._inside(token)
        if token.kind == ")":
            raise FilterError("Something to look for is missing before this parenthesis.", token.column)
        raise FilterError(
            f'{token.kind} stands between two things to look for. Write "{token.text}" in quotes for the word.',
            token.column,
        )

    def _inside(self, opened: Token) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"Parentheses go at most {MAX_DEPTH} deep.", opened.column)
        test = self._either()
        if not self._takes(")"):
            raise FilterError("This parenthesis is not closed.", opened.column)
        self._depth -= 1
        return test


def read_word(token: Token) -> Term:
    """Tell a word's key from its value; what is quoted as a whole has none."""
    found = KEYED.fullmatch(token.text)
    if token.quoted_from == 0 or found is None:
        return Term("", token.text, token.column, token.quoted_from is not None)
    key = found[1].casefold()
    is_quoted = token.quoted_from is not None
    return Term(key, found[2], token.column + len(found[1]) + 1 + is_quoted, is_quoted)

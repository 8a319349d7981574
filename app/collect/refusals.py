"""Why a file is not taken in: a code to filter by, the reason, and the way out."""

from typing import Literal

from app.errors import Invalid

Code = Literal[
    "",
    "F01",
    "F02",
    "F03",
    "F05",
    "F06",
    "F07",
    "F08",
    "F09",
    "F10",
    "U01",
    "Q-caption",
    "Q-known",
    "alike",
    "stopped",
]
CODE_LABELS: dict[str, str] = {
    "": "nothing to note",
    "F01": "cannot be read",
    "F02": "name and format differ",
    "F03": "format not taken",
    "F05": "transparency",
    "F06": "converted when read",
    "F07": "too large",
    "F08": "name",
    "F09": "caption or mask without an image",
    "F10": "caption text",
    "U01": "address",
    "Q-caption": "two captions",
    "Q-known": "here with another caption",
    "alike": "nearly the same frame",
    "stopped": "import stopped",
}


class Refused(Invalid):
    """A file that is not taken in; `code` groups it with its like in the report."""

    def __init__(self, code: Code, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.code = code

    @property
    def words(self) -> str:
        """Reason and way out in one line."""
        return f"{self.message} {self.hint}".strip()

"""The four errors that a person may see; plain exceptions, so that every layer can raise them."""

from typing import ClassVar


class AppError(Exception):
    """Names the thing and the reason; `hint` says the way out, `field` the form field to show it beside."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, message: str, hint: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.field = field


class NotFound(AppError):
    """What the address names does not exist."""

    status = 404
    title = "Not found"


class Invalid(AppError):
    """What was sent cannot be used as it is."""

    status = 422
    title = "Not accepted"


class Conflict(AppError):
    """It was fine by itself, but something changed or is in the way."""

    status = 409
    title = "In the way"


class Unavailable(AppError):
    """The studio lacks something right now: a worker, a disk, a model."""

    status = 503
    title = "Not available now"

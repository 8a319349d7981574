"""Answer an error as a page, a partial or JSON, whichever was asked for."""

import errno
import logging
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from jinja2 import TemplateError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.errors import AppError, Invalid, Unavailable
from app.render import is_htmx, page, partial

log = logging.getLogger("lora_studio")


DISK_WORDS = {
    errno.ENOSPC: ("The disk is full, so nothing was saved.", "Make room, then try again."),
    errno.EDQUOT: ("Your share of the disk is used up, so nothing was saved.", "Make room, then try again."),
    errno.EROFS: ("The disk with the data folder may not be written.", "Make it writable, then try again."),
    errno.EACCES: ("A file of the data folder may not be used.", "Check who owns the data folder, then try again."),
    errno.EIO: ("The disk with the data folder does not answer.", "Check that it is still connected."),
}


@dataclass(frozen=True)
class ErrorContext:
    """What error.html and _error.html show."""

    status: int
    title: str
    message: str
    hint: str
    field: str | None


def install(app: FastAPI) -> None:
    """Let the app answer every error in our form."""
    app.add_exception_handler(AppError, answer_app_error)
    app.add_exception_handler(ClientDisconnect, answer_nobody)
    app.add_exception_handler(OSError, answer_disk_error)
    app.add_exception_handler(RequestValidationError, answer_validation_error)
    app.add_exception_handler(HTTPException, answer_http_error)
    app.add_exception_handler(Exception, answer_unexpected)


def answer_app_error(request: Request, error: Exception) -> Response:
    """Show one of the errors that the studio raises on purpose."""
    assert isinstance(error, AppError)
    return _answer(request, ErrorContext(error.status, error.title, error.message, error.hint, error.field))


def answer_nobody(request: Request, error: Exception) -> Response:
    """End a request whose sender left in the middle of it; nothing went wrong here, and nobody reads the answer."""
    assert isinstance(error, ClientDisconnect)
    return PlainTextResponse("The upload was cut off.", 400)


def answer_disk_error(request: Request, error: Exception) -> Response:
    """Say what the disk refuses, without the path; any other trouble of the system stays a mistake of ours."""
    if not isinstance(error, OSError) or error.errno not in DISK_WORDS:
        raise error
    log.error("%s %s: %s", request.method, request.url.path, error)
    message, hint = DISK_WORDS[error.errno]
    return _answer(request, ErrorContext(Unavailable.status, Unavailable.title, message, hint, None))


def answer_validation_error(request: Request, error: Exception) -> Response:
    """Show the first thing that a route's own types did not accept."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1]) if first["loc"] else None
    message = f"{field}: {first['msg']}." if field else f"{first['msg']}."
    shown = ErrorContext(422, Invalid.title, message, "Change the value and send it again.", field)
    return _answer(request, shown)


def answer_http_error(request: Request, error: Exception) -> Response:
    """Show what the router itself refuses, above all an address that leads nowhere."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    message, hint = str(error.detail), ""
    if status == HTTPStatus.NOT_FOUND:
        message, hint = (
            f"There is nothing at {request.url.path}.",
            "It may have been removed. Start from the projects.",
        )
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        message, hint = f"{request.url.path} does not take {request.method}.", "See /docs for what it takes."
    elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        message, hint = f"What was sent is larger than {request.url.path} takes.", "Send less at once."
    else:
        hint = "Change what was sent and try again."
    answer = _answer(request, ErrorContext(status, status.phrase.capitalize(), message, hint, None))
    answer.headers.update(error.headers or {})
    return answer


def answer_unexpected(request: Request, error: Exception) -> Response:
    """Show a mistake of ours by an id that leads to its line in the log, never by its insides."""
    mark = secrets.token_hex(4)
    # The server logs the stack right after this line.
    log.error("error %s at %s %s: %s", mark, request.method, request.url.path, type(error).__name__)
    message = f"LoRA Studio made a mistake here (error {mark})."
    hint = f"What you had saved is safe. The terminal that runs LoRA Studio says more beside {mark}."
    return _answer(request, ErrorContext(500, AppError.title, message, hint, None))


def _answer(request: Request, shown: ErrorContext) -> Response:
    if request.url.path.startswith("/api/"):
        error = {"message": shown.message, "hint": shown.hint, "field": shown.field}
        return JSONResponse({"error": error}, shown.status)
    try:
        if is_htmx(request):
            return partial(request, "error", shown, shown.status)
        return page(request, "error", shown, shown.status)
    except TemplateError:
        log.exception("the error page itself failed")
        return PlainTextResponse(f"{shown.title}. {shown.message} {shown.hint}", shown.status)

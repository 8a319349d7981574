"""Trade the token for a cookie, for those who open the studio in a browser."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.config import Settings
from app.render import page
from app.security import LOGIN_PATH, cookie_name, cookie_value, is_same

router = APIRouter()


@router.get(LOGIN_PATH, include_in_schema=False)
def login(request: Request, next: str = "/") -> Response:
    """Show the form."""
    return page(request, "login", {"next": own_path(next), "error": ""})


@router.post(LOGIN_PATH, include_in_schema=False, max_body_size=4096)
def enter(request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
    """Set the cookie and go on to where the person wanted to go; a wrong token shows the form again."""
    settings: Settings = request.app.state.settings
    if not settings.token:
        return RedirectResponse(own_path(next), 303)
    if not is_same(token.strip(), settings.token):
        reason = "This is not the token. It is the one that LoRA Studio was started with."
        return page(request, "login", {"next": own_path(next), "error": reason}, 401)
    answer = RedirectResponse(own_path(next), 303)
    answer.set_cookie(
        cookie_name(settings),
        cookie_value(settings.token),
        max_age=180 * 86400,
        httponly=True,
        samesite="strict",
    )
    return answer


def own_path(wanted: str) -> str:
    """Keep a path of ours, and turn everything that could lead elsewhere into the front page."""
    is_own = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    return wanted if is_own and wanted.isprintable() else "/"

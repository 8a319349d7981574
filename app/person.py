"""Who is at the browser: a name that a person gives once, kept in a cookie; no account, no secret."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request

NAME_COOKIE = "studio-name"
NOBODY = "you"
LONGEST = 60


def person_of(request: Request) -> str:
    """The name given in this browser, or `you` before one is."""
    name = " ".join(unquote(request.cookies.get(NAME_COOKIE, "")).split())
    return name[:LONGEST] or NOBODY


Person = Annotated[str, Depends(person_of)]

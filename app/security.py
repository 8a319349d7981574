"""The guard in front of everything: who may talk to the studio, and what every answer carries."""

import hashlib
import hmac
import ipaddress
import re
import socket
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.config import Settings
from app.render import page

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN_PATH = "/login"
# The login page needs its style sheet, and what lies there is the same in every copy of the studio.
STATIC_PATHS = "/static/"
OWN_HEADER = "x-lora-studio"
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
RESPONSE_HEADERS = {
    "x-content-type-options": "nosniff",
    # Not no-referrer: with it a browser sends `Origin: null` for our own plain forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
HOST_FORM = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    reason: str
    hint: str

    @property
    def text(self) -> str:
        """Reason and way out as one line."""
        return f"{self.reason} {self.hint}"


TOO_LARGE = Refusal(413, "What was sent is larger than LoRA Studio takes in one piece.", "Send less at once.")


class Guard:
    """Pure ASGI, so that a stream's disconnect passes through; outermost, so that nothing slips past."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._names = allowed_names(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refused request here; pass the others on, with our headers on what comes back."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                mark(MutableHeaders(scope=message))
            await send(message)

        refusal = self._refuse(scope)
        if refusal is None:
            await self._app(scope, receive, in_our_words(scope, receive, send_marked))
        else:
            await refusal_response(refusal, Request(scope))(scope, receive, send_marked)

    def _refuse(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        return (
            refuse_host(headers, self._names, self._settings)
            or refuse_fetch(scope["method"], headers)
            or refuse_stranger(scope, self._settings)
        )


def in_our_words(scope: Scope, receive: Receive, send: Send) -> Send:
    """Pass an answer on, but for the bare 413 by which the framework refuses a body before our routes see it."""
    is_replaced = False

    async def send_worded(message: Message) -> None:
        nonlocal is_replaced
        if message["type"] == "http.response.start" and message["status"] == 413 and is_bare(message):
            is_replaced = True
            await refusal_response(TOO_LARGE, Request(scope))(scope, receive, send)
        if not is_replaced:
            await send(message)

    return send_worded


def is_bare(message: Message) -> bool:
    """Whether the start of an answer announces plain text, which no answer of ours to an error is."""
    return Headers(raw=message["headers"]).get("content-type", "text/plain").startswith("text/plain")


def mark(headers: MutableHeaders) -> None:
    """Put our headers on an answer; a route may add a stricter policy, since browsers obey all of them."""
    headers.append("content-security-policy", POLICY)
    for name, value in RESPONSE_HEADERS.items():
        headers[name] = value


def allowed_names(settings: Settings) -> frozenset[str]:
    """Name the hosts we answer to: loopback, and with a token this machine's own name."""
    names = {"localhost", "127.0.0.1", "[::1]"}
    if settings.token:
        own = socket.gethostname().lower()
        names |= {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    return frozenset(names)


def refuse_host(headers: Headers, names: frozenset[str], settings: Settings) -> Refusal | None:
    """Refuse a request made under a foreign name, as in DNS rebinding."""
    hosts = headers.getlist("host")
    form = HOST_FORM.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
    is_ours = form is not None and int(form["port"] or 80) == settings.port
    is_known = form is not None and (form["name"] in names or (bool(settings.token) and is_ip(form["name"])))
    if is_ours and is_known:
        return None
    shown = ", ".join(hosts)[:200] or "none"
    return Refusal(
        400,
        f"LoRA Studio does not answer to the host name {shown!r}.",
        f"Open http://localhost:{settings.port}/ instead; a tunnel needs the same port number on both ends.",
    )


def is_ip(name: str) -> bool:
    """Whether a host name is an address, which nobody can rebind."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def refuse_fetch(method: str, headers: Headers) -> Refusal | None:
    """Refuse what another site makes the browser send: reads of our data, and every change."""
    site = headers.get("sec-fetch-site")
    if method in SAFE_METHODS:
        navigates = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site in (None, "same-origin", "none") or navigates:
            return None
        return Refusal(
            403, "Another site may link to LoRA Studio, but not read from it.", "Open the address by itself."
        )
    origin = headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin" and origin != "null"
    elif origin is not None:
        is_ours = origin.lower() == f"http://{headers['host'].lower()}"
    else:
        is_ours = OWN_HEADER in headers or bearer(headers) is not None
    if is_ours:
        return None
    return Refusal(
        403,
        "This change did not come from a page of LoRA Studio, so nothing was changed.",
        "Do it on the page itself; a script sends the header X-LoRA-Studio: 1.",
    )


def refuse_stranger(scope: Scope, settings: Settings) -> Refusal | None:
    """Refuse who shows neither the token nor the cookie given for it; no token set, no strangers."""
    path: str = scope["path"]
    if not settings.token or path == LOGIN_PATH or path.startswith(STATIC_PATHS):
        return None
    request = Request(scope)
    shown = bearer(request.headers)
    if shown is not None and is_same(shown, settings.token):
        return None
    if is_same(request.cookies.get(cookie_name(settings), ""), cookie_value(settings.token)):
        return None
    return Refusal(401, "This LoRA Studio asks for its token.", "Log in at /login, or send Authorization: Bearer.")


def bearer(headers: Headers) -> str | None:
    """Return the bearer token of a request, if it has one."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def is_same(shown: str, secret: str) -> bool:
    """Compare without telling by the time taken how much was right."""
    return hmac.compare_digest(shown.encode(), secret.encode())


def cookie_name(settings: Settings) -> str:
    """Name the cookie by the port, since browsers share cookies between the ports of a host."""
    return f"lora-studio-{settings.port}"


def cookie_value(token: str) -> str:
    """Derive what the browser keeps, so that a stolen cookie jar does not hold the token itself."""
    return hmac.new(token.encode(), b"lora-studio cookie", hashlib.sha256).hexdigest()


def refusal_response(refusal: Refusal, request: Request) -> Response:
    """Say it in the form the asker reads: JSON under /api, the login page to a browser, else plain text."""
    if request.scope["path"].startswith("/api/"):
        error = {"message": refusal.reason, "hint": refusal.hint, "field": None}
        return JSONResponse({"error": error}, refusal.status)
    if refusal.status == 401 and "hx-request" in request.headers:
        return PlainTextResponse(refusal.text, 401, {"HX-Redirect": LOGIN_PATH})
    if refusal.status == 401 and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return page(request, "login", {"next": wanted, "error": ""}, 401)
    return PlainTextResponse(refusal.text, refusal.status)

"""Talking to a model that another program serves here, in the way OpenAI's does: Ollama, LM Studio, vLLM.

Only this machine and private networks are spoken to, since images travel there; no redirect is followed and no proxy
asked. The one module of the contract that uses the network, so that studio and worker share a single way out.
"""

import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECT_S = 5.0
MAX_ANSWER_BYTES = 4_000_000
PORTS = {"http": 80, "https": 443}
START_IT = "Start Ollama, LM Studio, vLLM or whatever serves the model, and check address and port."


class EndpointError(Exception):
    """Names the address and the reason; `hint` the way out. `is_lasting`: the next image would fare no better."""

    def __init__(self, message: str, hint: str, *, is_lasting: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.is_lasting = is_lasting


@dataclass(frozen=True)
class Endpoint:
    """Where an OpenAI-compatible interface begins, such as http://127.0.0.1:11434/v1."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """The address as a person writes it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{name}:{self.port}{self.path}"

    def models(self) -> list[str]:
        """Ask which models are there. Raises EndpointError."""
        told = self.ask("GET", "/models", None, 2 * CONNECT_S)
        listed = told.get("data")
        names = [each.get("id") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        return sorted(name for name in names if isinstance(name, str))

    def ask(self, method: str, path: str, body: Mapping[str, object] | None, timeout_s: float) -> dict[str, Any]:
        """Send one request and return the JSON object it answers with. Raises EndpointError."""
        connection = self._connect(timeout_s)
        try:
            data = json.dumps(body).encode() if body is not None else None
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request(method, self.path + path, data, headers)
            answer = connection.getresponse()
            text = answer.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError as error:
            raise EndpointError(
                f"{self} gave no answer within {timeout_s:g} s.",
                "Give it more time, or choose a smaller model.",
                is_lasting=False,
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise EndpointError(f"{self} broke off: {reason}.", START_IT, is_lasting=False) from error
        finally:
            connection.close()
        return self._read(answer.status, text)

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """Connect to an address that was looked at, so that a name cannot lead elsewhere in between."""
        place = self._place()
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=timeout_s)
        try:
            plug = socket.create_connection((place, self.port), CONNECT_S)
            if self.scheme == "https":
                plug = ssl.create_default_context().wrap_socket(plug, server_hostname=self.host)
        except ssl.SSLError as error:
            raise EndpointError(
                f"{self} has no certificate that this computer trusts: {error.reason}.", "Use http for a local server."
            ) from error
        except OSError as error:
            raise EndpointError(f"Nothing answers at {self}: {error.strerror or error}.", START_IT) from error
        plug.settimeout(timeout_s)
        connection.sock = plug
        return connection

    def _place(self) -> str:
        """The numeric address of the host, if it may be spoken to."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise EndpointError(f"There is no computer called {self.host}.", "Check the address.") from error
        places = [str(each[4][0]) for each in found]
        if not all(is_near(place) for place in places):
            raise EndpointError(
                f"{self.host} is not on this machine or a private network, and images are sent nowhere else.",
                "Use an address such as http://127.0.0.1:11434/v1, or one of your own network.",
            )
        # Local servers often listen on IPv4 alone, while the name leads to IPv6 first.
        return next((place for place in places if ":" not in place), places[0])

    def _read(self, status: int, text: bytes) -> dict[str, Any]:
        try:
            told = json.loads(text) if len(text) <= MAX_ANSWER_BYTES else None
        except ValueError:
            told = None
        if 300 <= status < 400:
            raise EndpointError(f"{self} sends on to another address, which is not followed.", "Give that one.")
        if status >= 400:
            raise self._refusal(status, reason_in(told))
        if not isinstance(told, dict):
            raise EndpointError(
                f"{self} answers, but not as an OpenAI-compatible interface does.", "Its address often ends with /v1."
            )
        return told

    def _refusal(self, status: int, reason: str) -> EndpointError:
        said = f" It says: {reason}" if reason else ""
        if status in (401, 403):
            return EndpointError(
                f"{self} refuses us ({status}).{said}", "Serve the model without a key; the studio sends none."
            )
        if status in (404, 405):
            return EndpointError(
                f"{self} has no such model or interface ({status}).{said}",
                "Check the model's name, load it there first, and let the address end with /v1.",
            )
        return EndpointError(
            f"{self} could not do it ({status}).{said}", "Its own log says more.", is_lasting=status == 429
        )


def is_near(place: str) -> bool:
    """Whether a numeric address is this machine or a private network; addresses of link-local services are not."""
    try:
        address = ipaddress.ip_address(place.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return (mapped.is_loopback or mapped.is_private) and not (mapped.is_link_local or mapped.is_unspecified)


def read_endpoint(text: str) -> Endpoint:
    """Read an address as typed; one without a path gets /v1. Raises EndpointError."""
    typed = text.strip()
    way_out = "Type one such as http://127.0.0.1:11434/v1."
    try:
        parts = urlsplit(typed if "://" in typed else f"http://{typed}")
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"{typed} is not an address.", way_out) from error
    if parts.scheme not in PORTS or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise EndpointError(f"{typed or 'Nothing'} is not an address of a model server.", way_out)
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return Endpoint(parts.scheme, parts.hostname, port or PORTS[parts.scheme], path or "/v1")


def reason_in(told: object) -> str:
    """The words of an error answer, in any of the shapes that servers use; '' without any."""
    if not isinstance(told, dict):
        return ""
    inner = told.get("error", told.get("message", told.get("detail", "")))
    if isinstance(inner, dict):
        inner = inner.get("message", "")
    return inner.strip()[:300] if isinstance(inner, str) else ""

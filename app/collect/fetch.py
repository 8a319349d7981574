"""Pictures from addresses on the web: https alone, to public addresses alone, and no more than a picture may be."""

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from threading import Timer
from urllib.parse import unquote, urljoin, urlsplit

from sqlalchemy.orm import Session

from app.collect.decoders import Decoders
from app.collect.entries import Entry
from app.collect.files import Found, shown_name
from app.collect.gather import Gathered, gather
from app.collect.pictures import MAX_BYTES, Note
from app.collect.refusals import Refused
from app.errors import Conflict
from app.store import settings

REDIRECTS_MOST = 3
CONNECT_S = 10.0
TOTAL_S = 60.0
CHUNK_BYTES = 1 << 16
AGENT = "LoRA-Studio (import of images by a person)"
NO_AI = re.compile(r"\b(noai|noimageai)\b", re.IGNORECASE)
OTHER = "Download it yourself, then add the file."
URL_SETTING = "url_import"
SWITCH_ON = "Switch it on at the images page, under import from addresses; then try it again."
LOGIN = re.compile(r"(?<=://)[^/?#]*@")
ANY_LOGIN = re.compile(r"(?<=://).*@")
HIDDEN = "***@"
# Ranges that Python calls global though they lead to other, private addresses.
TUNNELS = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10", "::/96", "192.88.99.0/24"),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]


class SwitchedOff(Conflict):
    """Nobody has switched fetching from addresses on, or somebody switched it off."""

    def __init__(self) -> None:
        super().__init__("Fetching from addresses is off, so that nothing was fetched.", SWITCH_ON)


def is_switched_on(session: Session) -> bool:
    """Whether somebody has switched fetching from addresses on, for the whole studio."""
    return settings.get(session, URL_SETTING, "off") == "on"


def check_switch(session: Session, source: str) -> None:
    """Raise SwitchedOff for an import of addresses, by what is remembered of it, while fetching is off."""
    if '"kind":"urls"' in source and not is_switched_on(session):
        raise SwitchedOff


def without_login(url: str) -> str:
    """An address as it may be kept and shown: whoever's name and password stand in it are hidden."""
    try:
        urlsplit(url).port  # noqa: B018 - it raises where the address is none
    except ValueError:
        return ANY_LOGIN.sub(HIDDEN, url)
    return LOGIN.sub(HIDDEN, url)


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Raises OSError."""
    return list(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


def is_public(text: str) -> bool:
    """Whether an address lies on the open internet, whatever it is wrapped in."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in TUNNELS if network.version == address.version):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not address.is_private and not special


@dataclass(frozen=True)
class Limits:
    """How much one address may take of us."""

    size_bytes: int = MAX_BYTES
    total_s: float = TOTAL_S
    redirects: int = REDIRECTS_MOST


@dataclass(frozen=True)
class Fetched:
    """What an address answered; `no_ai` tells that its owner forbids training on it."""

    url: str
    size_bytes: int
    no_ai: bool


@dataclass(frozen=True)
class Fetch:
    """How addresses are fetched; tests bring a resolver, a rule and a certificate of their own."""

    resolve: Resolve = resolve
    is_allowed: Callable[[str], bool] = is_public
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    limits: Limits = Limits()

    def to_file(self, url: str, path: Path) -> Fetched:
        """Fetch an address into a file, following redirects. Raises Refused in words."""
        until = time.monotonic() + self.limits.total_s
        here, no_ai = url, False
        for _ in range(self.limits.redirects + 1):
            connection = self._open(here, until)
            # Each wait is bounded by itself; a host that sends a byte now and then is bounded by this.
            alarm = Timer(max(0.0, until - time.monotonic()), connection.abort)
            alarm.daemon = True
            alarm.start()
            try:
                # The answer holds the socket once the connection has let go of it, so it is closed by itself.
                with _ask(connection, here) as answer:
                    no_ai = no_ai or bool(NO_AI.search(", ".join(answer.headers.get_all("X-Robots-Tag") or ())))
                    if answer.status in (301, 302, 303, 307, 308):
                        here = urljoin(here, answer.headers.get("Location", ""))
                        continue
                    if answer.status != 200:
                        raise Refused("U01", f"{here} answers with {answer.status} {answer.reason}.", OTHER)
                    return Fetched(here, self._read(answer, path, here, until), no_ai)
            except (OSError, http.client.HTTPException) as error:
                raise Refused("U01", f"{here} cannot be read: {_why(error)}.", "Try again later.") from error
            finally:
                alarm.cancel()
                connection.close()
        raise Refused("U01", f"{url} leads on more than {self.limits.redirects} times.", OTHER)

    def _open(self, url: str, until: float) -> "PinnedConnection":
        """Resolve a host once, check every one of its addresses, and connect to the first."""
        host, port = _host(url)
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise Refused("U01", f"There is no host {host}.", "Check the address.") from error
        if not addresses or not all(map(self.is_allowed, addresses)):
            raise Refused("U01", f"{host} is not on the open internet.", OTHER)
        wait_s = max(0.1, min(CONNECT_S, until - time.monotonic()))
        return PinnedConnection(host, port, addresses[0], self.context, wait_s)

    def _read(self, answer: http.client.HTTPResponse, path: Path, url: str, until: float) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with path.open("wb") as file:
            while chunk := answer.read1(CHUNK_BYTES):
                size += len(chunk)
                if size > self.limits.size_bytes:
                    words = f"{url} is larger than {self.limits.size_bytes / 1e6:.0f} MB."
                    raise Refused("F07", words, OTHER)
                if time.monotonic() > until:
                    words = f"{url} takes longer than {self.limits.total_s:.0f} s."
                    raise Refused("U01", words, OTHER)
                file.write(chunk)
        return size


class PinnedConnection(http.client.HTTPSConnection):
    """A connection to an address that was checked, under the name that the certificate must have."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext, wait_s: float) -> None:
        super().__init__(host, port, timeout=wait_s, context=context)
        self._pinned = address
        self._tls = context

    def connect(self) -> None:
        """Connect to the pinned address; the name is not resolved again."""
        raw = socket.create_connection((self._pinned, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self.host)

    def abort(self) -> None:
        """End whatever it waits for, from another thread."""
        try:
            if self.sock is not None:
                self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _ask(connection: PinnedConnection, url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": AGENT, "Accept": "image/*", "Accept-Encoding": "identity"}
    connection.request("GET", quoted(target), headers=headers)
    return connection.getresponse()


def quoted(target: str) -> str:
    """Percent-encode what may not stand in a request line, and leave the rest."""
    return "".join(
        letter if "!" <= letter <= "~" else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in target
    )


def _host(url: str) -> tuple[str, int]:
    """Host and port of an address. Raises Refused unless it is https."""
    shown = without_login(url)[:200]
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:
        raise Refused("U01", f"{shown} is no address.", "Give one that begins with https://.") from error
    if parts.scheme != "https" or not parts.hostname:
        raise Refused("U01", f"{shown} does not begin with https://.", "Give an https address.")
    if parts.username or parts.password:
        raise Refused("U01", "An address with a password in it is not fetched.", OTHER)
    return parts.hostname, port


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error) or type(error).__name__


def url_name(url: str) -> str:
    """The file name at the end of an address."""
    return shown_name(unquote(urlsplit(url).path, errors="replace")) if "://" in url else shown_name(url)


@dataclass(frozen=True)
class UrlTask:
    """One address of a list; `is_on` tells whether fetching is switched on by now."""

    url: str
    path: Path
    decoders: Decoders = field(repr=False)
    fetch: Fetch = field(repr=False)
    is_on: Callable[[], bool] = lambda: True

    @property
    def name(self) -> str:
        """The address."""
        return without_login(self.url)

    def gather(self) -> Gathered:
        """Fetch it, then deal with it like a file of this disk; its address is its source. Raises SwitchedOff."""
        if not self.is_on():
            raise SwitchedOff
        try:
            fetched = self.fetch.to_file(self.url, self.path)
        except Refused as refusal:
            return Gathered(self.name, self.name, refusal=refusal)
        found = Found(PurePosixPath(url_name(fetched.url)), self.path)
        gathered = gather(Entry(found, source=self.url, no_ai=fetched.no_ai), self.decoders)
        self.path.unlink(missing_ok=True)
        notes = gathered.notes
        if fetched.no_ai:
            notes = (Note("U01", "Its owner marks it noai: not to be used for training."), *notes)
        return replace(gathered, name=self.url, path=self.url, notes=notes)


def read_urls(text: str) -> tuple[str, ...]:
    """The addresses of a list, one a line; empty lines and those that begin with # are passed over.

    A name and password in one are hidden here already: it is not fetched, and nobody shall read them.
    """
    lines = (without_login(line.strip()) for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))

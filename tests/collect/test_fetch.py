"""Fetching from addresses: what is never asked, what is bounded, and what is recorded."""

import http.server
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.collect.decoders import Decoders
from app.collect.fetch import Fetch, Limits, UrlTask, is_public, quoted, read_urls, url_name
from app.collect.refusals import Refused
from app.config import Settings
from tests.collect.fixtures import encoded, noise

PICTURE = encoded(noise(1))
LIMITS = Limits()


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_asked(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "192.0.2.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.88.99.1",
        "::1",
        "::",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "not an address",
    ],
)
def test_private_and_special_addresses_are_never_asked(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/a.png", "does not begin with https"),
        ("ftp://example.org/a.png", "does not begin with https"),
        ("file:///etc/passwd", "does not begin with https"),
        ("https://me:secret@example.org/a.png", "password"),
        ("https://exa mple.org:port/", "is no address"),
        ("https://localhost/a.png", "localhost is not on the open internet"),
        ("https://127.0.0.1/a.png", "not on the open internet"),
        ("https://[::1]/a.png", "not on the open internet"),
    ],
)
def test_addresses_that_are_never_fetched(url: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=words) as refusal:
        Fetch().to_file(url, tmp_path / "a")
    assert refusal.value.code == "U01"
    assert not (tmp_path / "a").exists()


def test_one_private_address_among_public_ones_is_enough(tmp_path: Path) -> None:
    fetch = Fetch(resolve=lambda host, port: ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Refused, match="not on the open internet"):
        fetch.to_file("https://two-faced.example/a.png", tmp_path / "a")


def test_lists_of_addresses() -> None:
    assert read_urls(" https://a/1.png \n\n# no\nhttps://a/1.png\nhttps://b/2.png") == (
        "https://a/1.png",
        "https://b/2.png",
    )
    assert url_name("https://a/b/%E7%8C%AB.png?w=1#x") == "猫.png"
    assert quoted("/ä b?q=1") == "/%C3%A4%20b?q=1"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("https://me:secret@a.example/1.png?q=a@b", "https://***@a.example/1.png?q=a@b"),
        ("http://me:secret@a.example/1.png", "http://***@a.example/1.png"),
        ("https://me:se/cret@a.example/1.png", "https://***@a.example/1.png"),
        ("https://a.example/@me/1.png", "https://a.example/@me/1.png"),
    ],
)
def test_no_password_is_kept_or_shown(line: str, shown: str, settings: Settings, tmp_path: Path) -> None:
    assert read_urls(line) == (shown,)
    gathered = UrlTask(line, tmp_path / "a", Decoders(settings, 1), Fetch(resolve=lambda host, port: [])).gather()
    assert gathered.refusal is not None
    assert "secret" not in repr((gathered.name, gathered.path, gathered.refusal.words))


class Pages(http.server.BaseHTTPRequestHandler):
    """A web site with every way to misbehave."""

    def do_GET(self) -> None:
        """Answer by path."""
        if self.path == "/slow.png":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                threading.Event().wait(0.2)
            return
        if self.path in ("/inside", "/loop", "/plain"):
            targets = {"/inside": "https://inside.example/", "/loop": "/loop", "/plain": "http://site.example/a.png"}
            self.send_response(302)
            self.send_header("Location", targets[self.path])
            self.end_headers()
            return
        body = {"/a.png": PICTURE, "/noai.png": PICTURE, "/big.png": b"x" * 200_000}.get(self.path)
        self.send_response(200 if body else 404)
        if self.path == "/noai.png":
            self.send_header("X-Robots-Tag", "noai, noimageai")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class Site:
    """A running site and the hosts that were resolved for it."""

    port: int
    context: ssl.SSLContext
    asked: list[str] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        """Our own host is here, every other one inside."""
        self.asked.append(host)
        return ["127.0.0.1"] if host == "site.example" else ["10.0.0.1"]

    def fetch(self, limits: Limits = LIMITS) -> Fetch:
        """A fetch that knows this site."""
        return Fetch(self.resolve, lambda address: address == "127.0.0.1", self.context, limits)

    def url(self, path: str) -> str:
        """The address of a page."""
        return f"https://site.example:{self.port}{path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site over https, with a certificate of its own."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files],
        check=True,
        capture_output=True,
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(folder / "cert", folder / "key")
    server.socket = own.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(server.server_address[1], ssl.create_default_context(cafile=str(folder / "cert")))
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_picture_comes_with_its_address_and_its_owners_wish(site: Site, settings: Settings) -> None:
    settings.make_folders()
    decoders = Decoders(settings, 1)
    taken = [
        UrlTask(site.url(path), settings.data / "staged", decoders, site.fetch()).gather()
        for path in ("/a.png", "/noai.png", "/none.png")
    ]
    decoders.close()
    assert [(each.new.name, each.new.origin.source, each.new.origin.no_ai) for each in taken if each.new] == [
        ("a.png", site.url("/a.png"), False),
        ("noai.png", site.url("/noai.png"), True),
    ]
    assert taken[2].refusal is not None
    assert "answers with 404" in taken[2].refusal.message
    assert not (settings.data / "staged").exists()


def test_each_redirect_is_checked_again(site: Site, tmp_path: Path) -> None:
    for path, words in (("/inside", "inside.example is not on"), ("/loop", "leads on more"), ("/plain", "https")):
        with pytest.raises(Refused, match=words):
            site.fetch().to_file(site.url(path), tmp_path / "a")


def test_size_and_time_are_bounded(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="larger than"):
        site.fetch(Limits(size_bytes=100_000)).to_file(site.url("/big.png"), tmp_path / "a")
    started = time.monotonic()
    with pytest.raises(Refused):
        site.fetch(Limits(total_s=1.0)).to_file(site.url("/slow.png"), tmp_path / "a")
    assert time.monotonic() - started < 15


def test_a_certificate_of_somebody_else_is_not_trusted(site: Site, tmp_path: Path) -> None:
    fetch = Fetch(site.resolve, lambda address: True)
    with pytest.raises(Refused, match="certificate"):
        fetch.to_file(site.url("/a.png"), tmp_path / "a")

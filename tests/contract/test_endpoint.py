"""Addresses of model servers: which are read, which are spoken to."""

import pytest

from app.contract.endpoint import EndpointError, is_near, read_endpoint, reason_in
from tests.worker.chat_server import Reply, chat_server, said


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        (" https://box.lan/ ", "https://box.lan:443/v1"),
        ("http://[::1]:8000/openai/v1/", "http://[::1]:8000/openai/v1"),
        ("http://localhost:1234/v1/chat/completions", "http://localhost:1234/v1"),
    ],
)
def test_addresses_are_read_as_typed(typed: str, address: str) -> None:
    assert str(read_endpoint(typed)) == address


@pytest.mark.parametrize(
    "typed", ["", "ftp://here", "http://", "http://a:b@here", "http://here?x=1", "http://here:99999"]
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(EndpointError):
        read_endpoint(typed)


@pytest.mark.parametrize(
    ("place", "near"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("10.0.0.5", True),
        ("::ffff:192.168.1.20", True),
        ("fd00::5", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("2001:4860:4860::8888", False),
    ],
)
def test_only_this_machine_and_private_networks_are_near(place: str, near: bool) -> None:
    assert is_near(place) == near


def test_far_addresses_are_never_asked() -> None:
    with pytest.raises(EndpointError, match="private network"):
        read_endpoint("http://8.8.8.8/v1").models()


def test_a_name_that_leads_nowhere_is_named() -> None:
    with pytest.raises(EndpointError, match=r"no\.such\.invalid"):
        read_endpoint("http://no.such.invalid:80/v1").models()


def test_models_are_listed_and_nonsense_is_told() -> None:
    with chat_server(lambda _: said("")) as chat:
        assert read_endpoint(chat.address).models() == ["tiny-vl"]
        with pytest.raises(EndpointError, match="no such model or interface"):
            read_endpoint(chat.address.replace("/v1", "/other")).models()
    with pytest.raises(EndpointError, match="Nothing answers"):
        read_endpoint(chat.address).models()


def test_an_empty_answer_is_told() -> None:
    with chat_server(lambda _: Reply()) as chat:
        endpoint = read_endpoint(chat.address)
        with pytest.raises(EndpointError, match="not as an OpenAI-compatible"):
            endpoint.ask("POST", "/chat/completions", {"model": "tiny-vl"}, 5)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"error": {"message": " no "}}, "no"),
        ({"error": "no"}, "no"),
        ({"detail": "no"}, "no"),
        ({"message": "no"}, "no"),
        ([], ""),
        ({"error": 5}, ""),
    ],
)
def test_the_words_of_a_refusal_are_found(told: object, reason: str) -> None:
    assert reason_in(told) == reason

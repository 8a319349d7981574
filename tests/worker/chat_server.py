"""A small server that answers as Ollama, LM Studio and vLLM do, for tests to ask."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server sends back; a plain text becomes an answer of the model."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def said(text: str | None, finish: str = "stop") -> Reply:
    """A model's answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Reply(body=json.dumps({"id": "1", "choices": [choice]}).encode())


@dataclass
class ChatServer:
    """The server, what it was asked so far, and how it answers."""

    answer: Callable[[dict[str, Any]], Reply]
    model: str = "tiny-vl"
    asked: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def reply(self, method: str, path: str, body: bytes) -> Reply:
        """Answer one request."""
        if (method, path) == ("GET", "/v1/models"):
            return Reply(body=json.dumps({"object": "list", "data": [{"id": self.model}]}).encode())
        if (method, path) != ("POST", "/v1/chat/completions"):
            return Reply(404, b"404 page not found")
        question = json.loads(body)
        self.asked.append(question)
        if question["model"] != self.model:
            return Reply(404, json.dumps({"error": {"message": f"model '{question['model']}' not found"}}).encode())
        return self.answer(question)


@contextmanager
def chat_server(answer: Callable[[dict[str, Any]], Reply]) -> Iterator[ChatServer]:
    """Serve on a free port of this machine."""
    chat = ChatServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            reply = chat.reply(self.command, self.path, self.rfile.read(length))
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = respond

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)

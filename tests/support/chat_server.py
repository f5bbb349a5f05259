"""A real HTTP server on loopback that speaks the chat-completions protocol, and misbehaves on demand.

    with ChatServer() as server:
        server.misbehave(Misdeed(status=429, headers={"Retry-After": "1"}), times=2)
        ... base_url=server.url ...

It scores by a rule that a test can repeat (`expected`): nothing of burnish is used here, so requests are read as the
protocol has them, and prompts as the lines between <data> and </data>.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Misdeed:
    """How to answer one request wrongly.  All of it is optional; `when` chooses the requests."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None  # the body of an error
    delay: float = 0.0  # seconds before anything is sent
    drip: float = 0.0  # seconds between the bytes of the body
    drop: bool = False  # close the connection half-way through the body
    body: bytes | None = None  # instead of the whole response
    content: Callable[[dict[str, dict[str, int]]], str] | None = (
        None  # what the model writes, from the right scores
    )
    finish: str = "stop"
    usage: bool = True
    when: Callable[[dict[str, Any]], bool] = lambda body: True


@dataclass
class Seen:
    """A request as it arrived."""

    at: float
    body: dict[str, Any]
    items: list[str]  # the items' texts
    key: str
    headers: dict[str, str]


class ChatServer:
    """The server.  delay: seconds before each answer.  key: the only one it takes, None for any."""

    def __init__(
        self,
        *,
        delay: float = 0.0,
        key: str | None = None,
        scores: Callable[[str, str, str], int] | None = None,
    ) -> None:
        self.delay, self.key = delay, key
        self.scores = scores or expected
        self.seen: list[Seen] = []
        self.answered: Counter[str] = Counter()  # texts whose answer was sent to the end
        self.busiest = 0
        self._busy = 0
        self._misdeeds: list[tuple[Misdeed, int]] = []
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def misbehave(self, misdeed: Misdeed, times: int = 1_000_000) -> None:
        """Answer the next `times` requests that `misdeed.when` chooses that way."""
        with self.lock:
            self._misdeeds.append((misdeed, times))

    def behave(self) -> None:
        """No more misdeeds."""
        with self.lock:
            self._misdeeds.clear()

    def next_misdeed(self, body: dict[str, Any]) -> Misdeed | None:
        with self.lock:
            for number, (misdeed, times) in enumerate(self._misdeeds):
                if times > 0 and misdeed.when(body):
                    self._misdeeds[number] = (misdeed, times - 1)
                    return misdeed
        return None

    def enter(self, seen: Seen) -> None:
        with self.lock:
            self.seen.append(seen)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)

    def leave(self, texts: list[str], *, answered: bool) -> None:
        with self.lock:
            self._busy -= 1
            if answered:
                self.answered.update(texts)

    @property
    def asked(self) -> Counter[str]:
        """How often each text was asked, in any wording."""
        with self.lock:
            return Counter(text for seen in self.seen for text in seen.items)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def expected(text: str, attribute: str, system: str) -> int:
    """The score from 0 to 9 that the server gives: by the item's title and the attribute, whatever the wording."""
    title = json.loads(text).get("title", text)
    return hashlib.sha256(f"{title}/{attribute}".encode()).digest()[0] % 10


def items_of(body: dict[str, Any]) -> dict[str, str]:
    """The items of a request: their texts (JSON) by key."""
    user = body["messages"][-1]["content"]
    inside = user.split("<data>\n", 1)[1].split("\n</data>", 1)[0]
    found = {}
    for line in inside.split("\n"):
        ((key, fields),) = json.loads(line).items()
        found[key] = json.dumps(fields, ensure_ascii=False)
    return found


def attributes_of(body: dict[str, Any]) -> list[str]:
    """The attributes of a request, from the lines of its first message."""
    lines = body["messages"][0]["content"].split("\n")
    return [line[2:].split(":")[0] for line in lines if line.startswith("- ")]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: ChatServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that has gone away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        owner = self.server.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        items = items_of(body)
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        texts = list(items.values())
        owner.enter(Seen(time.monotonic(), body, texts, key, dict(self.headers)))
        answered = False
        try:
            answered = self._respond(owner, body, items, key)
        finally:
            owner.leave(texts, answered=answered)

    def _respond(self, owner: ChatServer, body: dict[str, Any], items: dict[str, str], key: str) -> bool:
        misdeed = owner.next_misdeed(body) or Misdeed()
        time.sleep(owner.delay + misdeed.delay)
        if self.path != "/v1/chat/completions":
            return self._send(404, b'{"error": {"message": "no such path"}}', misdeed)
        if owner.key is not None and key != owner.key:
            said = {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}}
            return self._send(401, json.dumps(said).encode(), misdeed)
        if misdeed.status != 200:
            said = {"error": misdeed.error or {"message": "misbehaving on demand"}}
            return self._send(misdeed.status, json.dumps(said).encode(), misdeed)
        system = body["messages"][0]["content"]
        names = attributes_of(body)
        scores = {k: {name: owner.scores(text, name, system) for name in names} for k, text in items.items()}
        content = json.dumps(scores) if misdeed.content is None else misdeed.content(scores)
        response: dict[str, Any] = {
            "id": "chat-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": misdeed.finish,
                }
            ],
        }
        if misdeed.usage:
            tokens_in = len(json.dumps(body["messages"])) // 5
            response["usage"] = {
                "prompt_tokens": tokens_in,
                "completion_tokens": len(content) // 5,
                "total_tokens": tokens_in + len(content) // 5,
            }
        return self._send(200, misdeed.body or json.dumps(response).encode(), misdeed)

    def _send(self, status: int, content: bytes, misdeed: Misdeed) -> bool:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in misdeed.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if misdeed.drop:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return False
        if misdeed.drip:
            for start in range(len(content)):
                self.wfile.write(content[start : start + 1])
                self.wfile.flush()
                time.sleep(misdeed.drip)
            return True
        self.wfile.write(content)
        self.wfile.flush()
        return status == 200

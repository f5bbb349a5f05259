"""Sentences of a language model: what is sent, what is taken, and that nothing is paid for twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from burnish.enhancers.guided.ledger import Ledger
from burnish.enhancers.guided.scorers.chat import EndpointError
from burnish.errors import ConfigurationError
from burnish.explanation import Explanation, Reason
from burnish.trained.written_sentences import SentenceWriter

pytest.importorskip("openai")
TITLES = {
    "1": "Alien (1979)",
    "2": "Usual Suspects, The (1995)",
    "3": "Heat (1995)",
    "4": "Alien Nation",
    "5": "Big",
}


class Model:
    """An endpoint that answers what a test says.  seen: the requests."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.says: Callable[[dict[str, Any]], tuple[int, str]] = lambda asked: (
            200,
            "Because you chose Alien.",
        )


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    own = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            own.seen.append(body)
            code, text = own.says(json.loads(body["messages"][1]["content"]))
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            answer = json.dumps({"choices": [choice], "error": {"message": text}}).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    own.url = f"http://127.0.0.1:{server.server_address[1]}/v1"  # type: ignore[attr-defined]
    yield own
    server.shutdown()
    server.server_close()


def one(item: str = "3", user: str = "secret-user") -> Explanation:
    reasons = (
        Reason(
            "interaction", "You chose Alien, which speaks for Heat.", 0.5, {"item": "1", "title": TITLES["1"]}
        ),
        Reason(
            "interaction", "You chose The Usual Suspects, which speaks against Heat.", -0.2, {"item": "2"}
        ),
    )
    return Explanation(user, item, 4.0625, reasons, TITLES[item], "a note")


def writer(model: Any, folder: Path) -> SentenceWriter:
    return SentenceWriter("m", folder / "told.sqlite", TITLES, model.url)


def test_reasons_alone_are_sent_and_each_question_once(model: Any, tmp_path: Path) -> None:
    first = writer(model, tmp_path)
    told = first.write([one(), one(user="another"), Explanation("u", "1", 1.0)])
    assert told["secret-user", "3"] == told["another", "3"] == "Because you chose Alien."
    assert told["u", "1"] == ""
    assert first.asked == len(model.seen) == 1
    content = json.loads(model.seen[0]["messages"][1]["content"])
    assert content == {
        "item": "Heat",
        "reasons": [
            {"reason": "You chose Alien, which speaks for Heat.", "speaks": "for"},
            {"reason": "You chose The Usual Suspects, which speaks against Heat.", "speaks": "against"},
        ],
    }
    sent = json.dumps(model.seen)
    assert all(word not in sent for word in ("secret-user", "4.06", "a note"))
    again = writer(model, tmp_path)
    assert again.write([one()]) == {("secret-user", "3"): "Because you chose Alien."}
    assert len(model.seen) == 1
    with Ledger(tmp_path / "told.sqlite") as ledger:
        assert ledger.count("requests") == ledger.count("answers") == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Because you chose Alien, Heat is for you.", ""),
        ("Heat, because you chose Alien; only The Usual Suspects speaks against it.", ""),
        ("Big thanks: you chose Alien.", ""),  # a word that begins a sentence
        ("Because you chose Alien Nation.", "it names 'Alien Nation'"),
        ("You chose Alien and will laugh as in Big.", "it names 'Big'"),
        ("You chose Alien, and 93% of users like it.", "it says 93"),
        ("You chose “Aliens 2”.", "it quotes 'Aliens 2'"),
        ("You chose Alien. " * 40, "it has 680 letters"),
        (" ", "it is empty"),
    ],
)
def test_what_names_something_else_is_not_taken(text: str, why: str, model: Any, tmp_path: Path) -> None:
    assert writer(model, tmp_path).objection(text, one()).startswith(why)
    assert bool(writer(model, tmp_path).objection(text, one())) == bool(why)
    if why.startswith("it names 'Alien"):
        model.says = lambda asked: (200, text)
        with pytest.warns(UserWarning, match=r"1 of 1 sentences by m are not taken.*'Alien Nation'"):
            told = writer(model, tmp_path).write([one()])
        assert told["secret-user", "3"].startswith("Because you chose Alien. Against it speaks")
        with pytest.warns(UserWarning, match="not taken"):
            writer(model, tmp_path).write([one()])
        assert len(model.seen) == 1  # it was paid for, and is not paid for again


def test_troubles(model: Any, tmp_path: Path) -> None:
    answers = iter([(503, "busy"), (200, "You chose Alien.")])
    model.says = lambda asked: next(answers)
    assert writer(model, tmp_path).write([one()])["secret-user", "3"] == "You chose Alien."
    model.says = lambda asked: (404, "no such model")
    with pytest.raises(EndpointError, match="model = 'm' is not known"):
        writer(model, tmp_path).write([one("1")])
    with pytest.raises(ConfigurationError, match="give the address of an endpoint"):
        SentenceWriter("m", tmp_path / "x", {}, "localhost")
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        SentenceWriter("m", tmp_path / "x", {})

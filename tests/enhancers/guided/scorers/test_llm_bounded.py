"""What an endpoint sends may be endless, packed, or full of numbers: it costs the item, never the run."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.cost import Limits, Price
from burnish.enhancers.guided.ledger import Ledger
from burnish.enhancers.guided.scorers import bounded
from burnish.enhancers.guided.scorers.chat import EndpointError
from burnish.enhancers.guided.scorers.lenient import read_json
from burnish.enhancers.guided.scorers.llm import LLMScorer
from burnish.enhancers.guided.scorers.parsing import parse_answer
from burnish.errors import ConfigurationError


def completion(content: str, usage: Any = None) -> bytes:
    message = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"choices": [message], "usage": usage}).encode()


def zipped(size: int) -> bytes:
    """A gzip file that holds so many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(size // 2**20)) + packer.flush()


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


BAD_BODIES = {
    "plain": (b"x" * (bounded.MOST_BYTES + 1), {}),
    "packed": (zipped(2**26), {"Content-Encoding": "gzip"}),
    "packed twice": (gzip.compress(zipped(2**27)), {"Content-Encoding": "gzip, gzip"}),
    "many members": (zipped(2**20) * 100, {"Content-Encoding": "gzip"}),
    "deflate": (zlib.compress(bytes(2**26)), {"Content-Encoding": "deflate"}),
    "not what it says": (b"not gzip", {"Content-Encoding": "gzip"}),
    "cut off": (gzip.compress(completion("{}"))[:-12], {"Content-Encoding": "gzip"}),
    "not understood": (b"\x28\xb5\x2f\xfd", {"Content-Encoding": "zstd"}),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_cannot_be_used_costs_its_items_only(tmp_path, monkeypatch, name: str) -> None:
    largest = 0
    inner = bounded._decoded

    def measured(content: bytes, encoding: str, most: int) -> bytes:
        nonlocal largest
        plain = inner(content, encoding, most)
        largest = max(largest, len(plain))
        return plain

    monkeypatch.setattr(bounded, "_decoded", measured)
    body, headers = BAD_BODIES[name]
    with ChatServer() as server:
        bad = Misdeed(
            body=body, headers=headers, when=lambda sent: "Film 3" in sent["messages"][1]["content"]
        )
        server.misbehave(bad)
        made = scorer(server, tmp_path, prompts=1, retries=2, items_per_request=4)
        scores = made.score(some_texts(12), tiny_schema())
    others = [number for number in range(12) if number != 3]
    np.testing.assert_array_equal(scores.values[others], right_values(some_texts(12))[others])
    assert list(scores.notes) == ["103"]
    assert "the response" in scores.notes["103"]
    assert largest <= bounded.MOST_BYTES + 1
    assert (tmp_path / "ledger.sqlite").stat().st_size < 2**20


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]), "x-gzip"),
        (zlib.compress, "deflate"),
        (raw_deflate, "DEFLATE"),
        (lambda content: gzip.compress(zlib.compress(content)), "deflate, gzip"),
        (bytes, "identity"),
    ],
)
def test_packed_answers_are_read(tmp_path, pack: Callable[[bytes], bytes], encoding: str) -> None:
    content = completion(json.dumps({"humor": 3, "pacing": 4}))
    with ChatServer() as server:
        server.misbehave(Misdeed(body=pack(content), headers={"Content-Encoding": encoding}))
        scores = scorer(server, tmp_path, prompts=1, retries=0).score(some_texts(1), tiny_schema())
        asked = {name.lower(): value for name, value in server.seen[0].headers.items()}
        assert asked["accept-encoding"] == bounded.ENCODINGS
    assert scores.values.tolist() == [[3.0, 4.0]]


def test_a_refusal_without_end_is_cut(tmp_path) -> None:
    with ChatServer() as server:
        for body, headers in (
            (b'{"error": {"message": "no room" ' + b" " * 10**7, {}),
            (zipped(2**26), {"Content-Encoding": "gzip"}),
        ):
            server.misbehave(Misdeed(status=403, body=None, error={"message": "x" * 10**7}))
            server.behave()
            refusal = Misdeed(status=403, headers=headers)
            refusal.error = {"message": body.decode("latin-1")}
            server.misbehave(refusal)
            with pytest.raises(EndpointError, match="403"):
                scorer(server, tmp_path, prompts=1).score(some_texts(1), tiny_schema())
            server.behave()
    assert (tmp_path / "ledger.sqlite").stat().st_size < 2**20


# ---------------------------------------------------------------------- numbers

LONG = [
    "9" * 5000,
    "-" + "9" * 100_000,
    "9" * 19,
    "1e400",
    "-1e400",
    "1" + "0" * 400 + ".0",
    "NaN",
    "Infinity",
]


@pytest.mark.parametrize("number", LONG)
def test_a_number_without_end_costs_its_item_only(tmp_path, number: str) -> None:
    def content(scores: dict[str, dict[str, int]]) -> str:
        text = json.dumps(scores)
        return text.replace(f'"humor": {scores["item_1"]["humor"]}', f'"humor": {number}', 1)

    with ChatServer() as server:
        bad = Misdeed(content=content, when=lambda body: "Film 3" in body["messages"][1]["content"])
        server.misbehave(bad)
        made = scorer(server, tmp_path, prompts=1, retries=2, items_per_request=1)
        scores = made.score(some_texts(6), tiny_schema())
    others = [0, 1, 2, 4, 5]
    np.testing.assert_array_equal(scores.values[others], right_values(some_texts(6))[others])
    assert "humor = " in scores.notes["103"]
    assert len(scores.notes["103"]) < 100


@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize(
    ("number", "value"), [("0" * 5000 + "7", 7), ("7." + "0" * 5000, 7), ("9" * 5000, None), ("0" * 5000, 0)]
)
def test_long_numbers_are_read_by_their_value(number: str, value: int | None, quoted: bool) -> None:
    if not quoted and number.startswith("00"):
        pytest.skip("no JSON")
    shown = f'"{number}"' if quoted else number
    parsed = parse_answer(f'{{"humor": {shown}, "pacing": 1}}', ["item_1"], tiny_schema())
    if value is None:
        assert "is outside 0 to 9" in parsed.wrong["item_1"]
    else:
        assert parsed.valid == {"item_1": {"humor": value, "pacing": 1}}


USAGES = [
    {"prompt_tokens": 10**30, "completion_tokens": 1},
    {"prompt_tokens": 2**63, "completion_tokens": 2**64},
    {"prompt_tokens": -1, "completion_tokens": True},
    {"prompt_tokens": 1e300, "completion_tokens": 2.5},
    {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
    {"prompt_tokens": "10", "completion_tokens": [1]},
    "none",
    [1, 2],
    7,
]


@pytest.mark.parametrize("usage", USAGES, ids=str)
def test_a_usage_that_cannot_be_is_taken_as_not_told(tmp_path, usage: Any) -> None:
    with ChatServer() as server:
        server.misbehave(Misdeed(body=completion(json.dumps({"humor": 3, "pacing": 4}), usage)))
        made = scorer(
            server, tmp_path, prompts=1, retries=0, price=Price(1.0, 1.0), limits=Limits(max_usd=1.0)
        )
        scores = made.score(some_texts(1), tiny_schema())
    assert not scores.notes
    assert made.budget is not None
    assert 0 < made.budget.usd < 0.01
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
        (answer,) = ledger.rows("answers")
    assert answer["input_tokens"] is None
    assert answer["output_tokens"] in (None, 1)


def test_a_usage_of_endless_digits_does_not_lose_the_answer(tmp_path) -> None:
    body = completion(json.dumps({"humor": 3, "pacing": 4}), {"prompt_tokens": 77, "completion_tokens": 5})
    with ChatServer() as server:
        server.misbehave(Misdeed(body=body.replace(b"77", b"7" * 10_000)))
        scores = scorer(server, tmp_path, prompts=1, retries=0).score(some_texts(1), tiny_schema())
    assert scores.values.tolist() == [[3.0, 4.0]]


def test_a_reason_to_end_can_be_anything(tmp_path) -> None:
    body = completion("No.").replace(b'"stop"', b'"' + b"\\ud800" * 5000 + b'"')
    with ChatServer() as server:
        server.misbehave(Misdeed(body=body))
        with pytest.raises(EndpointError, match="no JSON") as error:
            scorer(server, tmp_path, prompts=1, retries=0).score(some_texts(1), tiny_schema())
    assert len(str(error.value)) < 500


# ---------------------------------------------------------------------- addresses

ADDRESSES = [
    "http://localhost:99999/v1",
    "http://localhost:0/v1",
    "http://localhost:-1/v1",
    "http://localhost:port/v1",
    "http://localhost:1e3/v1",
    "http://[::1/v1",
    "http://:8000/v1",
    "http://local host/v1",
    "http://localhost\n/v1",
    "ftp://localhost/v1",
    "localhost:8000",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none_is_refused_with_the_option(tmp_path, monkeypatch, address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url.*such as http"):
        LLMScorer(model="m", ledger=tmp_path / "l", base_url=address)
    if address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        with pytest.raises(ConfigurationError, match=r"OPENAI_BASE_URL.*such as http"):
            LLMScorer(model="m", ledger=tmp_path / "l").score(some_texts(1), tiny_schema())


@pytest.mark.parametrize("address", ["http://exa%mple/v1", "http://xn--/v1", "http://" + "a" * 300 + "/v1"])
def test_an_address_that_only_the_client_understands_is_refused_in_words(tmp_path, address: str) -> None:
    made = LLMScorer(model="m", ledger=tmp_path / "l", base_url=address, retries=0, timeout=5.0)
    with pytest.raises((ConfigurationError, EndpointError)):
        made.score(some_texts(1), tiny_schema())


# ---------------------------------------------------------------------- linear in the length

N = 100_000  # a search that begins anew at each of them would take hours
REPEATED = {
    "thoughts that never end": "<think>" * N,
    "thoughts that end twice": "<think>" * N + "</think>" * N,
    "ends": "</think>" * N,
    "objects that never end": '{"' * N,
    "bad escapes": '["\\x' * N,
    "escapes": '["' + "\\\\" * N,
    "lists": "[" * N,
    "names": '{"a":' * N,
    "commas": "[" + "," * N,
    "blanks": "[" + " " * N + "x",
    "digits": "[" + "1" * N,
    "many": '{"a": 1} ' * N,
    "zeros": '{"humor": "' + "0" * N + 'x", "pacing": "' + " " * N + 'x"}',
    "digits in words": '{"humor": "' + "1" * N + 'x", "pacing": "1.' + "0" * N + 'x"}',
}


@pytest.mark.parametrize("name", REPEATED)
def test_any_text_is_read_in_time_that_grows_with_its_length(name: str) -> None:
    parsed = parse_answer(REPEATED[name], ["item_1", "item_2"], tiny_schema())
    assert set(parsed.wrong) == {"item_1", "item_2"}
    assert set(parse_answer(REPEATED[name], ["item_1"], tiny_schema()).wrong) == {"item_1"}


def test_thoughts_are_left_out_as_before() -> None:
    assert read_json('<think>{"a": 1}</think> {"b": 2} <think>x</think>[3]') == [[("b", 2)], [3]]
    assert read_json('<think>{"a": 1}') == [[("a", 1)]]
    assert read_json('</think>{"a": 1}') == [[("a", 1)]]
    assert read_json('<think><think>{"a": 1}</think>{"b": 2}</think>') == [[("b", 2)]]


def test_an_answer_that_is_nested_too_deeply_is_no_answer() -> None:
    for depth in (50, 500, 900, 980, 100_000):
        text = '{"item_1": ' + '{"humor": ' * depth + "1" + "}" * depth + "}"
        assert "item_1" in parse_answer(text, ["item_1"], tiny_schema()).wrong

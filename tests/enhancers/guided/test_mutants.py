"""Files and answers that are nearly right: each is read, or refused by an error of ours that names it."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burnish.enhancers.guided.attributes import load_schema, make_schema, shipped_text
from burnish.enhancers.guided.claims import Holder
from burnish.enhancers.guided.ledger import Ledger, item_key, text_hash
from burnish.enhancers.guided.lora.model import adapter_split
from burnish.enhancers.guided.scorers.chat import Answer, Endpoint, Trouble
from burnish.enhancers.guided.scorers.files import read_scores, write_scores
from burnish.enhancers.guided.scorers.parsing import parse_answer
from burnish.enhancers.guided.scorers.prompts import answer_schema, system_message
from burnish.enhancers.guided.scorers.protocol import Scores
from burnish.enhancers.guided.scorers.secret import Secret
from burnish.enhancers.guided.texts import item_texts
from burnish.errors import BurnishError

FAST, ALL = 150, 2000

#: What people, editors and programs put where something else belongs.
PIECES = [
    *(
        b"",
        b"\0",
        b"\t",
        b"\n",
        b"\r",
        b",",
        b'"',
        b"'",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
        b"\\",
        b"\xff",
        b"\xef\xbb\xbf",
    ),
    *(
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b"9" * 5000,
        b"NULL",
        b"None",
        b"true",
        b"1_000",
        b"1,5",
        b"0x1F",
        b"\xc3\xa9",
    ),
    *(
        b"\xed\xa0\x80",
        b"\\ud800",
        b"item_id",
        b"user_id",
        b"training_split",
        b"humor_sd",
        b"<think>",
        b"</think>",
    ),
    *(
        b"- ",
        b"  ",
        b"!!python/object/apply:os.system [true]",
        b"&a [*a]",
        b"*a",
        b"? ",
        b"|",
        b"---\n",
        b"#",
        b"%",
    ),
    *("\u2028".encode(), "\u0663".encode(), b"[" * 200, b'{"a":' * 200, b"x" * 200_000),
]


def mutant(content: bytes, draw: random.Random) -> bytes:
    """The content with one to four changes: bytes, cells, lines, pieces of other things, another encoding."""
    for _ in range(draw.randint(1, 4)):
        at, to = sorted(draw.randint(0, len(content)) for _ in range(2))
        lines = content.split(b"\n")
        line = draw.randrange(len(lines))
        change = draw.randrange(9)
        if change == 0:
            content = content[:at] + draw.choice(PIECES) + content[at:]
        elif change == 1:
            content = content[:at] + draw.choice(PIECES) + content[min(to, at + 12) :]
        elif change == 2:
            content = content[:at]
        elif change == 3:
            content = content[:at] + content[min(to, at + 40) :]
        elif change == 4:
            content = b"\n".join([*lines[:line], lines[draw.randrange(len(lines))], *lines[line:]])
        elif change == 5:
            cells = lines[line].split(b"\t")
            cells[draw.randrange(len(cells))] = draw.choice(PIECES)
            content = b"\n".join([*lines[:line], b"\t".join(cells), *lines[line + 1 :]])
        elif change == 6:
            content = bytes(byte if draw.random() > 0.01 else draw.randrange(256) for byte in content)
        elif change == 7:
            content = content.decode("latin-1").encode(draw.choice(["utf-16", "utf-8", "utf-32", "cp500"]))
        else:
            content = content.replace(
                draw.choice([b"\t", b",", b"\n", b'"', b": "]), draw.choice(PIECES[:14])
            )
    return content


def battery(name: str, originals: list[bytes], read: Callable[[bytes], object], n: int) -> None:
    """Read n mutants; whatever is not refused by an error of ours is counted by its kind, and there is none."""
    bare: Counter[str] = Counter()
    refused = 0
    for number in range(n):
        draw = random.Random(f"{name}/{number}")
        content = mutant(draw.choice(originals), draw)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(content)
        except BurnishError as error:
            refused += 1
            if len(str(error)) > 3000:
                bare[f"words without end (mutant {number})"] += 1
        except Exception as error:
            bare[f"{type(error).__name__}: {str(error)[:80]} (mutant {number})"] += 1
    assert not bare
    assert n // 20 < refused or name.startswith("answer")
    assert refused < n or name == "ledger"


def counts(test: Callable[..., None]) -> Callable[..., None]:
    """A fast part in every run of the tests, all of it in the slow ones."""
    return pytest.mark.parametrize("n", [FAST, pytest.param(ALL, marks=pytest.mark.slow)])(test)


def scores_files(folder: Path) -> dict[str, list[bytes]]:
    values = np.array([[1.0, 2.5], [np.nan, 0.0], [9.0, 3.25]])
    found: dict[str, list[bytes]] = {}
    for suffix in ("tsv", "csv", "parquet"):
        for number, split in enumerate((None, "0123abcd")):
            path = folder / f"good-{number}.{suffix}"
            scores = Scores(("007", "b c", "é"), ("humor", "pacing"), values, values / 9, split=split)
            write_scores(scores, path, id_column="user_id" if split else "item_id")
            found.setdefault(suffix, []).append(path.read_bytes())
    return found


@counts
@pytest.mark.parametrize("suffix", ["tsv", "csv", "parquet"])
def test_files_of_scores(tmp_path, suffix: str, n: int) -> None:
    schema = make_schema({"domain": "d", "instruction": "i", "attributes": {"humor": "h", "pacing": "p"}})
    path = tmp_path / f"scores.{suffix}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for scores in (read_scores(path), read_scores(path, schema)):
            assert not np.isinf(scores.values).any()
            write_scores(scores, tmp_path / "again.parquet")

    battery(f"scores.{suffix}", scores_files(tmp_path)[suffix], read, n)


@counts
def test_schemas(tmp_path, n: int) -> None:
    path = tmp_path / "schema.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        schema = load_schema(path)
        schema.fingerprint()
        json.dumps(answer_schema(schema, ["item_1"]))
        for variant in range(3):
            system_message(schema, "items", variant).encode()
        path.write_text(schema.to_yaml(), encoding="utf-8")
        assert load_schema(path) == schema

    battery("schema", [shipped_text("films").encode(), shipped_text("books").encode()], read, n)


@counts
@pytest.mark.parametrize("suffix", [".item", ".itemtext.tsv"])
def test_texts_of_items(tmp_path, suffix: str, n: int) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    item = (
        b"item_id:token\ttitle:token_seq\tyear:float\n1\tHeat\t1995\n2\tAlien, Part \xc3\xa9\t1979\n3\t\t\n"
    )
    (folder / "films.item").write_bytes(item)
    text = b"item_id\tplot\n1\tA thief.\n2\tA ship.\n"

    def read(content: bytes) -> None:
        (folder / f"films{suffix}").write_bytes(content)
        texts = item_texts(folder)
        for number in range(len(texts)):
            json.dumps(texts.one(number)).encode()

    battery(f"texts{suffix}", [item if suffix == ".item" else text], read, n)


@counts
def test_answers_of_models(n: int) -> None:
    schema = make_schema({"domain": "d", "instruction": "i", "attributes": {"humor": "h", "pacing": "p"}})
    good = {key: {"humor": 3, "pacing": 4} for key in ("item_1", "item_2", "item_3")}
    listed = [{"item": key, "scores": scores} for key, scores in good.items()]
    originals = [
        json.dumps(good).encode(),
        f"<think>Hm.</think>```json\n{json.dumps(listed, indent=1)}\n```".encode(),
    ]

    def read(content: bytes) -> None:
        for errors in ("replace", "surrogateescape"):
            for keys in (list(good), ["item_1"]):
                parsed = parse_answer(content.decode("utf-8", errors), keys, schema)
                assert set(parsed.valid) | set(parsed.wrong) == set(keys)
                assert not set(parsed.valid) & set(parsed.wrong)
                for scores in parsed.valid.values():
                    assert list(scores) == ["humor", "pacing"]
                    assert all(type(score) is int and 0 <= score <= 9 for score in scores.values())
                for reason in parsed.wrong.values():
                    assert 0 < len(reason) < 200
                    reason.encode()

    battery("answers", originals, read, n)


@counts
def test_responses_of_endpoints(tmp_path, monkeypatch, n: int) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-secret-secret-secret")
    secret = Secret("TEST_KEY", optional=False)
    endpoint = Endpoint(model="m", base_url="http://localhost:1/v1", secret=secret, timeout=1.0)
    message = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": '{"humor": 3}'},
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    originals = [
        json.dumps({"choices": [message], "usage": usage}).encode(),
        json.dumps({"choices": [{**message, "finish_reason": None}], "usage": None}).encode(),
        json.dumps({"error": {"message": "no"}}).encode(),
    ]
    with Ledger(tmp_path / "l") as ledger:
        request = ledger.add_request(model="m", endpoint="e", prompt="p", schema="s", items=1, body="{}")

        def read(content: bytes) -> None:
            found = endpoint._answer(content.decode("utf-8", "replace"))
            assert isinstance(found, Answer | Trouble)
            if isinstance(found, Answer):
                tokens: dict[str, Any] = {
                    "input_tokens": found.input_tokens,
                    "output_tokens": found.output_tokens,
                }
                ledger.add_answer(request, status=found.ended, text=found.body, **tokens)
                found.text.encode()
            else:
                ledger.add_answer(request, status=found.status, text=found.body)
                assert len(found.why) < 400

        battery("answer of an endpoint", originals, read, n)
    asyncio.run(endpoint.close())


@counts
def test_ledgers(tmp_path, n: int) -> None:
    good = tmp_path / "good"
    with Ledger(good) as ledger:
        request = ledger.add_request(model="m", endpoint="e", prompt="p", schema="s", items=1, body="{}")
        ledger.add_answer(
            request, status="ok", text="{}", scores={item_key("m", "p", "s", "t"): (text_hash("t"), {"a": 1})}
        )
    sqlite3.connect(good).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "ledger"

    def read(content: bytes) -> None:
        for beside in tmp_path.glob("ledger*"):
            beside.unlink()
        path.write_bytes(content)
        for read_only in (True, False):
            with Ledger(path, read_only=read_only) as ledger:
                ledger.known([item_key("m", "p", "s", "t")])
                for table in ("requests", "answers", "scores"):
                    list(ledger.rows(table))
                if not read_only:
                    ledger.claim(["k"], Holder())

    battery("ledger", [good.read_bytes()], read, min(n, 600))


@counts
def test_notes_beside_adapters(tmp_path, n: int) -> None:
    (tmp_path / "adapter").mkdir()

    def read(content: bytes) -> None:
        (tmp_path / "adapter" / "schema.json").write_bytes(content)
        adapter_split(tmp_path / "adapter")

    good = json.dumps({"question": "a", "schema": {"attributes": {"humor": "h"}}, "split": "abc"}, indent=1)
    battery("note", [good.encode()], read, n)


@pytest.mark.parametrize("kind", ["tsv", "csv", "parquet", "yaml"])
def test_what_is_no_file_is_told(tmp_path, kind: str) -> None:
    read: Any = load_schema if kind == "yaml" else read_scores
    (tmp_path / f"folder.{kind}").mkdir()
    for name in (f"none.{kind}", f"folder.{kind}", f"{'x' * 300}.{kind}", f"none/none.{kind}"):
        with pytest.raises(BurnishError, match=kind):
            read(tmp_path / name)

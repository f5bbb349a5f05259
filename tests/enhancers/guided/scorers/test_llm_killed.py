"""A run that is killed or interrupted loses no answer that came, and pays for none twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.ledger import Ledger, item_key, text_hash
from burnish.enhancers.guided.scorers.prompts import prompt_name, system_message

_SUPPORT = Path(__file__).resolve().parents[3] / "support"
_RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from types import SimpleNamespace
from llm_world import scorer, some_texts, tiny_schema
made = scorer(SimpleNamespace(url=sys.argv[2]), Path(sys.argv[3]), prompts=1, concurrency=4)
print("ready", flush=True)
try:
    made.score(some_texts(1000), tiny_schema())
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""
IN_FLIGHT = 4 * 10


def started(server: ChatServer, folder: Path, *, requests: int) -> subprocess.Popen:
    """A run of 1,000 items in another process, which has sent so many requests."""
    command = [sys.executable, "-c", _RUN, str(_SUPPORT), server.url, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(server.seen) < requests:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


def scored(folder: Path) -> int:
    with Ledger(folder / "ledger.sqlite", read_only=True) as ledger:
        return ledger.count("scores")


@pytest.mark.parametrize("after", [1, 30, 71])
def test_kill_9_in_the_middle_of_a_thousand_items(tmp_path, after: int) -> None:
    with ChatServer(delay=0.01) as server:
        process = started(server, tmp_path, requests=after)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        kept = scored(tmp_path)
        assert sum(server.answered.values()) - kept <= IN_FLIGHT
        with Ledger(tmp_path / "ledger.sqlite", read_only=True) as ledger:
            known = [str(row["text_hash"]) for row in ledger.rows("scores")]
        assert len(known) == len(set(known)) == kept

        scores = scorer(server, tmp_path, prompts=1, concurrency=16).score(some_texts(1000), tiny_schema())
        np.testing.assert_array_equal(scores.values, right_values(some_texts(1000)))
        again = [text for text, times in server.asked.items() if times > 1]
        assert len(again) <= IN_FLIGHT
        assert max(server.asked.values()) <= 2
        assert not {text_hash(text) for text in again} & set(known)  # only of those that had no answer
        assert scored(tmp_path) == 1000


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_keeps_what_was_in_flight(tmp_path) -> None:
    with ChatServer(delay=0.05) as server:
        process = started(server, tmp_path, requests=20)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert out.split() == ["ready", "interrupted"]
        sent = sum(server.asked.values())
        assert sent < 1000
        assert scored(tmp_path) == sent  # every request that was sent was waited for
        scorer(server, tmp_path, prompts=1).score(some_texts(1000), tiny_schema())
        assert set(server.asked.values()) == {1}


def test_a_second_ctrl_c_does_not_wait(tmp_path) -> None:
    with ChatServer(delay=10.0) as server:
        process = started(server, tmp_path, requests=4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert process.returncode == 130
        assert scored(tmp_path) == 0  # the answers were on their way


# ---------------------------------------------------------------------- at random instants

_SCORE = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from types import SimpleNamespace
from llm_world import scorer, some_texts, tiny_schema
from burnish.enhancers.guided.scorers.files import write_scores
folder = Path(sys.argv[3])
made = scorer(SimpleNamespace(url=sys.argv[2]), folder, prompts=2, concurrency=4, items_per_request=5)
print("ready", flush=True)
write_scores(made.score(some_texts(200), tiny_schema()), folder / "scores.tsv")
"""


def one_run(server: ChatServer, folder: Path, kill_after: float | None) -> bool:
    """Whether a run came to its end before it was killed, so many seconds after it began to score."""
    command = [sys.executable, "-c", _SCORE, str(_SUPPORT), server.url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        return process.wait(120) == 0


def answered_in(folder: Path) -> set[tuple[str, str]]:
    """(hash of the system message, text) of all questions that the ledger has an answer to."""
    schema = tiny_schema()
    texts = [json.dumps({"title": f"Film {k}"}) for k in range(200)]
    found = set()
    if not (folder / "ledger.sqlite").exists():
        return found
    with Ledger(folder / "ledger.sqlite", read_only=True) as ledger:
        for variant in range(2):
            name = prompt_name("items", variant)
            keys = {item_key("tiny", name, schema.fingerprint(), text): text for text in texts}
            system = text_hash(system_message(schema, "items", variant))
            found |= {(system, keys[key]) for key in ledger.known(list(keys))}
    return found


def asked_of(server: ChatServer) -> Counter[tuple[str, str]]:
    with server.lock:
        return Counter(
            (text_hash(seen.body["messages"][0]["content"]), text)
            for seen in server.seen
            for text in seen.items
        )


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_at_random_instants(tmp_path, kills: int) -> None:
    """However often it is killed: the same file in the end, and nothing paid twice that was not on its way."""
    draw = random.Random(kills)
    whole = tmp_path / "whole"
    whole.mkdir()
    with ChatServer(delay=0.02) as server:
        assert one_run(server, whole, None)
    wanted = (whole / "scores.tsv").read_bytes()
    killed = episode = 0
    while killed < kills:
        folder = tmp_path / str(episode)
        folder.mkdir()
        episode += 1
        with ChatServer(delay=0.02) as server:
            here = 0
            while True:
                known, before = answered_in(folder), asked_of(server)
                last = killed >= kills
                ended = one_run(server, folder, None if last else draw.uniform(0.0, 0.6))
                again = asked_of(server) - before
                assert not known & set(again)  # what has an answer is not asked
                if ended:
                    break
                killed, here = killed + 1, here + 1
                assert not (folder / "scores.tsv").exists() or (folder / "scores.tsv").read_bytes() == wanted
            asked = asked_of(server)
            assert len(asked) == 400
            assert sum(asked.values()) - 400 <= here * 4 * 5  # what was on its way when it was killed
        assert (folder / "scores.tsv").read_bytes() == wanted

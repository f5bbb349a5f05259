"""A run that is killed or interrupted loses no answer that came, and pays for none twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided.ledger import Ledger, text_hash

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

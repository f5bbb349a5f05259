"""Several runs on one ledger: each question is paid for once, and nobody waits for one who is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer, Misdeed
from llm_world import right_values, scorer, some_texts, tiny_schema

from burnish.enhancers.guided import claims
from burnish.enhancers.guided.cost import LimitError, Limits
from burnish.enhancers.guided.scorers import dispatch

_SUPPORT = Path(__file__).resolve().parents[3] / "support"
_RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from llm_world import scorer, some_texts, tiny_schema
from burnish.enhancers.guided import claims
claims.LEASE_S = float(sys.argv[5])
made = scorer(SimpleNamespace(url=sys.argv[2]), Path(sys.argv[3]), prompts=2, concurrency=4, items_per_request=5)
scores = made.score(some_texts(200), tiny_schema())
np.save(sys.argv[4], scores.values)
"""


def started(server: ChatServer, folder: Path, name: str, lease: float = 60.0) -> subprocess.Popen:
    arguments = [str(_SUPPORT), server.url, str(folder), str(folder / f"{name}.npy"), str(lease)]
    return subprocess.Popen([sys.executable, "-c", _RUN, *arguments])


def wait_for_requests(server: ChatServer, n: int) -> None:
    deadline = time.monotonic() + 120
    while len(server.seen) < n:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_two_processes_share_the_work(tmp_path) -> None:
    with ChatServer(delay=0.02) as server:
        runs = [started(server, tmp_path, name) for name in "ab"]
        assert [run.wait(120) for run in runs] == [0, 0]
        assert set(server.asked.values()) == {2}  # once in either wording
    for name in "ab":
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), right_values(some_texts(200)))


def test_a_killed_process_holds_nobody_up(tmp_path) -> None:
    with ChatServer(delay=0.05) as server:
        first = started(server, tmp_path, "a", lease=1e6)  # nobody lives to see its claims end
        wait_for_requests(server, 6)
        second = started(server, tmp_path, "b", lease=1e6)
        wait_for_requests(server, 30)
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert second.wait(120) == 0
        asked = server.asked
    assert max(asked.values()) <= 3
    assert sum(times - 2 for times in asked.values()) <= 4 * 5  # what was on its way
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), right_values(some_texts(200)))


def test_a_stopped_process_holds_nobody_up_for_longer_than_its_claims(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        claims, "LEASE_S", 1.0
    )  # as seen from here: what ends later was made by another clock
    with ChatServer(delay=0.05) as server:
        first = started(server, tmp_path, "a")
        wait_for_requests(server, 8)
        first.send_signal(signal.SIGSTOP)
        try:
            made = scorer(server, tmp_path, prompts=2, items_per_request=5)
            values = made.score(some_texts(200), tiny_schema()).values
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait(120) == 0
        assert max(server.asked.values()) <= 4
    np.testing.assert_array_equal(values, right_values(some_texts(200)))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), values)


def test_two_threads_share_the_work(tmp_path) -> None:
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        made = scorer(server, tmp_path, prompts=1, items_per_request=3, concurrency=2)
        found[number] = made.score(some_texts(60), tiny_schema()).values

    with ChatServer(delay=0.02) as server:
        threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(server.asked.values()) == {1}
    for number in range(3):
        np.testing.assert_array_equal(found[number], right_values(some_texts(60)))


def test_what_one_gives_up_the_other_asks(tmp_path) -> None:
    """A run that stops at a limit leaves nothing behind that the other would wait for."""

    def stopped() -> None:
        limited = scorer(server, tmp_path, prompts=1, items_per_request=1, limits=Limits(max_requests=5))
        with pytest.raises(LimitError):
            limited.score(*some())

    with ChatServer(delay=0.02) as server:
        thread = threading.Thread(target=stopped)
        thread.start()
        wait_for_requests(server, 3)
        values = scorer(server, tmp_path, prompts=1, items_per_request=1).score(*some()).values
        thread.join()
        assert set(server.asked.values()) == {1}
    np.testing.assert_array_equal(values, right_values(some_texts(60)))


def some() -> tuple[Any, Any]:
    return some_texts(60), tiny_schema()


def test_an_item_that_fails_here_is_asked_by_whoever_waits_for_it(tmp_path) -> None:
    poison = Misdeed(content=lambda s: "No.", when=lambda body: "Film 5" in body["messages"][1]["content"])
    with ChatServer(delay=0.02) as server:
        server.misbehave(poison, times=2)
        found: list[Any] = []
        first = scorer(server, tmp_path, prompts=1, items_per_request=1, retries=1)
        thread = threading.Thread(target=lambda: found.append(first.score(some_texts(9), tiny_schema())))
        thread.start()
        wait_for_requests(server, 1)
        second = scorer(server, tmp_path, prompts=1, items_per_request=1, retries=1)
        scores = second.score(some_texts(9), tiny_schema())
        thread.join()
    assert list(found[0].notes) + list(scores.notes) in (["105"], [])


def test_claims_are_renewed_while_a_run_lives(tmp_path, monkeypatch) -> None:
    """An answer takes longer than a claim is good for."""
    monkeypatch.setattr(claims, "LEASE_S", 0.4)
    monkeypatch.setattr(dispatch, "RENEW_S", 0.1)
    with ChatServer(delay=1.5) as server:
        first = scorer(server, tmp_path, prompts=1)
        thread = threading.Thread(target=first.score, args=(some_texts(10), tiny_schema()))
        thread.start()
        wait_for_requests(server, 1)
        scorer(server, tmp_path, prompts=1).score(some_texts(10), tiny_schema())
        thread.join()
        assert set(server.asked.values()) == {1}

"""Searches for better ways to train whose runs are made up, one at a time or several at once, on made-up time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.improve import crew, tried
from burnish.benchmarks.improve.crew import Alone, Outcome
from burnish.benchmarks.improve.families import Family
from burnish.benchmarks.improve.search import Search
from burnish.benchmarks.improve.tried import Clock
from burnish.errors import BurnishError

RATES = [0.001, 0.002, 0.005, 0.01]
WAYS = [
    Family("plain", "", {}, {"learning_rate": RATES}),
    Family("prior", "", {"prior": {}}, {"learning_rate": RATES}),
    Family("softmax", "", {"softmax": {}}, {"learning_rate": RATES}),
    Family("average", "", {"average": {}}, {"learning_rate": RATES}),
    Family("compress", "", {"compress": {}}, {}),
    Family("aggregate", "", {"aggregate": {}}, {"learning_rate": RATES}),
]
Made = Callable[..., Any]


def usual_seconds(spec: RunSpec) -> float:
    """A second for a floor, ten milliseconds an epoch for the others."""
    return 1.0 if spec.label == "floors" else 0.01 * spec.options["epochs"]


class Several:
    """So many hands, on made-up time.  log: what was begun, and ended, in this order."""

    threads = None

    def __init__(self, n: int, runs: Path, time: dict[str, float], seconds: Any, record: Any) -> None:
        self.n, self.runs = n, runs
        self.log: list[tuple[str, str]] = []
        self.waits: list[bool] = []
        #: Ways whose next run another process has in hand, with its lock.
        self.in_hand: dict[str, Path] = {}
        self._time, self._seconds, self._record = time, seconds, record
        self._open: list[tuple[float, int, RunSpec]] = []

    def begin(self, number: int, spec: RunSpec, *, wait: bool = True) -> None:
        assert len(self._open) < self.n
        self.log.append(("begin", spec.arm))
        self.waits.append(wait)
        heapq.heappush(self._open, (self._time["now"] + self._seconds(spec), number, spec))

    def next(self, on_epoch: Any, on_lost: Any) -> tuple[int, Outcome]:
        end, number, spec = heapq.heappop(self._open)
        self._time["now"] = max(self._time["now"], end)
        self.log.append(("end", spec.arm))
        if spec.arm in self.in_hand:
            return number, Outcome(lock=self.in_hand.pop(spec.arm))
        seconds = self._seconds(spec)
        try:
            return number, Outcome(seconds, record=self._record(spec))
        except BurnishError as error:
            return number, Outcome(seconds, str(error), refused=True)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Makes a search whose runs have the values that a function gives, and the list of runs that are done.

    ends: the epoch after which runs end by themselves.  n: runs at a time.  seconds: what a run takes.  place: a folder
    for the search; searches in one folder are one that goes on.
    """

    def make(
        value: Callable[[RunSpec], float],
        budget: float = 600.0,
        ends: int | None = None,
        ways: list[Family] = WAYS,
        n: int = 1,
        seconds: Callable[[RunSpec], float] = usual_seconds,
        place: str = ".",
        **more: Any,
    ) -> tuple[Search, list[RunSpec]]:
        ticks = itertools.count()
        runs = tmp_path / place / "runs"
        time = {"now": 0.0}
        monkeypatch.setattr(tried.time, "perf_counter", lambda: time["now"] + 1e-6 * next(ticks))
        done: list[RunSpec] = []

        def record(spec: RunSpec) -> RunRecord:
            done.append(spec)
            folder = spec.folder(runs)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "DONE").touch()
            figure = value(spec)
            who = (spec.dataset, spec.label, spec.arm, spec.seed, spec.trial, folder)
            curve = () if ends is None else ((min(ends, spec.options["epochs"]), figure),)
            return RunRecord(*who, "done", valid={"ndcg@10": figure}, seconds=seconds(spec), curve=curve)

        def carry_out(spec: RunSpec, runs: Path, **_: Any) -> RunRecord:
            time["now"] += seconds(spec)
            return record(spec)

        monkeypatch.setattr(crew, "carry_out", carry_out)
        base = RunSpec("tiny", "BPR", "BPR", "plain", 7, {}, {"epochs": 90})
        hands = Alone(runs) if n == 1 else Several(n, runs, time, seconds, record)
        search = Search(
            base, ways, hands, Clock(budget), "ndcg@10", 90, tmp_path / place / "state.json", **more
        )
        return search, done

    return make


def rate_of(spec: RunSpec) -> float:
    return float(spec.options.get("learning_rate", 0.001))


def by_way(values: dict[str, float], best_rate: float = 0.005) -> Callable[[RunSpec], float]:
    """Values by the way, and the nearer to the best learning rate the better."""
    return lambda spec: values.get(spec.arm, 0.1) - abs(rate_of(spec) - best_rate)

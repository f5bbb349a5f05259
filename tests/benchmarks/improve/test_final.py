"""The look at the test set: what is compared, on which seeds, and what is told of it; the runs are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import Event
from burnish.benchmarks.harness.plan import Plan
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.improve import final
from burnish.benchmarks.improve.outcome import Improvement
from burnish.benchmarks.improve.search import Search
from burnish.benchmarks.improve.tried import News, Tried
from burnish.errors import BurnishError

PLAIN = Tried("plain", {"learning_rate": 0.002}, 0.3, 90, 0.9)
WINNER = Tried("softmax", {"learning_rate": 0.01}, 0.5, 90, 0.9)
FLOOR = Tried("EASE", {"reg_weight": 250.0}, 0.2, 1, 0.5)


class Runs:
    """In the place of `run_plan`: each run of a plan takes so many seconds.

    asked: the plans, each with the number of workers.  fails: the arm whose runs fail.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[Plan, int]] = []
        self.seconds, self.fails = 1.0, ""

    def __call__(
        self, plan: Plan, *, quiet: bool, on_event: Callable[[Event], None], workers: int
    ) -> list[RunRecord]:
        self.asked.append((plan, workers))
        on_event(Event("start", "winner", "begins"))
        on_event(Event("done", "winner", "is done"))
        on_event(Event("lost", "worker 2 of 2", "worker 2 of 2 ended (signal 9); another one goes on"))
        who = ("tiny", "BPR", "winner", plan.seeds[0])
        trial = RunRecord(*who, 0, Path(), "done", seconds=1e12)  # of a choice: no part of the test
        return [
            trial,
            *(
                RunRecord(
                    *("tiny", "BPR", arm, seed, None, Path(), "failed" if arm == self.fails else "done"),
                    error="no room" if arm == self.fails else None,
                    seconds=self.seconds,
                )
                for seed in plan.seeds
                for arm in ("plain", "winner")
            ),
        ]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made_up = Runs()
    monkeypatch.setattr(final, "run_plan", made_up)
    monkeypatch.setattr(final, "summarise", lambda *_, **__: [])
    monkeypatch.setattr(final, "write_winner", lambda *_: {})
    monkeypatch.setattr(final, "verdict", lambda *_: (True, "Better."))
    return made_up


def looked(search: Search, place: Path) -> Improvement:
    return final.tested(search, WINNER, PLAIN, search.base, place)


def test_the_seeds_are_those_after_the_search_and_as_many_as_there_is_time_for(
    made: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    search, _ = made(lambda spec: 0.1)
    assert search.base.seed == 7
    looked(search, tmp_path)
    assert [list(plan.seeds) for plan, _ in runs.asked] == [[8, 9], [8, 9, 10, 11, 12]]
    assert {plan.runs for plan, _ in runs.asked} == {tmp_path / "test"}

    # Decided once: the same seeds though there is no time any more.
    again, _ = made(lambda spec: 0.1)
    runs.asked.clear()
    runs.seconds = 1e9
    looked(again, tmp_path)
    assert [list(plan.seeds) for plan, _ in runs.asked] == [[8, 9], [8, 9, 10, 11, 12]]


def test_a_small_budget_has_two_seeds(made: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    search, _ = made(lambda spec: 0.1)
    runs.seconds = 1e9
    looked(search, tmp_path)
    assert [list(plan.seeds) for plan, _ in runs.asked] == [[8, 9]]


@pytest.mark.parametrize("n", [1, 2])
def test_the_winner_plain_and_the_floor_have_their_own_settings(
    n: int, made: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    search, _ = made(lambda spec: 0.1, n=n)
    search.floors = {"EASE": [FLOOR]}
    found = looked(search, tmp_path)
    plan, workers = runs.asked[0]
    assert workers == n
    assert plan.tune is not None
    assert plan.tune.arms == {"plain": {"learning_rate": [0.002]}, "winner": {"learning_rate": [0.01]}}
    assert plan.tune.trials == 1
    assert {name: dict(arm.enhancers) for name, arm in plan.arms.items()} == {
        "plain": {},
        "winner": {"softmax": {}},
    }
    assert {name: floor.tune for name, floor in plan.floors.items()} == {"EASE": {"reg_weight": [250.0]}}
    assert plan.keep_checkpoints
    assert (found.winner, found.settings) == ("softmax", {"learning_rate": 0.01})


def test_without_floors_there_is_none(made: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    search, _ = made(lambda spec: 0.1)
    looked(search, tmp_path)
    assert not runs.asked[0][0].floors


def test_a_run_that_fails_is_told_in_the_place_of_a_verdict(
    made: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    search, _ = made(lambda spec: 0.1)
    runs.fails = "winner"
    with pytest.raises(BurnishError, match="the test of the winner failed: no room"):
        looked(search, tmp_path)


def test_a_killed_worker_is_told_of(made: Callable[..., Any], runs: Runs, tmp_path: Path) -> None:
    told: list[News] = []
    search, _ = made(lambda spec: 0.1, tell=told.append)
    looked(search, tmp_path)
    lost = [news.message for news in told if news.kind == "lost"]
    assert lost[0] == "worker 2 of 2 ended (signal 9); another one goes on"


def test_the_time_of_the_test_is_noted_though_it_is_interrupted(
    made: Callable[..., Any], runs: Runs, tmp_path: Path
) -> None:
    def tell(news: News) -> None:
        if news.kind == "start":
            search.clock.spent += 50.0
        if news.kind == "lost":
            raise KeyboardInterrupt

    search, _ = made(lambda spec: 0.1, tell=tell)
    with pytest.raises(KeyboardInterrupt):
        looked(search, tmp_path)
    again, _ = made(lambda spec: 0.1)
    assert 50.0 <= again.clock.now() < 51.0

"""What a plan has yet to do, and the time it takes: nothing is trained or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from burnish.benchmarks.harness import make_plan, run_plan
from burnish.benchmarks.harness.grid import look_ahead
from burnish.benchmarks.harness.outlook import in_words, outlook, time_left, to_table
from burnish.benchmarks.harness.runs import RunRecord


def record(arm: str, trial: int | None, seconds: float, backbone: str = "BPR") -> RunRecord:
    return RunRecord("d", backbone, arm, 1, trial, Path(), "kept", seconds=seconds)


def test_times_are_those_of_the_likest_runs() -> None:
    records = [record("plain", 0, 2.0), record("plain", 1, 4.0), record("plain", None, 10.0)]
    expected = [("BPR", "plain", 4, 3), ("BPR", "softmax", 1, 2), ("NGCF", "plain", 1, 1)]
    lines = outlook("d", expected, records)
    # Of another arm of the backbone: its trials for trials, its runs for runs.
    assert [line.seconds for line in lines] == [2 * 3 + 2 * 10, 3 + 2 * 10, None]
    assert [line.guessed for line in lines] == [False, True, False]
    assert [(line.trials_done, line.runs_done) for line in lines] == [(2, 1), (0, 0), (0, 0)]
    assert time_left(lines[:1]).in_words() == "26 s"
    assert time_left(lines[:2]).in_words() == "about 49 s"
    assert time_left(lines).in_words() == "at least 49 s"
    assert time_left(lines).in_words(2) == "at least 24 s"
    assert time_left(lines[2:]).in_words() == "unknown"


def test_floors_in_closed_form_say_nothing_of_what_is_trained() -> None:
    """Nor of each other: a matrix inversion and a count of clicks have no time in common."""
    records = [record("Pop", None, 0.1, "floors"), record("EASE", 0, 2.0, "floors")]
    expected = [
        ("floors", "Pop", 0, 2),
        ("floors", "EASE", 3, 1),
        ("floors", "ItemKNN", 1, 1),
        ("BPR", "plain", 0, 2),
    ]
    lines = outlook("d", expected, records)
    assert [line.seconds for line in lines] == pytest.approx([0.1, 2 * 2 + 2, None, None])
    table = to_table([*lines, *outlook("e", expected[:1], [])])
    assert [column.header for column in table.columns][:2] == ["data set", "backbone"]
    assert [*table.columns[-1].cells] == ["0 s", "6 s", "unknown", "unknown", "unknown"]


def test_without_runs_nobody_knows() -> None:
    lines = outlook("d", [("BPR", "plain", 0, 2)], [])
    assert lines[0].seconds is None
    assert (time_left(lines).seconds, time_left(lines).unknown) == (0.0, 1)
    assert outlook("d", [("BPR", "plain", 0, 0)], [])[0].seconds == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "unknown"), (0.0, "-"), (40.2, "40 s"), (200, "3 min"), (7500, "2 h 5 min")],
)
def test_times_in_words(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words


def test_a_plan_before_between_and_after(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {
        **plan_content,
        "floors": ["Pop", "prior"],
        "tune": {"trials": 2, "seed": 5, "space": {"learning_rate": [0.01, 0.02]}},
    }
    plan = make_plan(content)

    def counts() -> dict[str, tuple[int, int, int, int]]:
        return {
            line.arm: (line.trials_done, line.trials, line.runs_done, line.runs) for line in look_ahead(plan)
        }

    before = counts()
    assert set(before) == {"Pop", "prior", "plain", "big"}
    assert before["Pop"] == (0, 0, 0, 2)
    assert before["plain"] == before["prior"] == (0, 2, 0, 2)
    assert not list(plan.runs.rglob("*.json"))
    started = []

    def stop(event: Any) -> None:
        started.append(event)
        if event.kind == "done" and event.key == "BPR / plain / seed 5 / trial 1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, quiet=True, on_event=stop)
    assert counts()["plain"] == (1, 2, 0, 2)
    run_plan(plan, quiet=True)
    assert all(done == of and ran == runs for done, of, ran, runs in counts().values())
    assert time_left(look_ahead(plan)).in_words() == "-"

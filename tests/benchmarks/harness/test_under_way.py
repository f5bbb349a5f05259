"""Reports in the middle of tuning: what is done, by validation alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burnish.benchmarks.harness import make_plan, run_plan, summarise
from burnish.benchmarks.harness.under_way import under_way
from burnish.cli.main import app

SPACE = {"learning_rate": [0.001, 0.01, 0.1]}


class Killed(BaseException):
    """The end of a process, which no handler sees."""


def stopped_after(content: dict[str, Any], trials: int) -> Path:
    """The runs of a plan whose process ends when so many trials are done."""
    count = 0

    def kill(event: Any) -> None:
        nonlocal count
        count += event.kind in ("done", "failed")
        if count == trials:
            raise Killed

    with pytest.raises(Killed):
        run_plan(make_plan(content), quiet=True, on_event=kill)
    return Path(content["runs"])


def test_what_is_done_is_said_without_test_figures(plan_content: dict[str, Any]) -> None:
    content = {**plan_content, "tune": {"trials": 3, "space": SPACE}, "seeds": 1}
    runs = stopped_after(content, 5)
    tuned, open_ = sorted(under_way(runs), key=lambda one: one.done == 2)
    values = {
        arm: [
            json.loads(path.read_text())["valid_result"]["ndcg@10"]
            for path in (runs / "tiny/BPR" / arm).glob("tune/*/metrics.json")
        ]
        for arm in ("plain", "big")
    }
    assert [len(some) for some in values.values()] == [3, 2]
    assert (open_.arm, open_.done, open_.trials, open_.best) == ("big", 2, 3, max(values["big"]))
    assert (tuned.arm, tuned.done, tuned.best) == ("plain", 3, max(values["plain"]))
    assert str(open_) == (
        f"tiny: BPR, big: 2 of 3 trials done, best validation ndcg@10 {max(values['big']):.4f}, over learning_rate "
        f"(0.001, 0.01, 0.1)."
    )
    assert "chosen: learning_rate = " in str(tuned)

    said = CliRunner().invoke(app, ["report", str(runs)])
    assert said.exit_code == 0, said.output
    assert "Nothing to compare yet; tuning, by validation:" in said.stdout
    assert str(open_) in said.stdout
    refused = CliRunner().invoke(app, ["report", str(runs), "--output", "table.md"])
    assert refused.exit_code == 2
    assert "table.md cannot be written yet" in " ".join(refused.output.split())
    assert not Path("table.md").exists()

    # Another arm of a plan that is done otherwise.
    run_plan(make_plan(content), quiet=True)
    assert under_way(runs) == []
    assert not any("Not tuned" in line for line in summarise(runs).tuning)
    stopped_after({**content, "arms": {**content["arms"], "new": {"options": {"embedding_size": 4}}}}, 2)
    (line,) = (line for line in summarise(runs).tuning if "Not tuned" in line)
    assert line.startswith(
        "Not tuned to the end: tiny: BPR, new: 2 of 3 trials done, best validation ndcg@10"
    )


def test_failed_trials_are_counted(plan_content: dict[str, Any]) -> None:
    content = {
        **plan_content,
        "tune": {"trials": 3, "space": {"learning_rate": [1e30, 0.01, 0.1]}},
        "arms": {},
    }
    (one,) = under_way(stopped_after(content, 2))
    assert (one.done, one.failed) == (2, 1)
    assert "2 of 3 trials done (1 failed), best validation ndcg@10" in str(one)


def test_what_cannot_be_read_is_left_out(plan_content: dict[str, Any]) -> None:
    runs = stopped_after({**plan_content, "tune": {"trials": 3, "space": SPACE}}, 1)
    (note,) = runs.rglob("asked-*.json")
    note.write_text("{")
    assert under_way(runs) == []
    assert under_way(runs / "absent") == []

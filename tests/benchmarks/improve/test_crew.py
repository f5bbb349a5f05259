"""Processes that carry out runs for a search: the same figures, whoever dies; and nothing that stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.improve import crew
from burnish.benchmarks.improve.crew import Alone, Crew, Hands, Outcome, as_line, why_alone

LOUD = """
import sys
import warnings

from recbole.model.general_recommender import BPR


class Loud(BPR):
    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        print('{"kind": "ended", "seconds": 0}', flush=True)
        print("no JSON", file=sys.stderr)
        warnings.warn("this one is loud")
"""


@pytest.fixture
def specs(small: dict[str, Any]) -> list[RunSpec]:
    """One that prints and warns, one with an enhancer, and one that is refused."""
    Path("loud.py").write_text(LOUD, encoding="utf-8")
    softmax = {"softmax": {"temperature": 0.1}}
    cold = {**small, "embedding_size": 16}
    return [
        RunSpec("tiny", "loud.py:Loud", "Loud", "plain", 1, {}, {**small, "epochs": 40}, trial=0),
        RunSpec("tiny", "BPR", "BPR", "softmax", 1, softmax, small, trial=1),
        RunSpec("tiny", "EASE", "EASE", "softmax", 1, softmax, cold, trial=2),
    ]


def carried_out(
    hands: Hands, specs: list[RunSpec], on_epoch: Any = None, on_lost: Any = None
) -> list[Outcome]:
    """What becomes of runs, in their order."""
    found: dict[int, Outcome] = {}
    waiting, under_way = list(enumerate(specs)), 0
    while waiting or under_way:
        while waiting and under_way < hands.n:
            hands.begin(*waiting.pop(0))
            under_way += 1
        number, outcome = hands.next(on_epoch or (lambda *_: None), on_lost or (lambda *_: None))
        found[number] = outcome
        under_way -= 1
    return [found[number] for number in sorted(found)]


def figures(specs: list[RunSpec], runs: Path) -> list[Any]:
    said = [json.loads((spec.folder(runs) / "metrics.json").read_text()) for spec in specs]
    return [(one["valid_result"], one["losses"], one["valid_scores"]) for one in said]


def leftovers(runs: Path) -> list[Path]:
    return [path for path in runs.rglob(".*") if path.name.startswith(".")]


def test_the_figures_are_those_of_one_process_though_a_worker_is_killed(
    specs: list[RunSpec], tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="this one is loud"):
        alone = carried_out(Alone(tmp_path / "alone", 1), specs)
    others = {child.pid for child in psutil.Process().children()}  # of earlier tests in this process
    lost: list[str] = []

    def own() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if child.pid not in others]

    epochs: list[int] = []

    def kill_once(number: int, epoch: Any) -> None:
        epochs.append(number)
        if len(epochs) == 1:
            for child in own():
                child.kill()

    def interrupted(number: int, epoch: Any) -> None:
        raise KeyboardInterrupt

    long = replace(specs[0], options={**specs[0].options, "epochs": 100000, "stopping_step": 100000})
    several: list[Outcome] = []

    def several_and_one_more() -> None:
        with Crew(2, tmp_path / "two", 1) as hands:
            several.extend(carried_out(hands, specs, kill_once, lambda _, text: lost.append(text)))
            hands.begin(9, long)
            hands.next(interrupted, lambda *_: None)

    with pytest.warns(UserWarning, match="this one is loud"), pytest.raises(KeyboardInterrupt):
        several_and_one_more()
    assert figures(specs[:2], tmp_path / "two") == figures(specs[:2], tmp_path / "alone")
    assert "its process ended (signal 9); it is done again" in lost
    assert {0, 1} <= set(epochs)
    assert [one.error for one in several] == [one.error for one in alone]
    assert [one.refused for one in several] == [False, False, True]
    assert not leftovers(tmp_path / "two")
    assert not own()


def test_a_run_whose_process_ends_every_time_fails(
    specs: list[RunSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process_of(module: str, said: Any, *, out: int) -> subprocess.Popen[bytes]:
        program = "import sys; sys.stdin.readline(); sys.exit('no room')"
        command = [sys.executable, "-S", "-c", program]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=said)

    monkeypatch.setattr(crew, "process_of", process_of)
    lost: list[str] = []
    with Crew(2, tmp_path / "runs", 1) as hands:
        (outcome,) = carried_out(hands, specs[:1], on_lost=lambda _, text: lost.append(text))
    assert lost == ["its process ended (no room); it is done again"] * 3
    assert outcome.error == "its process ended 4 times, the last time with: no room"
    assert not outcome.refused


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_workers_end_with_their_parent(small: dict[str, Any], tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        import psutil
        from burnish.benchmarks.harness.specs import RunSpec
        from burnish.benchmarks.improve.crew import Crew

        def told(number, epoch):
            print(psutil.Process().children()[0].pid, flush=True)

        options = {{**{small!r}, "epochs": 100000, "stopping_step": 100000}}
        with Crew(1, Path({str(tmp_path / "runs")!r}), 1) as hands:
            hands.begin(0, RunSpec("tiny", "BPR", "BPR", "plain", 1, {{}}, options, trial=0))
            hands.next(told, print)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.stdout.close()
    parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=60)
    assert not alive
    assert not leftovers(tmp_path / "runs")


def test_a_run_is_the_same_one_elsewhere(small: dict[str, Any], tmp_path: Path) -> None:
    options = {**small, "topk": (5, 10), "data_path": tmp_path, "noise": {"share": 0.1}}
    spec = RunSpec("tiny", "BPR", "BPR", "softmax", 1, {"softmax": {"temperature": 0.1}}, options, trial=3)
    told = json.loads(json.dumps(as_line(spec)))
    assert RunSpec(**told).digest == spec.digest
    assert RunSpec(**told).options["use_gpu"] is False
    assert why_alone(spec) is None


def test_what_no_other_process_can_do_is_told(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.model.general_recommender import BPR

    own = type("Own", (BPR,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    why = why_alone(RunSpec("tiny", "__main__:Own", "Own", "plain", 1, {}, small))
    assert why is not None
    assert "which another process cannot import" in why
    for odd in ({1, 2}, np.int64(3)):
        why = why_alone(RunSpec("tiny", "BPR", "BPR", "plain", 1, {}, {**small, "embedding_size": odd}))
        assert why is not None
        assert why.startswith(f"embedding_size = {odd!r} is of a type")

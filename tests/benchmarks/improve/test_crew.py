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


#: In the place of a worker: answers as the run's options have it, after it ended so many times.
ANSWERS = """
import json, pathlib, sys, time
for line in sys.stdin:
    order = json.loads(line)
    own = order["spec"]["options"]
    ended = pathlib.Path(own["ended"])
    times = len(ended.read_text()) if ended.exists() else 0
    if times < own["ends"]:
        ended.write_text("x" * (times + 1))
        sys.exit("no room")
    time.sleep(own["after"])
    print(json.dumps({"kind": "ended", "seconds": 1.5, "error": f"waits: {order['wait']}", **own["says"]}), flush=True)
    if own["leaves"]:
        sys.exit()
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes of a crew, which only answer."""
    found: list[subprocess.Popen[bytes]] = []

    def process_of(module: str, said: Any, *, out: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-S", "-c", ANSWERS]
        found.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=said))
        return found[-1]

    monkeypatch.setattr(crew, "process_of", process_of)
    return found


def answered(name: str, *, ends: int = 0, leaves: bool = False, after: float = 0.0, **says: Any) -> RunSpec:
    """A run for which a process ends so many times before it answers.  leaves: it ends afterwards, too."""
    own = {"ended": name, "ends": ends, "leaves": leaves, "after": after, "says": says}
    return RunSpec("tiny", "BPR", "BPR", name, 1, {}, own, trial=0)


def test_a_run_whose_process_ends_every_time_fails(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    lost: list[str] = []
    with Crew(2, tmp_path / "runs", 1) as hands:
        (outcome,) = carried_out(hands, [answered("a", ends=9)], on_lost=lambda _, text: lost.append(text))
    assert lost == ["its process ended (no room); it is done again"] * 3
    assert outcome.error == "its process ended 4 times, the last time with: no room"
    assert not outcome.refused
    assert len(started) == 4


def test_each_run_is_done_again_whatever_became_of_others(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    specs = [answered(name, ends=ends, error=None) for name, ends in (("a", 3), ("b", 2), ("c", 3))]
    with Crew(2, tmp_path / "runs", 1) as hands:
        assert [one.error for one in carried_out(hands, specs)] == [None] * 3
    assert all(process.poll() is not None for process in started)


def test_a_process_does_one_run_after_another(started: list[subprocess.Popen[bytes]], tmp_path: Path) -> None:
    with Crew(2, tmp_path / "runs", 1) as hands:
        for number in range(3):
            hands.begin(number, answered("a"), wait=number == 1)
            answer = hands.next(lambda *_: None, lambda *_: None)
            assert answer == (number, Outcome(1.5, f"waits: {number == 1}"))
        assert len(started) == 1
        carried_out(hands, [answered("a")] * 4)
        assert len(started) == 2
    assert [process.poll() for process in started] == [0, 0]


def test_what_a_process_says_of_a_run_is_passed_on(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    says: list[dict[str, Any]] = [
        {"error": None, "lock": "there/.teacher.lock"},
        {"error": "no product", "refused": True},
        {"error": "broke", "refused": False},
    ]
    with Crew(1, tmp_path / "runs", 1) as hands:
        found = carried_out(hands, [answered(str(number), **one) for number, one in enumerate(says)])
    assert found == [
        Outcome(1.5, lock=Path("there/.teacher.lock")),
        Outcome(1.5, "no product", refused=True),
        Outcome(1.5, "broke"),
    ]


def test_a_process_that_ends_without_a_run_is_no_loss(
    started: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    lost: list[int] = []
    with Crew(2, tmp_path / "runs", 1) as hands:
        hands.begin(0, answered("a", leaves=True))
        hands.begin(1, answered("b", after=0.5))
        numbers = [hands.next(lambda *_: None, lambda number, _: lost.append(number))[0] for _ in range(2)]
        assert numbers == [0, 1]
        assert not lost
        hands.begin(2, answered("c"))
        hands.begin(3, answered("d"))
        assert {hands.next(lambda *_: None, lambda *_: None)[0] for _ in range(2)} == {2, 3}


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

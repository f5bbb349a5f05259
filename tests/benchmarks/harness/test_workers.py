"""Several processes at one plan: the same figures as of one, whoever does which run and whoever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from stand_ins import SLOW

from burnish.benchmarks.harness import Event, make_plan, run_plan, workers
from burnish.benchmarks.harness.runs import carried_out, carry_out
from burnish.benchmarks.harness.specs import spec_of
from burnish.errors import BurnishError, ConfigurationError
from burnish.files.lock import free

PLAN: dict[str, Any] = {
    "arms": {"softmax": {"enhancers": {"softmax": {}}}, "big": {"options": {"embedding_size": 12}}},
    "floors": ["Pop", "prior"],
    "tune": {"trials": 2, "seed": 5, "space": {"learning_rate": [0.01, 0.02]}},
    "seeds": [1, 2],
    "threads": 1,
}


def figures(runs: Path) -> dict[str, Any]:
    """All figures of a folder of runs but the seconds, by run, and what was chosen and compared."""
    found: dict[str, Any] = {}
    for path in sorted(runs.rglob("*.json")):
        name = path.relative_to(runs).as_posix()
        if path.name == "metrics.json":
            said = json.loads(path.read_text())
            found[name] = [said["test_result"], said["valid_result"], said["losses"]]
        elif path.name.startswith(("chosen-", "comparison-")):
            found[name] = json.loads(path.read_text())
    return found


@pytest.fixture
def plan(plan_content: dict[str, Any]) -> dict[str, Any]:
    return {**plan_content, **PLAN}


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    """The figures of one process, once they were asked for."""
    return {}


@pytest.fixture
def alone(plan: dict[str, Any], tmp_path: Path, known: dict[str, Any]) -> dict[str, Any]:
    """The figures of one process, which are the same in every test."""
    if not known:
        runs = tmp_path / "alone"
        run_plan(make_plan({**plan, "runs": str(runs)}), quiet=True)
        known |= figures(runs)
    return known


def test_two_workers_come_to_the_same_and_a_killed_one_is_replaced(
    plan: dict[str, Any], alone: dict[str, Any], tmp_path: Path
) -> None:
    events: list[Event] = []
    victims: list[int] = []

    def kill_once(event: Event) -> None:
        events.append(event)
        others = psutil.Process().children()
        if event.kind == "done" and not victims and others:
            victims.append(others[0].pid)
            os.kill(others[0].pid, signal.SIGKILL)

    runs = tmp_path / "two"
    records = run_plan(make_plan({**plan, "runs": str(runs)}), quiet=True, on_event=kill_once, workers=2)
    assert {record.status for record in records} <= {"done", "kept"}
    assert figures(runs) == alone
    lost = [event.message for event in events if event.kind == "lost"]
    assert lost
    assert "worker 2 of 2 ended (signal 9); another one goes on" in lost[0]
    assert not [
        path for path in runs.rglob(".*") if path.name.startswith((".partial", ".")) and path.is_dir()
    ]


#: Starts a worker with an order, tells its number, and waits.
PARENT = """
import json, os, subprocess, sys
order = json.loads(sys.stdin.readline())
process = subprocess.Popen([sys.executable, "-m", "burnish.benchmarks.harness.worker"], stdin=subprocess.PIPE)
process.stdin.write(json.dumps({**order, "parent": os.getpid()}).encode())
process.stdin.close()
print(process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_worker_whose_parent_is_killed_ends_whatever_it_does(
    plan_content: dict[str, Any], tmp_path: Path
) -> None:
    Path("slow.py").write_text(SLOW, encoding="utf-8")
    made = make_plan({**plan_content, "backbones": ["slow.py:Slow"], "seeds": 1})
    order = {**workers._order(made, 1, 2, 0.0), "folder": os.getcwd()}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps(order).encode() + b"\n")
    parent.stdin.flush()
    worker = psutil.Process(int(parent.stdout.readline()))
    while worker.is_running() and not Path("begun").exists():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    parent.stdin.close()
    parent.stdout.close()
    _, alive = psutil.wait_procs([worker], timeout=30)
    for one in alive:
        one.kill()
    assert not alive
    assert not list((tmp_path / "runs").rglob(".partial-*"))


def test_no_more_workers_are_started_than_there_are_runs(
    plan_content: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def started(plan: Any, n: int, *_: Any) -> Any:
        asked.append(n)
        raise BurnishError("enough")

    monkeypatch.setattr("burnish.benchmarks.harness.grid.Workers", started)
    for n in (1000, 3):
        with pytest.raises(BurnishError, match="enough"):
            run_plan(make_plan(plan_content), quiet=True, workers=n)
    assert asked == [4, 3]  # two arms on two seeds


def test_a_run_in_hand_elsewhere_is_left_to_others(plan: dict[str, Any], tmp_path: Path) -> None:
    made = make_plan({**plan, "runs": str(tmp_path / "runs")})
    spec = spec_of(made, made.backbones[0], "plain", 1)
    folder = spec.folder(made.runs)
    folder.parent.mkdir(parents=True)
    how: dict[str, Any] = {"folder": folder, "since": 0.0, "begun": lambda: None}
    with free(folder.with_name(f".{folder.name}.training.lock")) as mine:
        assert mine
        assert carried_out(spec, made.runs, **how) is None
    assert carried_out(spec, made.runs, only_look=True, **how) is None
    record = carried_out(spec, made.runs, **how)
    assert record is not None
    assert record.status == "done"
    assert carry_out(spec, made.runs).status == "kept"


def test_what_failed_elsewhere_is_not_tried_again(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {**plan, "runs": str(tmp_path / "runs"), "floors": [], "tune": None, "seeds": [1]}
    content["arms"] = {"broken": {"options": {"learning_rate": 1e30}}}
    first = run_plan(make_plan(content), quiet=True)
    failed = [record for record in first if record.status == "failed"]
    assert len(failed) == 1
    trained = []
    monkeypatch.setattr("burnish.benchmarks.harness.runs.train", lambda *_, **__: trained.append(1))
    (note,) = (tmp_path / "runs").rglob("failed-*.json")
    noted = json.loads(note.read_text())
    note.write_text(json.dumps({**noted, "process": "elsewhere-1-1"}))
    again = run_plan(make_plan(content), quiet=True, since=0.0)
    assert [record.error for record in again if record.status == "failed"] == [failed[0].error]
    assert not trained


def test_a_class_of_a_notebook_needs_a_file(plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.model.general_recommender import BPR

    own = type("Own", (BPR,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Own", own, raising=False)
    with pytest.raises(ConfigurationError, match="another process cannot import; put it into a file"):
        run_plan(make_plan({**plan, "backbones": [own], "floors": []}), quiet=True, workers=2)


def test_a_dask_cluster_does_the_same_though_a_worker_is_killed(
    plan: dict[str, Any], alone: dict[str, Any], tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    killed: list[int] = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster) as client:
            pids = client.run(os.getpid)

        def kill_once(event: Event) -> None:
            if event.kind == "done" and not killed:
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        runs = tmp_path / "cluster"
        made = make_plan({**plan, "runs": str(runs)})
        records = run_plan(made, quiet=True, on_event=kill_once, scheduler=cluster.scheduler_address)
        # One that is left open draws random numbers as it looks for a cluster that has gone.
        with pytest.raises(ValueError, match="No global client found"):
            distributed.get_client()
    assert killed
    assert {record.status for record in records} <= {"done", "kept"}
    assert figures(runs) == alone


def test_a_scheduler_that_is_not_there(plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "_ANSWERS_WITHIN", 1)
    with pytest.raises(BurnishError, match="does not answer"):
        run_plan(make_plan(plan), quiet=True, scheduler="tcp://127.0.0.1:9")
    with pytest.raises(BurnishError, match=r"scheduler 'localhost' is no address .* such as tcp://head:8786"):
        run_plan(make_plan(plan), quiet=True, scheduler="localhost")

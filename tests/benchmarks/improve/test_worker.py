"""The process of a crew that does runs: how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stand_ins import SLOW

from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.improve import crew, worker
from burnish.benchmarks.improve.crew import Outcome, as_line
from burnish.training.result import Epoch

COMMAND = [sys.executable, "-m", "burnish.benchmarks.improve.worker"]


def order_of(options: dict[str, Any], runs: Path, backbone: str = "BPR") -> dict[str, Any]:
    spec = RunSpec("tiny", backbone, "Own", "plain", 1, {}, options, trial=0)
    return {"spec": as_line(spec), "runs": str(runs), "threads": 1, "wait": True}


def test_a_worker_without_a_run_ends_when_nothing_more_is_said() -> None:
    done = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_worker_ends_in_the_middle_of_a_run(small: dict[str, Any], tmp_path: Path) -> None:
    Path("slow.py").write_text(SLOW, encoding="utf-8")
    order = order_of(small, tmp_path / "runs", "slow.py:Slow")
    process = subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    while process.poll() is None and not Path("begun").exists():
        time.sleep(0.05)
    try:
        said, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said) == (0, b"")
    assert not list((tmp_path / "runs").rglob(".partial-*"))


@pytest.mark.parametrize("gone", [False, True])
def test_an_epoch_ends_a_run_whose_interruption_was_lost(
    gone: bool, small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(spec: RunSpec, runs: Path, threads: int | None, on_epoch: Any, *, wait: bool) -> Outcome:
        on_epoch(Epoch(1, 3))
        return Outcome(2.0)

    monkeypatch.setattr(crew, "attempt", attempt)
    inbox: Any = SimpleNamespace(gone=threading.Event())
    channel = io.StringIO()
    if gone:
        inbox.gone.set()
        with pytest.raises(KeyboardInterrupt):
            worker._done(order_of(small, tmp_path), channel, inbox)
        assert not channel.getvalue()
    else:
        assert worker._done(order_of(small, tmp_path), channel, inbox)["seconds"] == 2.0
        assert json.loads(channel.getvalue())["epoch"]["number"] == 1

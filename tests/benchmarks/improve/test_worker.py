"""The process of a crew that does runs: how it ends."""

from __future__ import annotations

import subprocess
import sys


def test_a_worker_without_a_run_ends_when_nothing_more_is_said() -> None:
    command = [sys.executable, "-m", "burnish.benchmarks.improve.worker"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"")

"""What several processes at one plan save, and what the harness costs beside the training itself.

    python -m burnish.benchmarks.performance.workers --workers 2

One plan (BPR on ml-100k, three arms, two seeds, one thread a run) is carried out by one process and by several, one
after the other in folders of their own.  "overhead" is the share of one process's time that is in no run: reading and
checking the plan, locks, notes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from burnish.benchmarks.harness import run_plan


def content(runs: Path, epochs: int) -> dict[str, Any]:
    """The plan."""
    return {
        "dataset": "ml-100k",
        "backbones": ["BPR"],
        "arms": {"softmax": {"softmax": {}}, "wide": {"options": {"embedding_size": 96}}},
        "floors": [],
        "seeds": [1, 2],
        "threads": 1,
        "options": {"epochs": epochs, "stopping_step": epochs, "show_progress": False},
        "runs": str(runs),
    }


def timed(folder: Path, epochs: int, workers: int) -> tuple[float, float, list[Any]]:
    """Seconds of the plan, seconds within its runs, and the figures."""
    start = time.perf_counter()
    records = run_plan(content(folder, epochs), quiet=True, workers=workers)
    spent = time.perf_counter() - start
    inside = sum(record.seconds or 0.0 for record in records)
    figures = sorted(json.dumps([record.arm, record.seed, record.test], sort_keys=True) for record in records)
    return spent, inside, figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Print seconds, ratio and overhead."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        timed(Path(folder) / "warm", 1, 1)
        one, inside, figures = timed(Path(folder) / "one", options.epochs, 1)
        several, _, same = timed(Path(folder) / "several", options.epochs, options.workers)
    console = Console()
    console.print(
        f"one process {one:.1f} s, {options.workers} workers {several:.1f} s: {one / several:.2f} times as fast"
    )
    same_or_not = "the same" if figures == same else "DIFFER"
    console.print(f"overhead of the harness {1 - inside / one:.1%}; figures {same_or_not}")


if __name__ == "__main__":
    main()

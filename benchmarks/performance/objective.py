"""Processor seconds to the best validation: a backbone as it is, and with enhancers, in turns.

    python -m burnish.benchmarks.performance.objective --backbones BPR LightGCN --dataset ml-100k

Seconds are the process's (all threads), from the first training step to the end of the epoch that validation found
best, validations included.  Both get the options that tuning chose (--plain and --enhanced, as JSON).  Medians over
seeds, each run in a process of its own; MiB are resident memory at its peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

#: What a plan of comparison says for all runs, in short.
COMMON = {
    "epochs": 500,
    "stopping_step": 20,
    "train_batch_size": 2048,
    "eval_batch_size": 1_600_000,
    "metrics": ["NDCG"],
    "topk": [10],
    "valid_metric": "NDCG@10",
    "threads": 1,
    "show_progress": False,
}


def one_run(
    backbone: str, dataset: str, enhancers: Any, options: dict[str, Any], seed: int
) -> dict[str, float]:
    """Processor seconds to the best epoch, that epoch, validation and test at it, MiB at the peak."""
    import burnish
    from burnish.training.result import Epoch
    from burnish.training.train import train

    del burnish
    ends: dict[int, float] = {}
    scores: dict[int, float] = {}
    begun: list[float] = []

    def note(epoch: Epoch) -> None:
        now = time.process_time()
        if not begun:
            begun.append(now)
        ends[epoch.number] = now
        if epoch.valid_score is not None:
            scores[epoch.number] = epoch.valid_score

    before = time.process_time()
    result = train(
        backbone,
        dataset,
        enhancers=enhancers,
        options={**COMMON, **options},
        seed=seed,
        on_epoch=note,
        keep_checkpoint=False,
    )
    best = int(result.best_epoch or 0)
    first = min(ends)
    # The first epoch has no beginning of its own among the calls: as long as the second.
    length = (ends[first + 1] - ends[first]) if first + 1 in ends else ends[first] - before
    return {
        "seconds": ends[best] - ends[first] + length,
        "epochs": float(best),
        "epoch": (ends[max(ends)] - ends[first]) / max(1, max(ends) - first),
        "valid": float(result.valid_result["ndcg@10"]),
        "test": float(result.test_result["ndcg@10"]),
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table, two rows a backbone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["BPR", "LightGCN"])
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument(
        "--plain", type=json.loads, default={}, help="RecBole options of the plain runs, JSON"
    )
    parser.add_argument("--enhanced", type=json.loads, default={}, help="those of the enhanced runs")
    parser.add_argument("--enhancers", type=json.loads, default={"softmax": {}}, help="a block, JSON")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one is not None:
        print(json.dumps(one_run(*options.one)))
        return
    table = Table(title=f"{options.dataset}: processor seconds to the best validation, seeds {options.seeds}")
    for heading in (
        "backbone",
        "arm",
        "seconds",
        "epochs",
        "an epoch",
        "plain / enhanced",
        "valid",
        "test",
        "MiB",
    ):
        table.add_column(heading, justify="left" if heading in ("backbone", "arm") else "right")
    for backbone in options.backbones:
        arms: dict[str, tuple[Any, dict[str, Any]]] = {
            "plain": ({}, options.plain),
            "+".join(options.enhancers): (options.enhancers, options.enhanced),
        }
        found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
        for seed in options.seeds:
            for arm, (enhancers, own) in arms.items():
                request = json.dumps([backbone, options.dataset, enhancers, own, seed])
                command = [sys.executable, "-m", "burnish.benchmarks.performance.objective", "--one", request]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[arm].append(json.loads(done.stdout.splitlines()[-1]))
        plain = [one["seconds"] for one in found["plain"]]
        for arm, runs in found.items():
            median = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
            ratios = [one / run["seconds"] for one, run in zip(plain, runs, strict=True)]
            table.add_row(
                backbone,
                arm,
                f"{median['seconds']:.1f}",
                f"{median['epochs']:.0f}",
                f"{median['epoch']:.2f}",
                f"{statistics.median(ratios):.1f}",
                *(f"{median[name]:.4f}" for name in ("valid", "test")),
                f"{median['MiB']:.0f}",
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

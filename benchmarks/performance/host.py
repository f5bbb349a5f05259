"""What `burnish.run` of a plain backbone takes, next to RecBole's own `run_recbole`, from start to end.

    python -m burnish.benchmarks.performance.host --backbones BPR LightGCN SASRec DeepFM

Every run is a process of its own, imports included; the two sides take turns.  RecBole's side is mended, or it
would not run here, with burnish's speed switched off.  Losses of all epochs must be equal to the last bit,
metrics to the four decimals that RecBole reports; a run that differs is marked and makes the command fail.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

SIDES = ("recbole", "burnish")
STAGES = ("read", "prepare", "train", "evaluate")
#: Few enough epochs that a comparison takes minutes; BPR would take 300 by default, or until it stops early.
SHORT: dict[str, dict[str, Any]] = {
    "BPR": {"epochs": 30},
    "LightGCN": {"epochs": 5},
    "SASRec": {"epochs": 1, "MAX_ITEM_LIST_LENGTH": 20, "n_layers": 1, "train_neg_sample_args": None},
    "DeepFM": {"epochs": 5},
}


def run_once(side: str, job: dict[str, Any], threads: int) -> dict[str, Any]:
    """One run in a process of its own: seconds in all, of processor time and by stage, losses and metrics."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "BURNISH_SPEED": "off" if side == "recbole" else "on",
    }
    with tempfile.TemporaryDirectory() as folder:
        start, worked = time.perf_counter(), _processor_seconds()
        done = subprocess.run(
            [sys.executable, "-m", "burnish.benchmarks.performance.host", "--child", side],
            input=json.dumps(job),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{side} with {job['model']} failed:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    measured["seconds"].update(total=seconds, processor=_processor_seconds() - worked)
    return measured


def _processor_seconds() -> float:
    """What finished child processes have used so far: unlike time, it hardly depends on what else runs."""
    times = os.times()
    return times.children_user + times.children_system


class Stopwatch:
    """Seconds that RecBole's stages take, and the loss of each epoch, on either side."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.losses: list[Any] = []

    def start(self) -> None:
        """Put a watch around the functions of RecBole that make up the stages."""
        import recbole.data.utils as data
        from recbole.trainer.trainer import Trainer

        from burnish.compat.hook import replace_everywhere

        for stage, name in (("read", "create_dataset"), ("prepare", "data_preparation")):
            replace_everywhere(data, name, self._timed(stage, getattr(data, name)))
        train = self._timed("train", Trainer._train_epoch)

        def train_epoch(*args: Any, **kwargs: Any) -> Any:
            self.losses.append(train(*args, **kwargs))
            return self.losses[-1]

        Trainer._train_epoch = train_epoch
        Trainer.evaluate = self._timed("evaluate", Trainer.evaluate)

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] += time.perf_counter() - start

        return timed


def child(side: str, job: dict[str, Any]) -> dict[str, Any]:
    """What a process of either side does."""
    import burnish

    options = {"show_progress": False, "state": "WARNING", "checkpoint_dir": "saved", **job["options"]}
    watch = Stopwatch()
    if side == "burnish":
        watch.start()
        result = burnish.run(job["model"], job["dataset"], config=options, show_progress=False)
        valid, test = result.best_valid_result, result.rounded_test_result
    else:
        from recbole.quick_start import run_recbole

        watch.start()
        results = run_recbole(job["model"], job["dataset"], config_dict=options)
        valid, test = results["best_valid_result"], results["test_result"]
    metrics = {"valid": valid, "test": test}
    plain = {
        split: {name: float(value) for name, value in values.items()} for split, values in metrics.items()
    }
    return {"seconds": watch.seconds, "losses": watch.losses, "metrics": plain}


def compare(model: str, dataset: str, options: dict[str, Any], repeats: int, threads: int) -> dict[str, Any]:
    """Runs of both sides in turns.

    Returns `ratios` (RecBole's seconds over burnish's, one a pair, by stage, "total" and "processor"), `seconds`
    (medians by side) and `equal` (losses and metrics, in every pair).
    """
    job = {"model": model, "dataset": dataset, "options": options}
    pairs = []
    for number in range(repeats):
        order = SIDES if number % 2 == 0 else SIDES[::-1]  # who goes second finds warm files
        runs = {side: run_once(side, job, threads) for side in order}
        pairs.append((runs["recbole"], runs["burnish"]))
    stages = (*STAGES, "total", "processor")
    return {
        "ratios": {
            stage: [one["seconds"][stage] / max(other["seconds"][stage], 1e-9) for one, other in pairs]
            for stage in stages
        },
        "seconds": {
            side: {
                stage: statistics.median(pair[place]["seconds"][stage] for pair in pairs) for stage in stages
            }
            for place, side in enumerate(SIDES)
        },
        "equal": {
            what: all(one[what] == other[what] for one, other in pairs) for what in ("losses", "metrics")
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table; exit with 1 where the two sides do not agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=list(SHORT))
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--options", type=json.loads, default={}, help="RecBole options as JSON")
    parser.add_argument("--defaults", action="store_true", help="RecBole's own sizes and epochs (long)")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        sys.argv = sys.argv[:1]  # RecBole's Config would read them
        print(json.dumps(child(chosen.child, json.load(sys.stdin))))
        return
    table = Table(
        title=f"run_recbole / burnish.run on {chosen.dataset}, {chosen.threads} thread(s), {chosen.repeats} pairs"
    )
    for column in (
        "backbone",
        "run_recbole s",
        "burnish s",
        "ratio (min - max)",
        "processor",
        *STAGES,
        "losses, metrics",
    ):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    agreed = True
    for backbone in chosen.backbones:
        short = {} if chosen.defaults else SHORT.get(backbone, {"epochs": 2})
        comparison = compare(
            backbone, chosen.dataset, {**short, **chosen.options}, chosen.repeats, chosen.threads
        )
        table.add_row(backbone, *_row(comparison))
        agreed &= all(comparison["equal"].values())
    Console(width=150).print(table)
    if not agreed:
        raise SystemExit(1)


def _row(comparison: dict[str, Any]) -> list[str]:
    total = comparison["ratios"]["total"]
    marks = ", ".join("equal" if same else "DIFFERENT" for same in comparison["equal"].values())
    return [
        *(f"{comparison['seconds'][side]['total']:.1f}" for side in SIDES),
        f"{statistics.median(total):.2f} ({min(total):.2f} - {max(total):.2f})",
        *(f"{statistics.median(comparison['ratios'][stage]):.2f}" for stage in ("processor", *STAGES)),
        marks,
    ]


if __name__ == "__main__":
    main()

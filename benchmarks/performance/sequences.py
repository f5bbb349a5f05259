"""What whole-sequence training saves: an epoch on prefixes against one on windows, and the way to the best epoch.

    python -m burnish.benchmarks.performance.sequences --backbones SASRec GRU4Rec SASRecF NextItNet --share 0.1
    python -m burnish.benchmarks.performance.sequences --backbones SASRec --to-best 100 --json curves.json

Both models live in one process, with the same data, seed and options (RecBole's defaults), and their epochs take
turns.  A prefix epoch of a transformer takes minutes on a processor: `--share 0.1` trains on a tenth of its batches
(the first of a shuffled epoch) and multiplies the time.  Memory is what the tensors of a training step take, counted
in a step that is not timed.  A model that cannot train on whole sequences is listed with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table as Columns

from burnish.speed.memory import CountedMemory

from .timed import TimedModel

#: What single models need to run on ml-100k, beside RecBole's defaults.
WITH_CLASSES = {
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "class"]}
}
NEEDS: dict[str, dict[str, Any]] = dict.fromkeys(("SASRecF", "GRU4RecF", "FDSA"), WITH_CLASSES)
METRIC = "NDCG@10"


class FirstBatches:
    """The first `count` batches of a loader's epochs."""

    def __init__(self, loader: Any, count: int) -> None:
        self.general_dataloader, self.count = loader, count
        self.shuffle = loader.shuffle

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(iter(self.general_dataloader), self.count)


class TimedSequenceModel(TimedModel):
    """One sequential model.

    mode: its `sequence_training`.
    """

    def __init__(self, backbone: str, dataset: str, options: dict[str, Any], mode: str) -> None:
        settings = {"train_neg_sample_args": None, "sequence_training": mode}
        super().__init__(backbone, dataset, {**settings, **NEEDS.get(backbone, {}), **options})
        self.stopping_step = int(self.config["stopping_step"])

    def seconds(self, share: float = 1.0) -> float:
        """Seconds of one more epoch; of a share of its batches, multiplied."""
        batches = len(self.train)
        count = math.ceil(batches * share)
        loader = self.train if count >= batches else FirstBatches(self.train, count)
        self.synchronise()
        start = time.perf_counter()
        self.trainer._train_epoch(loader, self.epochs)
        self.synchronise()
        self.epochs += 1
        return (time.perf_counter() - start) * batches / min(count, batches)

    def mebibytes(self, share: float = 1.0) -> float:
        """The most that the tensors of training steps took at once, in an epoch or the beginning of one."""
        memory = CountedMemory(*self.model.parameters())
        with memory:
            self.seconds(share)
        return memory.peak / 2**20

    def score(self) -> float:
        """NDCG@10 on the validation data."""
        return float(self.trainer._valid_epoch(self.valid)[0])


@dataclass
class Epochs:
    """Prefix against whole: seconds of paired epochs, and mebibytes of a step.  reason: why there is no whole."""

    prefix: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    prefix_mebibytes: float = 0.0
    whole_mebibytes: float = 0.0
    reason: str = ""

    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.prefix, self.whole, strict=True)]


@dataclass
class Course:
    """Training to the best validation score: after each epoch, the seconds trained so far and the score."""

    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def best(self) -> int:
        """The number of the best epoch, from 0."""
        return max(range(len(self.scores)), key=self.scores.__getitem__)

    def goes_on(self, epochs: int, stopping_step: int) -> bool:
        n = len(self.scores)
        return n < epochs and (n == 0 or n - 1 - self.best() <= stopping_step)


def why_not(timed: TimedSequenceModel) -> str:
    """Why a model under `auto` trains on prefixes, or an empty string.  Trains on one batch to see."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        timed.trainer._train_epoch(FirstBatches(timed.train, 1), 0)
    notices = [str(one.message) for one in caught if "sequence_training" in str(one.message)]
    return notices[0].partition("): ")[2] if notices else ""


def compare_epochs(
    backbone: str, dataset: str, options: dict[str, Any], share: float, repeats: int
) -> Epochs:
    """Time epochs of both modes in turns."""
    epochs = Epochs()
    with tempfile.TemporaryDirectory() as folder:
        options = {"checkpoint_dir": folder, **options}
        whole = TimedSequenceModel(backbone, dataset, options, "auto")
        epochs.reason = why_not(whole)
        if epochs.reason:
            return epochs
        prefix = TimedSequenceModel(backbone, dataset, options, "prefix")
        epochs.prefix_mebibytes = prefix.mebibytes(1 / len(prefix.train))
        epochs.whole_mebibytes = whole.mebibytes()
        for number in range(repeats):
            for timed in (whole, prefix) if number % 2 else (prefix, whole):
                seconds = timed.seconds(share if timed is prefix else 1.0)
                (epochs.prefix if timed is prefix else epochs.whole).append(seconds)
    return epochs


def compare_courses(backbone: str, dataset: str, options: dict[str, Any], epochs: int) -> dict[str, Course]:
    """Train both modes to the end of their patience (RecBole's `stopping_step`), epoch by epoch in turns."""
    courses = {mode: Course() for mode in ("prefix", "whole")}
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "checkpoint_dir": folder,
            "valid_metric": METRIC,
            "metrics": ["NDCG"],
            "topk": [10],
            **options,
        }
        timed = {mode: TimedSequenceModel(backbone, dataset, settings, mode) for mode in courses}
        while any(courses[mode].goes_on(epochs, timed[mode].stopping_step) for mode in timed):
            for mode, model in timed.items():
                course = courses[mode]
                if course.goes_on(epochs, model.stopping_step):
                    course.seconds.append((course.seconds or [0.0])[-1] + model.seconds())
                    course.scores.append(model.score())
    return courses


def show_epochs(console: Console, results: dict[str, Epochs], title: str) -> None:
    """One row a backbone."""
    table = Columns(title=title)
    for column in (
        "backbone",
        "prefix s",
        "whole s",
        "ratio (median)",
        "ratio (min - max)",
        "MiB prefix",
        "MiB whole",
    ):
        table.add_column(column, justify="left" if column == "backbone" else "right")
    for backbone, one in results.items():
        if one.reason:
            continue
        ratios = one.ratios()
        table.add_row(
            backbone,
            f"{statistics.median(one.prefix):.2f}",
            f"{statistics.median(one.whole):.2f}",
            f"{statistics.median(ratios):.1f}",
            f"{min(ratios):.1f} - {max(ratios):.1f}",
            f"{one.prefix_mebibytes:.0f}",
            f"{one.whole_mebibytes:.0f}",
        )
    console.print(table)
    for backbone, one in results.items():
        if one.reason:
            console.print(f"{backbone} trains on prefixes: {one.reason}")


def show_courses(console: Console, results: dict[str, dict[str, Course]]) -> None:
    """Two rows a backbone."""
    table = Columns(title=f"to the best validation {METRIC} (seconds of training, without evaluation)")
    for column in ("backbone", "mode", METRIC, "epoch", "seconds", "epochs trained"):
        table.add_column(column, justify="left" if column in ("backbone", "mode") else "right")
    for backbone, courses in results.items():
        for mode, course in courses.items():
            best = course.best()
            figures = (f"{course.scores[best]:.4f}", str(best + 1), f"{course.seconds[best]:.1f}")
            table.add_row(backbone, mode, *figures, str(len(course.scores)))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables; `--json` writes every figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbones", nargs="+", default=["SASRec", "GRU4Rec", "SASRecF", "NextItNet"])
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--repeats", type=int, default=3, help="counted pairs of epochs")
    parser.add_argument("--share", type=float, default=1.0, help="of a prefix epoch's batches that are timed")
    parser.add_argument(
        "--to-best", type=int, default=0, metavar="EPOCHS", help="also train both, up to so many"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--options", type=json.loads, default={}, help="RecBole options as JSON")
    parser.add_argument("--json", type=Path, help="write all figures, the courses of training among them")
    chosen = parser.parse_args(arguments)
    if not 0 < chosen.share <= 1:
        parser.error(f"--share {chosen.share}: give a number above 0 and up to 1")
    torch.set_num_threads(chosen.threads)
    measured = "" if chosen.share == 1 else f", prefix from {chosen.share:.0%} of its batches"
    console = Console(width=110)
    given = (chosen.dataset, chosen.options)
    epochs = {name: compare_epochs(name, *given, chosen.share, chosen.repeats) for name in chosen.backbones}
    show_epochs(
        console, epochs, f"one training epoch on {chosen.dataset}, {chosen.threads} thread(s){measured}"
    )
    courses: dict[str, dict[str, Course]] = {}
    if chosen.to_best:
        able = [name for name in chosen.backbones if not epochs[name].reason]
        courses = {name: compare_courses(name, *given, chosen.to_best) for name in able}
        show_courses(console, courses)
    if chosen.json is not None:
        figures = {
            "share": chosen.share,
            "threads": chosen.threads,
            "options": chosen.options,
            "epochs": {name: asdict(one) for name, one in epochs.items()},
            "courses": {
                name: {mode: asdict(one) for mode, one in both.items()} for name, both in courses.items()
            },
        }
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

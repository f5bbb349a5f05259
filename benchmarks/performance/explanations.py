"""What explaining costs: milliseconds a recommendation, and seconds for many users into a table.

    python -m burnish.benchmarks.performance.explanations [RUN ...]

Times finished runs; without any it trains BPR, LightGCN, MultiVAE and SASRec on ml-100k for an epoch each, which costs
as much to explain as a model that is trained to the end.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

MODELS: dict[str, dict[str, Any]] = {
    "BPR": {"train_batch_size": 4096},
    "LightGCN": {"train_batch_size": 8192},
    "MultiVAE": {},
    "SASRec": {"sequence_training": "auto", "train_neg_sample_args": None},
}


def trained_for_an_epoch(model: str, dataset: str, options: dict[str, Any]) -> Any:
    """A model of one epoch, ready to explain."""
    from burnish.trained.open import open_trained
    from burnish.training.train import train

    given = {"epochs": 1, "show_progress": False, **MODELS.get(model, {}), **options}
    return open_trained(train(model, dataset, options=given))


def figures(trained: Any, *, users: int, batch: int, budget: int | None) -> dict[str, float]:
    """Of one model: seconds to begin with, wall and processor's milliseconds a recommendation, seconds of a batch.

    users: that are explained one by one, five items each.  batch: that are explained into a table; 0 for none.
    """
    from burnish.trained.explain import Explainer
    from burnish.trained.explain_batch import explain_batch

    start = time.perf_counter()
    explainer = Explainer(trained, enhancer="history", budget=budget)
    tokens = explainer.recommender.all_users()
    good = [user for user in tokens if not explainer.nothing_for(user)]
    list(explainer.explanations(good[:1]))
    found = {"begin_s": time.perf_counter() - start}
    start, busy, told = time.perf_counter(), time.process_time(), 0
    for user in good[1 : users + 1]:
        told += len(list(explainer.explanations(user)))
    found["ms"] = 1000 * (time.perf_counter() - start) / told
    found["cpu_ms"] = 1000 * (time.process_time() - busy) / told
    if batch:
        start, busy = time.perf_counter(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            explain_batch(explainer, Path(folder) / "why.parquet", good[:batch])
        found["batch_s"] = time.perf_counter() - start
        found["batch_cpu_s"] = time.process_time() - busy
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--backbones", nargs="+", default=list(MODELS))
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--data-path", default=None)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--budget", type=int, default=None)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    table = Table(title=f"explained by history, {chosen.threads} threads, batch of {chosen.batch} users")
    for heading in ("model", "begin s", "ms each", "CPU ms each", "batch s", "batch CPU s"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for name in chosen.runs or chosen.backbones:
        if chosen.runs:
            from burnish.trained.open import open_trained

            trained = open_trained(name)
        else:
            options = {} if chosen.data_path is None else {"data_path": chosen.data_path}
            with tempfile.TemporaryDirectory() as folder:
                trained = trained_for_an_epoch(name, chosen.dataset, {**options, "checkpoint_dir": folder})
        timed = figures(trained, users=chosen.users, batch=chosen.batch, budget=chosen.budget)
        cells = (timed.get(key) for key in ("begin_s", "ms", "cpu_ms", "batch_s", "batch_cpu_s"))
        shown = ("–" if cell is None else f"{cell:.1f}" for cell in cells)
        table.add_row(str(trained.config["model"]), *shown)
    Console().print(table)


if __name__ == "__main__":
    main()

"""Whether DReX's throughput is flat in the number of interactions, and what an epoch on real reviews takes.

    python -m burnish.benchmarks.performance.drex --sizes 10000 20000 50000 100000
    python -m burnish.benchmarks.performance.drex --dataset NAME --data-path FOLDER --text-folder CACHE

Sizes: interactions of synthetic data sets with seven interactions a user and popularities as in a power law.  Their
texts have 55 tokens of 384 numbers, drawn at random into a memory-mapped file in half precision, as the real store's
are; every text is an interaction's own.  Epochs of all sizes take turns.  With --dataset: epochs of a data set with
reviews, the pass over everything before an evaluation, and the most memory that the process had.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Columns
from torch import Tensor

from .timed import TimedModel

TOKENS, WIDTH, EACH = 55, 384, 7


class SyntheticStore:
    """Token embeddings of n texts in a memory-mapped file, with the interface of `TokenStore` that training uses."""

    width = WIDTH

    def __init__(self, folder: Path, n: int) -> None:
        file = folder / f"tokens-{n}.npy"
        tokens = np.lib.format.open_memmap(file, "w+", np.float16, (n * TOKENS, WIDTH))
        draw = np.random.default_rng(1)
        for part in range(0, n, 2000):
            rows = tokens[part * TOKENS : (part + 2000) * TOKENS]
            rows[:] = draw.standard_normal(rows.shape, dtype=np.float32)
        self._tokens = np.load(file, mmap_mode="r").reshape(n, TOKENS, WIDTH)

    def counts(self, texts: Tensor) -> Tensor:
        """See `TokenStore`."""
        return torch.full((len(texts),), TOKENS)

    def take(self, texts: Tensor) -> Tensor:
        """See `TokenStore`."""
        return torch.from_numpy(self._tokens[texts.numpy()]).float().view(-1, WIDTH)


def write_synthetic(folder: Path, n: int) -> str:
    """A data set of n interactions; its name."""
    draw, name = np.random.default_rng(n), f"synthetic-{n}"
    (folder / name).mkdir()
    users = np.repeat(np.arange(-(-n // EACH)), EACH)[:n]
    n_items = max(50, n // 11)
    items = np.minimum((draw.pareto(0.9, n) * 5).astype(int), n_items - 1)
    ratings, times = draw.integers(1, 6, n), draw.integers(0, 10**8, n)
    rows = "".join(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in zip(users, items, ratings, times, strict=True))
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (folder / name / f"{name}.inter").write_text(header + rows)
    lines = "".join(
        f"{u}\t{i}\t{t}\ttext {k}\n" for k, (u, i, t) in enumerate(zip(users, items, times, strict=True))
    )
    (folder / name / f"{name}.reviews.tsv").write_text("user_id\titem_id\ttimestamp\treview\n" + lines)
    return name


@contextmanager
def synthetic_tokens(folder: Path) -> Any:
    """Models built here read synthetic tokens."""
    from burnish.backbones.drex import configured_modalities

    before = configured_modalities.open_tokens
    configured_modalities.open_tokens = lambda texts, config: SyntheticStore(folder, len(texts))  # type: ignore[assignment,return-value]
    try:
        yield
    finally:
        configured_modalities.open_tokens = before


class TimedDReX(TimedModel):
    """DReX on one data set."""

    @property
    def rows(self) -> int:
        """Training interactions."""
        return len(self.train._dataset.inter_feat)

    def states(self) -> float:
        """Seconds of the pass over all interactions that predictions begin with."""
        self.model.eval()
        start = time.perf_counter()
        self.model.final_states()
        self.synchronise()
        return time.perf_counter() - start


def compare_sizes(model: str, sizes: Sequence[int], repeats: int, batch: int) -> list[dict[str, float]]:
    """Interactions a second in an epoch and in the pass over everything, a row a size."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        options = {"data_path": place, "checkpoint_dir": place, "train_batch_size": batch}
        with synthetic_tokens(folder):
            timed = [TimedDReX(model, write_synthetic(folder, size), options) for size in sizes]
        for one in timed:
            one.epoch()  # the files are read from the disk once
        seconds: list[list[float]] = [[] for _ in timed]
        for _ in range(repeats):
            for one, epochs in zip(timed, seconds, strict=True):
                epochs.append(one.epoch())
        return [
            {
                "interactions": one.rows,
                "epoch_s": statistics.median(epochs),
                "epoch_rows_per_s": one.rows / statistics.median(epochs),
                "states_rows_per_s": one.rows / one.states(),
            }
            for one, epochs in zip(timed, seconds, strict=True)
        ]


def one_data_set(model: str, dataset: str, options: dict[str, Any], repeats: int) -> list[dict[str, float]]:
    """Epochs of a real data set, and the memory of the process."""
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        timed = TimedDReX(model, dataset, {"checkpoint_dir": place, **options})
        preparation = time.perf_counter() - start
        seconds = [timed.epoch() for _ in range(repeats)]
        return [
            {
                "interactions": timed.rows,
                "preparation_s": preparation,
                "epoch_s": statistics.median(seconds),
                "epoch_rows_per_s": timed.rows / statistics.median(seconds),
                "states_s": timed.states(),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="DReX")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 20_000, 50_000, 100_000])
    parser.add_argument("--dataset")
    parser.add_argument("--data-path", default="dataset/")
    parser.add_argument("--text-folder")
    parser.add_argument("--batch", type=int, default=1024, help="train_batch_size")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if chosen.dataset:
        options = {"data_path": chosen.data_path, "train_batch_size": chosen.batch}
        options |= {"text_folder": chosen.text_folder} if chosen.text_folder else {}
        rows = one_data_set(chosen.model, chosen.dataset, options, chosen.repeats)
    else:
        rows = compare_sizes(chosen.model, chosen.sizes, chosen.repeats, chosen.batch)
    table = Columns(title=f"{chosen.model}, {torch.get_num_threads()} threads, batches of {chosen.batch}")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{value:,.2f}" if value < 100 else f"{value:,.0f}" for value in row.values()))
    Console().print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""`softmax` by the size of the catalogue: its kernel over its own matrix products, and whole training steps.

    python -m burnish.benchmarks.performance.softmax --items 10000 100000 1000000

The kernel: log-sum-exp of 64 users over all items with their known items masked, forward and backward, over the
seconds of the three matrix products that it contains, taking turns in one process.  A step: 64 users with all of their
items, by RecBole's own trainer on BPR, Adam included; with all items as negatives, and with drawn ones.  Interactions
are synthetic; each size runs in a process of its own, so that its peak of resident memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from burnish.enhancers.wasserstein.contrast import BUDGET_BYTES
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp
from burnish.enhancers.wasserstein.positives import KnownPositives

from .contrast import Problem, interleaved, matrix_products
from .timed import TimedModel

#: Users a batch, and known items of each.
USERS, KNOWN = 64, 50


def kernel(n_items: int, width: int, repeats: int) -> tuple[float, float, float]:
    """Median seconds of the kernel and of its matrix products, and the median of the ratios of each turn."""
    # `Problem` has rows of twice its d.
    problem = Problem(USERS, n_items, width // 2)
    queries, _, keys, _ = problem.tensors
    generator = torch.Generator().manual_seed(1)
    users = torch.arange(1, USERS + 1).repeat_interleave(KNOWN)
    items = torch.randint(1, n_items, (len(users),), generator=generator)
    known = KnownPositives(users, items, USERS + 1, n_items)
    ids = torch.arange(1, USERS + 1)
    scale, centre = torch.tensor(5.0), torch.zeros(width)

    def ours() -> None:
        rows = log_sum_exp(
            queries,
            keys,
            scale,
            centre=centre,
            log_q=None,
            mask=known.left_out(ids),
            similarity="product",
            budget_bytes=BUDGET_BYTES,
        )
        torch.autograd.grad(rows.mean(), (queries, keys))

    seconds = interleaved({"ours": ours, "products": matrix_products(problem)}, repeats)
    ratios = [one / other for one, other in zip(seconds["ours"], seconds["products"], strict=True)]
    return (
        statistics.median(seconds["ours"]),
        statistics.median(seconds["products"]),
        statistics.median(ratios),
    )


def write_interactions(folder: Path, n_items: int, n_users: int) -> None:
    """A data set `wide`: every item once, and more of the first ones; users in turn."""
    generator = torch.Generator().manual_seed(0)
    more = 1 + (torch.rand(n_users * KNOWN, generator=generator) ** 3 * (n_items - 1)).long()
    items = torch.cat([torch.arange(1, n_items), more]).tolist()
    (folder / "wide").mkdir()
    with (folder / "wide" / "wide.inter").open("w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\n")
        file.writelines(f"{1 + place % n_users}\t{item}\n" for place, item in enumerate(items))


def steps(n_items: int, width: int, users: int, repeats: int, softmax: dict[str, object]) -> float:
    """Median seconds of a training step of 64 users."""
    with tempfile.TemporaryDirectory() as place:
        write_interactions(Path(place), n_items, users)
        options = {
            "data_path": place,
            "checkpoint_dir": place,
            "embedding_size": width,
            "use_gpu": False,
            "enhancers": {"softmax": softmax},
        }
        timed = TimedModel("BPR", "wide", options)
        timed.epoch()
        batches = -(-users // USERS)
        return statistics.median(timed.epoch() for _ in range(repeats)) / batches


def one_size(n_items: int, width: int, users: int, repeats: int, drawn: int, part: str) -> dict[str, float]:
    """One measurement and the peak of resident memory in MiB, for the process that asked."""
    if part == "kernel":
        seconds, products, ratio = kernel(n_items, width, repeats)
        found = {"kernel": seconds, "products": products, "ratio": ratio}
    else:
        found = {part: steps(n_items, width, users, repeats, {} if part == "all" else {"negatives": drawn})}
    return {**found, f"{part} MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--users", type=int, default=256, help="of a training epoch")
    parser.add_argument("--drawn", type=int, default=4096, help="negatives, where they are drawn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--part", choices=("kernel", "all", "drawn"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        torch.set_num_threads(options.threads)
        sizes = (options.items[0], options.width, options.users, options.repeats, options.drawn)
        print(json.dumps(one_size(*sizes, options.part)))
        return
    table = Table(title=f"softmax: {USERS} users a step, d = {options.width}, {options.threads} threads; ms")
    columns = ("items", "kernel", "its products", "ratio", "step, all", "peak MiB", f"step, {options.drawn}")
    for heading in (*columns, "peak MiB"):
        table.add_column(heading, justify="right")
    for n_items in options.items:
        found: dict[str, float] = {}
        for part in ("kernel", "all", "drawn"):
            command = [sys.executable, "-m", "burnish.benchmarks.performance.softmax", "--part", part]
            for name in ("width", "users", "drawn", "repeats", "threads"):
                command += [f"--{name}", str(getattr(options, name))]
            done = subprocess.run(
                [*command, "--items", str(n_items)], check=True, capture_output=True, text=True
            )
            found |= json.loads(done.stdout.splitlines()[-1])
        table.add_row(
            f"{n_items:,}",
            *(f"{1e3 * found[name]:.1f}" for name in ("kernel", "products")),
            f"{found['ratio']:.2f}",
            *(f"{1e3 * found['all']:.1f}", f"{found['all MiB']:.0f}"),
            *(f"{1e3 * found['drawn']:.1f}", f"{found['drawn MiB']:.0f}"),
        )
    Console().print(table)


if __name__ == "__main__":
    main()

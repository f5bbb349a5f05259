"""`compress` on synthetic interactions: seconds and memory of EASE, ItemKNN and the truncated SVD.

    python -m burnish.benchmarks.performance.compress --items 10000 100000 1000000
    python -m burnish.benchmarks.performance.compress --compare --users 6520 --items 14097 --interactions 140000

Popular items are drawn more often, and active users oftener.  Each size runs in a process of its own, so that its peak
of resident memory is its own; `MiB before` is the interpreter with torch and the interactions.

`--compare`: the decomposition of mixtures by the products of their parts and written out, and EASE's scores of 64 users
by the items that they know and by all items, in processor time, one after the other.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table

from burnish.enhancers.compress.svd import truncated_svd
from burnish.enhancers.teachers.ease import GramMatrix, ease
from burnish.enhancers.teachers.item_knn import item_knn
from burnish.enhancers.teachers.item_sides import KnownItems, UserRows, WrittenOut
from burnish.enhancers.teachers.scores import Bilinear, Mixture, Standardised, table_scores
from burnish.enhancers.teachers.sparse import Sparse, incidence

T = TypeVar("T")


def synthetic(n_users: int, n_items: int, n: int) -> Sparse:
    """Who knows what: `n` draws of a user and an item, fewer pairs."""
    generator = torch.Generator().manual_seed(0)
    users = 1 + (torch.rand(n, generator=generator) ** 2 * (n_users - 1)).long()
    items = 1 + (torch.rand(n, generator=generator) ** 3 * (n_items - 1)).long()
    return incidence(users, items, (n_users, n_items))


def one_size(n_users: int, n_items: int, n: int, width: int, budget_mib: int) -> dict[str, float | str]:
    """Seconds of each part and MiB, for the process that asked."""
    known = synthetic(n_users, n_items, n)
    before = _resident()
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - start
        return result

    gram = GramMatrix(known, budget_mib * 2**20)
    one = Standardised(timed("EASE", lambda: ease(gram, 250.0)))
    other = Standardised(timed("ItemKNN", lambda: item_knn(known)))
    timed("moments", lambda: (one.moments, other.moments))
    tables = timed("SVD", lambda: truncated_svd(Mixture([one, other], [0.75, 0.25]), width))
    assert bool(torch.isfinite(tables.users).all())
    form = gram.form if gram.form != "low rank" else f"rank {gram.n_factors}"
    return {"form": form, **seconds, "before": before, "peak": _resident()}


def compare(n_users: int, n_items: int, n: int, width: int, budget_mib: int) -> None:
    """Print seconds of processor time and ratios."""
    budget, generator = budget_mib * 2**20, torch.Generator().manual_seed(0)

    def drawn(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=generator)

    def seconds(work: Callable[[], object]) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    closed = ease(GramMatrix(synthetic(n_users, n_items, n), budget), 250.0)
    tables = table_scores(drawn(n_users, width), drawn(n_items, width))
    whole = Bilinear(UserRows(drawn(n_users, n_items)), WrittenOut(n_items), n_items, name="scores")
    parts = {"EASE": closed, "tables": tables, "a table of scores": whole}
    for names in (("EASE", "tables"), ("EASE", "tables", "a table of scores")):
        mixture = Mixture([Standardised(parts[name]) for name in names], [1.0] * len(names))
        mixture.rows(torch.arange(2))  # moments are computed once for all mixtures
        before = seconds(lambda one=mixture: truncated_svd(one, width))  # type: ignore[misc]
        after = seconds(lambda one=mixture: truncated_svd(one.cheaper(budget), width))  # type: ignore[misc]
        print(
            f"{', '.join(names)}: by products {before:.1f} s, written out {after:.1f} s, {before / after:.1f}x"
        )
    users = torch.arange(1, 65)
    assert isinstance(closed.users, KnownItems)
    known = closed.users.known
    before = seconds(lambda: closed.side.transposed_times(known.dense(users).T).T)
    after = seconds(lambda: closed.rows(users))
    print(f"EASE of 64 users: by all items {before:.3f} s, by theirs {after:.3f} s, {before / after:.0f}x")


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--interactions", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=64, help="d of the tables")
    parser.add_argument("--budget-mib", type=int, default=2048, help="of EASE's matrices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compare", action="store_true", help="mixtures by products and written out")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sizes = (options.users, options.items[0], options.interactions, options.width, options.budget_mib)
    if options.compare:
        torch.set_num_threads(options.threads)
        compare(*sizes)
        return
    if options.one:
        torch.set_num_threads(options.threads)
        print(json.dumps(one_size(*sizes)))
        return
    table = Table(
        title=f"compress: {options.users:,} users, {options.interactions:,} draws, d = {options.width}, budget "
        f"{options.budget_mib} MiB, {options.threads} threads; seconds"
    )
    names = ("EASE", "ItemKNN", "moments", "SVD")
    for heading in ("items", "EASE as", *names, "MiB before", "peak MiB"):
        table.add_column(heading, justify="right")
    for n_items in options.items:
        values = [n_items, options.users, options.interactions, options.width]
        flags = ["--items", "--users", "--interactions", "--width"]
        command = [sys.executable, "-m", "burnish.benchmarks.performance.compress", "--one"]
        for flag, value in zip(
            [*flags, "--budget-mib", "--threads"], [*values, options.budget_mib, options.threads], strict=True
        ):
            command += [flag, str(value)]
        done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        row = [f"{done[name]:.1f}" for name in names]
        table.add_row(f"{n_items:,}", done["form"], *row, f"{done['before']:.0f}", f"{done['peak']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""`paths`: a joint training step over the embedding model's own, and its memory by the number of edges.

    python -m burnish.benchmarks.performance.paths
    python -m burnish.benchmarks.performance.paths --data FOLDER/yelp --shortest 5
    python -m burnish.benchmarks.performance.paths --edges 1000000 2000000 4000000

A step: 64 users with all of their items by the softmax over all items, on NeighbourMeans, alone and with `paths` in the
setting of the paper (five meta-paths, one walk a step) and by default (two walks, items hidden); beside it a step of
the model's own loss, the softmax over all items for 2,048 interactions.  Steps take turns, Adam included, in processor
seconds.  The graph is synthetic, of the size of the paper's Yelp graph, or a data set in
RecBole's files that `burnish data mat` made.

Memory: two training steps of BPR with `paths` in lists and sampled items on synthetic graphs, of which two thirds of
the edges are interactions and one third is of categories; each in a process of its own, so that its peak of resident
memory is its own, and beside it what the process had before data were read, and before the first step.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from .timed import TimedModel

#: Users, items and edges of the Yelp graph, its training interactions being a part of the first.
N_USERS, N_ITEMS, N_CATEGORIES, N_CITIES = 16_239, 14_284, 511, 47
INTERACTIONS, FRIENDS, CATEGORIES = 198_397, 158_590, 40_009
METAPATHS = (
    "user -rated-> item <-rated- user -rated-> item",
    "user -rated-> item <-rated- user -rated-> item <-rated- user -rated-> item",
    "user -friend-> user -rated-> item",
    "user -rated-> item -category-> category <-category- item",
    "user -rated-> item -city-> city <-city- item",
)
SOFTMAX = {"cosine": False, "mask_known": False}
PAPER = {
    "metapaths": METAPATHS,
    "normalise": "propagated",
    "hide": 0.0,
    "returns": True,
    "mask_known": False,
    "schedule": "paper",
}
ARMS: dict[str, dict[str, Any]] = {
    "alone": {"softmax": SOFTMAX},
    "own loss": {},
    "paper": {"softmax": SOFTMAX, "paths": PAPER},
    "defaults": {"softmax": SOFTMAX, "paths": {"metapaths": METAPATHS}},
}


def drawn(n: int, of: int, power: float, generator: torch.Generator) -> list[int]:
    """`n` numbers from 1 to `of`, the lower ones more often."""
    return (1 + (torch.rand(n, generator=generator) ** power * of).long()).tolist()


def write_yelp(place: Path) -> Path:
    """A data set of Yelp's size."""
    generator = torch.Generator().manual_seed(0)
    folder = place / "yelplike"
    folder.mkdir()
    users = drawn(2 * INTERACTIONS, N_USERS, 2.0, generator)
    items = drawn(2 * INTERACTIONS, N_ITEMS, 2.5, generator)
    pairs = list(dict.fromkeys(zip(users, items, strict=True)))[:INTERACTIONS]
    _write(folder / "yelplike.inter", "user_id:token\titem_id:token", pairs)
    befriended = zip(
        drawn(FRIENDS, N_USERS, 2.0, generator), drawn(FRIENDS, N_USERS, 2.0, generator), strict=True
    )
    _write(folder / "yelplike.net", "source_id:token\ttarget_id:token", befriended)
    each = [drawn(3, N_CATEGORIES, 2.0, generator) for _ in range(N_ITEMS)]
    cities = drawn(N_ITEMS, N_CITIES, 3.0, generator)
    rows = (
        (item + 1, " ".join(f"c{one}" for one in dict.fromkeys(each[item])), f"t{cities[item]}")
        for item in range(N_ITEMS)
    )
    _write(folder / "yelplike.item", "item_id:token\tcategory:token_seq\tcity:token", rows)
    return folder


def _write(path: Path, head: str, rows: Any) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{head}\n")
        file.writelines("\t".join(map(str, row)) + "\n" for row in rows)


# ---------------------------------------------------------------------- a step


class Steps:
    """Training steps of one model, as RecBole's trainer does them, over batches of users."""

    def __init__(
        self, backbone: str, folder: Path, enhancers: dict[str, Any], options: dict[str, Any]
    ) -> None:
        with tempfile.TemporaryDirectory() as checkpoints, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = {
                "data_path": str(folder.parent),
                "checkpoint_dir": checkpoints,
                "use_gpu": False,
                "load_col": {"inter": ["user_id", "item_id"]},
                "eval_args": {
                    "split": {"RS": [0.6, 0.2, 0.2]},
                    "order": "RO",
                    "group_by": "user",
                    "mode": "full",
                },
                "enhancers": enhancers,
                **options,
            }
            timed = TimedModel(backbone, folder.name, settings)
        self.model, self._optimizer = timed.model, timed.trainer.optimizer
        self.model.train()
        self.steps_an_epoch = 0
        self._batches = self._endless(timed.train)

    def _endless(self, loader: Any) -> Iterator[Any]:
        host, epoch = getattr(self.model, "enhancers", None), 0
        while True:
            if host is not None:
                host.on_epoch(epoch)
            with (
                contextlib.nullcontext(loader)
                if host is None
                else host.training_epoch(loader, epoch) as batches
            ):
                self.steps_an_epoch = len(batches)
                yield from batches
            epoch += 1

    def step(self) -> None:
        """One more of them."""
        batch = next(self._batches)
        self._optimizer.zero_grad()
        losses = self.model.calculate_loss(batch)
        total: Any = sum(losses) if isinstance(losses, tuple) else losses
        total.backward()
        self._optimizer.step()


def seconds_of(steps: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Processor seconds of each kind of step, in turns; the first three of each are not counted."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 3):
        for name, step in steps.items():
            start = time.process_time()
            step()
            if turn >= 3:
                found[name].append(time.process_time() - start)
    return found


def speed(folder: Path, shortest: int, repeats: int, arms: Sequence[str], threads: int) -> None:
    """Print a row an arm."""
    options = {"user_inter_num_interval": f"[{shortest},inf)"}
    models = {name: Steps("NeighbourMeans", folder, ARMS[name], options) for name in arms}
    seconds = seconds_of({name: one.step for name, one in models.items()}, repeats)
    model = models["alone"].model
    table = Table(
        title=f"NeighbourMeans: {model.n_users - 1:,} users, {model.n_items - 1:,} items, 64 users a step, {threads} "
        f"threads"
    )
    for heading in ("arm", "CPU ms a step", "least", "over alone", "min - max", "CPU s an epoch"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for name, found in seconds.items():
        ratios = [one / other for one, other in zip(found, seconds["alone"], strict=True)]
        table.add_row(
            name,
            f"{1e3 * statistics.median(found):.0f}",
            f"{1e3 * min(found):.0f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
            f"{statistics.median(found) * models[name].steps_an_epoch:.1f}",
        )
    Console().print(table)


# ---------------------------------------------------------------------- memory


def write_edges(place: Path, n_edges: int) -> Path:
    """A data set with so many edges: two thirds interactions, ten a user, and one third categories, five an item."""
    generator = torch.Generator().manual_seed(0)
    folder = place / "many"
    folder.mkdir()
    rated = 2 * n_edges // 3
    n_users, n_items = rated // 10, n_edges // 15
    users = 1 + torch.arange(rated) % n_users
    items = 1 + (torch.rand(rated, generator=generator) ** 2 * n_items).long()
    pairs = torch.unique(users * (n_items + 1) + items)
    rows = zip((pairs // (n_items + 1)).tolist(), (pairs % (n_items + 1)).tolist(), strict=True)
    _write(folder / "many.inter", "user_id:token\titem_id:token", rows)
    categories = torch.randint(1, max(n_items // 20, 2), (n_items, 5), generator=generator).tolist()
    lines = ((item + 1, " ".join(f"c{one}" for one in each)) for item, each in enumerate(categories))
    _write(folder / "many.item", "item_id:token\tcategory:token_seq", lines)
    return folder


def memory(n_edges: int, most: int, sampled: int, repeats: int) -> dict[str, float]:
    """Edges, MiB before the model is made and at the peak, and processor seconds a step, for the process that asked."""
    import burnish  # noqa: F401  (what every process has)

    with tempfile.TemporaryDirectory() as place:
        folder = write_edges(Path(place), n_edges)
        before = _peak()
        paths = {"metapaths": [METAPATHS[0], METAPATHS[3]], "most": most, "sampled": sampled}
        made = Steps(
            "BPR",
            folder,
            {"softmax": {"negatives": sampled}, "paths": paths},
            {
                "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "mode": "full"},
                "embedding_size": 16,
            },
        )
        read = _peak()
        start = time.process_time()
        for _ in range(repeats):
            made.step()
        seconds = (time.process_time() - start) / repeats
        graph = made.model.enhancers["paths"].model.graph
        return {
            "edges": graph.n_edges,
            "before": before,
            "read": read,
            "peak": _peak(),
            "seconds": seconds,
        }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of a data set, as `burnish data mat` writes it")
    parser.add_argument("--shortest", type=int, default=1, help="fewest interactions of a user that stays")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument(
        "--edges", type=int, nargs="+", help="memory by the number of edges, in place of speed"
    )
    parser.add_argument("--most", type=int, default=1000, help="length of lists, with --edges")
    parser.add_argument("--sampled", type=int, default=4096, help="drawn items, with --edges")
    parser.add_argument("--repeats", type=int, default=9, help="steps of each arm, or size")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        if options.one:
            print(json.dumps(memory(options.edges[0], options.most, options.sampled, options.repeats)))
        elif options.edges:
            _memory_table(options)
        else:
            arms = list(dict.fromkeys(["alone", *options.arms]))
            with tempfile.TemporaryDirectory() as place:
                folder = options.data or write_yelp(Path(place))
                speed(folder.resolve(), options.shortest, options.repeats, arms, options.threads)
    finally:
        torch.set_num_threads(before)


def _memory_table(options: argparse.Namespace) -> None:
    """A row a size, each in a process of its own."""
    table = Table(title=f"paths in lists of {options.most}, {options.sampled} sampled items, 64 users a step")
    for heading in ("edges", "MiB before", "data and model", "with steps", "a million more", "CPU s a step"):
        table.add_column(heading, justify="right")
    last: dict[str, float] | None = None
    for n_edges in options.edges:
        command = [sys.executable, "-W", "ignore", "-m", "burnish.benchmarks.performance.paths", "--one"]
        for name in ("most", "sampled", "threads"):
            command += [f"--{name}", str(getattr(options, name))]
        command += ["--edges", str(n_edges), "--repeats", str(max(options.repeats, 2))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        more = (
            ""
            if last is None
            else f"{1e6 * (found['peak'] - last['peak']) / (found['edges'] - last['edges']):.0f}"
        )
        table.add_row(
            f"{found['edges']:,}",
            f"{found['before']:.0f}",
            f"{found['read']:.0f}",
            f"{found['peak']:.0f}",
            more,
            f"{found['seconds']:.2f}",
        )
        last = found
    Console().print(table)


if __name__ == "__main__":
    main()

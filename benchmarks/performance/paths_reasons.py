"""Explanations by paths on a graph of ml-100k's size: seconds for the best paths, and for reasons as sentences.

    python -m burnish.benchmarks.performance.paths_reasons

Synthetic: 943 users, 1,682 items, 80,000 training interactions (popular items and active users more often), genres, and
people who direct and act; three meta-paths of three steps and one of five.  Weights are those of a model before
training, where all are equal, or drawn, as after it.  `distinct` users have one item each, and `shared` ones five.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from burnish.enhancers.paths.best_paths import PathFinder
from burnish.enhancers.paths.graph import ITEM, USER, Graph, Relation
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.path_model import PathModel
from burnish.enhancers.paths.reasons import reasons_for

N_USERS, N_ITEMS, N_RATED = 943, 1682, 80_000
METAPATHS = (
    "user -rated-> item <-rated- user -rated-> item",
    "user -rated-> item -genre-> genre <-genre- item",
    "user -rated-> item -director-> person <-director- item",
    "user -rated-> item <-rated- user -rated-> item -director-> person <-director- item",
)


def synthetic(seed: int = 0) -> Graph:
    """A graph of ml-100k's size."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(n: int, of: int, power: float = 1.0) -> Tensor:
        return (torch.rand(n, generator=generator) ** power * of).long()

    users, items = 1 + drawn(2 * N_RATED, N_USERS, 1.5), 1 + drawn(2 * N_RATED, N_ITEMS, 2.0)
    pairs = torch.unique(users * (N_ITEMS + 1) + items)
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:N_RATED]]
    rated = Relation.of("rated", USER, ITEM, pairs // (N_ITEMS + 1), pairs % (N_ITEMS + 1))
    genre = Relation.of("genre", ITEM, "genre", 1 + drawn(3_300, N_ITEMS), drawn(3_300, 18, 2.0))
    director = Relation.of("director", ITEM, "person", 1 + drawn(1_750, N_ITEMS), drawn(1_750, 1_000, 2.0))
    counts = {USER: N_USERS + 1, ITEM: N_ITEMS + 1, "genre": 18, "person": 1_000}
    return Graph(counts, [rated, genre, director])


def seconds_of(
    model: PathModel, n: int, a_user: int, k: int, what: str, seed: int = 0
) -> tuple[float, float, int]:
    """For `n` explanations, `a_user` for each user: seconds, those of the processor, and how many were found.

    The reading of the weights is included.
    """
    generator = torch.Generator().manual_seed(seed)
    users = 1 + torch.randint(0, N_USERS, (n // a_user,), generator=generator)
    items = 1 + torch.randint(0, N_ITEMS, (n // a_user, a_user), generator=generator)
    start, busy, found = time.perf_counter(), time.process_time(), 0
    finder = PathFinder(model)
    for user, own in zip(users.tolist(), items.tolist(), strict=True):
        for item in own:
            if what == "paths":
                found += len(finder.best(user, item, k))
            else:
                found += len(reasons_for(finder, user, item, k))
    return time.perf_counter() - start, time.process_time() - busy, found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--explanations", type=int, default=1_000)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    graph = synthetic()
    table = Table(title=f"{options.explanations:,} explanations, k = {options.k}")
    for heading in ("normalise", "weights", "users", "what", "s", "CPU s", "found"):
        table.add_column(heading, justify="right" if heading in ("s", "CPU s", "found") else "left")
    for normalise in ("propagated", "walk"):
        for weights in ("equal", "drawn"):
            model = PathModel(graph, [MetaPath.parse(text, graph) for text in METAPATHS], normalise=normalise)
            if weights == "drawn":
                generator = torch.Generator().manual_seed(1)
                with torch.no_grad():
                    for theta in model.parameters():
                        theta.copy_(torch.randn(theta.shape, generator=generator))
            for users, a_user in (("distinct", 1), ("shared", 5)):
                for what in ("paths", "reasons"):
                    seconds, busy, found = seconds_of(model, options.explanations, a_user, options.k, what)
                    figures = f"{seconds:.2f}", f"{busy:.2f}", f"{found:,}"
                    table.add_row(normalise, weights, users, what, *figures)
    Console().print(table)
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()

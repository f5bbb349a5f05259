"""The contrastive loss against its own matrix products, and against the obvious ways to write it.

    python -m burnish.benchmarks.performance.contrast --threads 1 2 --sizes 2048x2048 4096x100000

The first figure is the one that matters: seconds of forward and backward over seconds of the matrix products
that they contain, of the same shapes, in the same order, with nothing between them.  1.0 would be a loss
whose exponentials, sums and norms cost nothing.  All of it takes turns in one process, so a machine whose
speed drifts slows everything alike; figures are medians, and the ratio is the median of the ratios of each
turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from burnish.enhancers.wasserstein.contrast import BUDGET_BYTES, contrast
from burnish.enhancers.wasserstein.tiling import Tiling, tile
from burnish.speed.memory import CountedMemory

#: Baselines that hold [B, N] or [B, N, D] are run up to this many bytes in their largest tensor.
MOST_BYTES = 3 * 2**30


@dataclass
class Problem:
    """Random queries, positives and keys `[n, 2 d]` that all take a gradient, and a scale that does too."""

    n_rows: int
    n_keys: int
    d: int = 64
    tensors: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        shapes = [(self.n_rows, 2 * self.d), (self.n_rows, 2 * self.d), (self.n_keys, 2 * self.d)]
        self.tensors = [torch.randn(*shape, generator=generator).requires_grad_() for shape in shapes]
        self.tensors.append(torch.tensor(1.0 / self.d).requires_grad_())

    @property
    def name(self) -> str:
        return f"{self.n_rows}x{self.n_keys}"

    @property
    def logit_bytes(self) -> int:
        """Bytes of the matrix of logits."""
        return 4 * self.n_rows * self.n_keys

    @property
    def tiling(self) -> Tiling:
        """The blocks that `contrast` takes by default."""
        return tile(self.n_rows, self.n_keys, itemsize=4, budget_bytes=BUDGET_BYTES, on_cpu=True)

    @property
    def kept(self) -> bool:
        """Whether `contrast` keeps its weights for the backward pass."""
        return self.logit_bytes <= BUDGET_BYTES


def step(problem: Problem, loss: Callable[..., Tensor]) -> None:
    """One forward and backward pass of a loss over (queries, positives, keys, scale)."""
    torch.autograd.grad(loss(*problem.tensors).mean(), problem.tensors)


def ours(queries: Tensor, positives: Tensor, keys: Tensor, scale: Tensor) -> Tensor:
    return contrast(queries, positives, keys, scale=scale)


def by_cdist(queries: Tensor, positives: Tensor, keys: Tensor, scale: Tensor) -> Tensor:
    """torch.cdist and a log-sum-exp: holds the matrix of logits several times."""
    positive = -scale * (queries - positives).square().sum(dim=1)
    logits = -scale * torch.cdist(queries, keys).square()
    return torch.cat([positive.unsqueeze(1), logits], dim=1).logsumexp(dim=1) - positive


def by_broadcast(queries: Tensor, positives: Tensor, keys: Tensor, scale: Tensor) -> Tensor:
    """The formula as it is written, with a tensor `[B, N, D]`."""
    positive = -scale * (queries - positives).square().sum(dim=1)
    logits = -scale * (queries.unsqueeze(1) - keys.unsqueeze(0)).square().sum(dim=2)
    return torch.cat([positive.unsqueeze(1), logits], dim=1).logsumexp(dim=1) - positive


def matrix_products(problem: Problem) -> Callable[[], None]:
    """The matrix products of one step of `contrast`, and nothing else, over the same blocks.

    Logits once forward; where weights are not kept, logits again backward; weights times keys, and their
    transpose times queries.  Plain factors of width D, without the two extra columns of ours.
    """
    queries, _, keys, _ = (tensor.detach() for tensor in problem.tensors)
    tiling, rows = problem.tiling, problem.n_rows
    memory = torch.rand(rows * problem.n_keys if problem.kept else tiling.rows * tiling.keys)
    to_queries, to_keys = torch.zeros_like(queries), torch.zeros_like(keys)

    def block(lo: int, hi: int, first: int, end: int) -> Tensor:
        if problem.kept:
            return memory[rows * lo : rows * hi].view(rows, hi - lo)[first:end]
        return memory[: (end - first) * (hi - lo)].view(end - first, hi - lo)

    def run() -> None:
        for backward in (False, True):
            for lo, hi in tiling.key_ranges():
                for first, end in tiling.row_ranges():
                    now = block(lo, hi, first, end)
                    if not backward or not problem.kept:
                        torch.mm(queries[first:end], keys[lo:hi].t(), out=now)
                    if backward:
                        to_queries[first:end].addmm_(now, keys[lo:hi])
                        to_keys[lo:hi].addmm_(now.t(), queries[first:end])

    return run


def interleaved(calls: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every call, in turns, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def peak_memory(problem: Problem, loss: Callable[..., Tensor]) -> CountedMemory:
    """Bytes that one step of a loss allocates, beyond its arguments."""
    with CountedMemory(*problem.tensors) as memory:
        step(problem, loss)
    return memory


def baselines(problem: Problem) -> dict[str, Callable[..., Tensor]]:
    """The obvious ways to write the loss that fit `MOST_BYTES`."""
    fitting: dict[str, Callable[..., Tensor]] = {}
    if problem.n_rows * problem.n_keys * 4 * 8 <= MOST_BYTES:
        fitting["cdist"] = by_cdist
    if problem.logit_bytes * 2 * problem.d <= MOST_BYTES:
        fitting["broadcast"] = by_broadcast
    return fitting


def measure(
    problem: Problem, repeats: int, *, with_baselines: bool
) -> list[tuple[str, float, float, float, float]]:
    """(name, median seconds, median ratio to the matrix products, peak MiB, largest MiB) of every way."""
    seconds = interleaved(
        {"contrast": partial(step, problem, ours), "products": matrix_products(problem)}, repeats
    )
    others = baselines(problem) if with_baselines else {}
    for name, loss in others.items():  # a few turns, apart: they are slow, and would disturb the turns above
        seconds |= interleaved({name: partial(step, problem, loss)}, min(repeats, 3))
    unit = statistics.median(seconds["products"])
    measured = [("products", unit, 1.0, float("nan"), float("nan"))]
    for name, loss in {"contrast": ours, **others}.items():
        median = statistics.median(seconds[name])
        if name == "contrast":
            pairs = zip(seconds["contrast"], seconds["products"], strict=True)
            ratio = statistics.median(one / other for one, other in pairs)
        else:
            ratio = median / unit
        memory = peak_memory(problem, loss)
        measured.append((name, median, ratio, memory.peak / 2**20, memory.largest / 2**20))
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="numbers of threads to try")
    parser.add_argument("--repeats", type=int, default=9, help="turns, from which medians are taken")
    parser.add_argument("--sizes", nargs="+", default=["2048x2048", "4096x100000"], metavar="BxN")
    parser.add_argument("--width", type=int, default=64, help="d of the Gaussians; rows have 2 d numbers")
    parser.add_argument("--no-baselines", action="store_true", help="leave out cdist and broadcast")
    options = parser.parse_args(arguments)
    table = Table(title=f"Contrastive loss, forward and backward, d = {options.width}, float32")
    for heading in ("B x N", "threads", "way", "ms", "ratio", "peak MiB", "largest MiB"):
        table.add_column(heading, justify="left" if heading in ("B x N", "way") else "right")
    before = torch.get_num_threads()
    for size in options.sizes:
        rows, _, keys = size.partition("x")
        if not (rows.isdigit() and keys.isdigit()):
            parser.error(f"--sizes {size}: give rows x keys, such as 2048x2048")
        for threads in options.threads:
            torch.set_num_threads(threads)
            problem = Problem(int(rows), int(keys), options.width)
            for name, seconds, ratio, peak, largest in measure(
                problem, options.repeats, with_baselines=not options.no_baselines
            ):
                sizes = ["", ""] if peak != peak else [f"{peak:.0f}", f"{largest:.0f}"]
                table.add_row(size, str(threads), name, f"{1e3 * seconds:.1f}", f"{ratio:.2f}", *sizes)
    torch.set_num_threads(before)
    Console().print(table)


if __name__ == "__main__":
    main()

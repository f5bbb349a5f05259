"""Values of interactions: seconds, memory, coverage of error bars, and shap and a plain loop on the same game.

    python -m burnish.benchmarks.performance.shapley scale --sizes 1000000 10000000
    python -m burnish.benchmarks.performance.shapley coverage
    python -m burnish.benchmarks.performance.shapley ratio

`scale` values synthetic interactions (popular items drawn more often), each size in a process of its own, so that
its peak of resident memory is its own.  `coverage` draws random games, small enough to enumerate, and counts how often
the exact value lies inside the error bars of each sampling estimator.  `ratio` values users' histories, in turns: by
the closed form and by cross-fitting for all users at once, by loops over users, and by samples (ours, and
shap.PermutationExplainer), whose error is printed because they do not reach that of the closed form.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from burnish.enhancers.shapley.cross_fit import cross_fitted, factors
from burnish.enhancers.shapley.estimators import enumeration, estimate
from burnish.enhancers.shapley.games import Game

console = Console()

# ---------------------------------------------------------------------------------------------- scale


def synthetic(n: int, n_users: int, n_items: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Users, items `[n]` and vectors `[n_items, d]`: users of uneven activity, items of uneven popularity."""
    generator = torch.Generator().manual_seed(0)
    users = (torch.rand(n, generator=generator) ** 2 * n_users).long()
    items = (torch.rand(n, generator=generator) ** 3 * n_items).long()
    return users, items, torch.randn(n_items, d, generator=generator)


def one_size(n: int, n_users: int, n_items: int, d: int, folds: int) -> None:
    """Seconds and the peak of resident MiB, on one line, for the process that asked."""
    data = synthetic(n, n_users, n_items, d)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, busy = time.perf_counter(), time.process_time()
    values = cross_fitted(*data, folds=folds)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    assert bool(torch.isfinite(values).all())
    print(seconds, busy, before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def scale(options: argparse.Namespace) -> None:
    """A row a size."""
    table = Table(
        title=f"cross_fitted, d = {options.width}, {options.folds} folds, {options.threads} threads"
    )
    for heading in ("interactions", "users", "s", "CPU s", "us each", "MiB before", "peak MiB"):
        table.add_column(heading, justify="right")
    for size in options.sizes:
        n_users = options.users or max(1, size // 20)
        arguments = ["one", size, n_users, options.items, options.width, options.folds, options.threads]
        command = [sys.executable, "-m", "burnish.benchmarks.performance.shapley", *map(str, arguments)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, busy, before, peak = map(float, done.stdout.split())
        row = (f"{size:,}", f"{n_users:,}", f"{seconds:.2f}", f"{busy:.2f}", f"{1e6 * seconds / size:.2f}")
        table.add_row(*row, f"{before:.0f}", f"{peak:.0f}")
    console.print(table)


# ---------------------------------------------------------------------------------------------- coverage


@dataclass
class RandomGame:
    """A game with a random number for every coalition, or an additive one with a little of that."""

    numbers: Tensor
    outputs: tuple[str, ...] = ("worth",)

    @classmethod
    def of(cls, n: int, seed: int, *, additive: bool) -> RandomGame:
        generator = torch.Generator().manual_seed(seed)
        numbers = torch.randn(2**n, 1, dtype=torch.float64, generator=generator)
        if additive:
            masks = (torch.arange(2**n).unsqueeze(1) >> torch.arange(n)) & 1
            numbers = (
                masks.double() @ torch.randn(n, 1, dtype=torch.float64, generator=generator) + 0.1 * numbers
            )
        return cls(numbers)

    @property
    def n_players(self) -> int:
        return len(self.numbers).bit_length() - 1

    def __call__(self, masks: Tensor) -> Tensor:
        return self.numbers[masks.long() @ 2 ** torch.arange(self.n_players)]


@dataclass
class MeanProfile:
    """The scalar product of a direction `[d]` with the mean of the players' vectors `[n, d]`; 0 for nobody."""

    vectors: Tensor
    direction: Tensor
    outputs: tuple[str, ...] = ("profile",)

    @property
    def n_players(self) -> int:
        return len(self.vectors)

    def __call__(self, masks: Tensor) -> Tensor:
        members = masks.to(self.vectors.dtype)
        sums = members @ (self.vectors @ self.direction.unsqueeze(1))
        return sums / members.sum(1, keepdim=True).clamp_min(1)


def profile_game(n: int, seed: int) -> MeanProfile:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, 8, dtype=torch.float64, generator=generator)
    return MeanProfile(vectors, torch.randn(1, 8, dtype=torch.float64, generator=generator)[0])


def banzhaf_exactly(game: Game) -> Tensor:
    """Banzhaf values from all coalitions."""
    n = game.n_players
    codes = torch.arange(2**n)
    worth = game(((codes.unsqueeze(1) >> torch.arange(n)) & 1).bool())
    return torch.stack([(worth[codes | 2**i] - worth[codes & ~(2**i)]).mean(0) for i in range(n)])


def coverage(options: argparse.Namespace) -> None:
    """Shares of values in one and two standard errors (68%, 95% when right); true error and the one that is stated."""
    n = options.players
    kinds: dict[str, Callable[[int], Game]] = {
        "random": lambda seed: RandomGame.of(n, seed, additive=False),
        "nearly additive": lambda seed: RandomGame.of(n, seed, additive=True),
        "mean profile": lambda seed: profile_game(n, seed),
    }
    table = Table(title=f"Error bars over {options.games} games of {n} players, budget {options.budget}")
    for heading in ("game", "estimator", "in 1", "in 2", "true", "stated"):
        table.add_column(heading, justify="right")
    for kind, make in kinds.items():
        for name in ("multilinear", "permutation", "banzhaf"):
            one, two, true, stated = [], [], [], []
            for seed in range(options.games):
                game = make(seed)
                truth = banzhaf_exactly(game) if name == "banzhaf" else enumeration.estimate(game).values
                estimated = estimate(name, game, budget=options.budget, seed=seed)
                off, error = (estimated.values - truth).abs(), estimated.standard_error
                one.append((off <= error).double().mean())
                two.append((off <= 2 * error).double().mean())
                true.append(off.square().mean())
                stated.append(error.square().mean())
            shares = [float(torch.stack(each).mean()) for each in (one, two, true, stated)]
            row = (
                f"{shares[0]:.1%}",
                f"{shares[1]:.1%}",
                f"{shares[2] ** 0.5:.4f}",
                f"{shares[3] ** 0.5:.4f}",
            )
            table.add_row(kind, name, *row)
    console.print(table)


# ---------------------------------------------------------------------------------------------- ratio


def mean_values(x: Tensor) -> Tensor:
    """Shapley values of the mean of x `[n]`."""
    n = len(x)
    harmonic = sum(1 / k for k in range(1, n + 1))
    return (x + (harmonic - 1) * (x - (x.sum() - x) / max(n - 1, 1))) / n


@dataclass
class Histories:
    """Users with as many items each: vectors of their items `[users, n, d]`, directions of their games `[users, d]`."""

    vectors: Tensor
    directions: Tensor

    @classmethod
    def synthetic(cls, n_users: int, n: int, d: int) -> Histories:
        generator = torch.Generator().manual_seed(0)
        return cls(
            torch.randn(n_users, n, d, generator=generator), torch.randn(n_users, d, generator=generator)
        )

    def first(self, n_users: int) -> Histories:
        return Histories(self.vectors[:n_users], self.directions[:n_users])

    def exact(self) -> Tensor:
        """Values `[users, n]` in float64."""
        return Histories(self.vectors.double(), self.directions.double()).at_once()

    def at_once(self) -> Tensor:
        """The closed form for all users at once."""
        x = torch.einsum("und,ud->un", self.vectors, self.directions)
        own, rest = factors(torch.tensor([x.shape[1]]), dtype=x.dtype)
        return own * x - rest * x.sum(1, keepdim=True)

    def by_user(self) -> Tensor:
        """The closed form for one user after another."""
        rows = []
        for vectors, direction in zip(self.vectors, self.directions, strict=True):
            rows.append(mean_values(vectors @ direction))
        return torch.stack(rows)

    def sampled(self, name: str, budget: int) -> Tensor:
        """One user after another by a sampling estimator of ours."""
        rows = [
            estimate(name, MeanProfile(vectors, direction), budget=budget, seed=0).values
            for vectors, direction in zip(self.vectors, self.directions, strict=True)
        ]
        return torch.cat(rows, dim=1).T

    def by_shap(self, budget: int) -> Tensor:
        """One user after another by shap.PermutationExplainer: rows of ones and zeros say who takes part."""
        import shap

        rows = []
        n = self.vectors.shape[1]
        for vectors, direction in zip(self.vectors, self.directions, strict=True):
            x = (vectors @ direction).numpy()

            def worth(masks: np.ndarray, x: np.ndarray = x) -> np.ndarray:
                total: np.ndarray = masks @ x / np.maximum(masks.sum(1), 1)
                return total

            explainer = shap.PermutationExplainer(worth, np.zeros((1, n)), seed=0)
            rows.append(explainer(np.ones((1, n)), max_evals=budget, silent=True).values[0])
        return torch.tensor(np.array(rows))


def cross_fitted_by_user(users: Tensor, items: Tensor, vectors: Tensor, folds: int) -> Tensor:
    """What `cross_fitted` computes as a loop over users and their folds, dealt by a draw of its own."""
    table = torch.nn.functional.normalize(vectors, dim=1)
    mean = table[items.unique()].mean(0)
    values = torch.zeros(len(users))
    generator = torch.Generator().manual_seed(0)
    by_user, order = users.sort(stable=True)
    for rows in order.split(by_user.unique_consecutive(return_counts=True)[1].tolist()):
        mine, parts = table[items[rows]], min(folds, len(rows))
        for held in torch.randperm(len(rows), generator=generator).tensor_split(parts):
            left = torch.ones(len(rows), dtype=torch.bool)
            left[held] = False
            if parts > 1:
                x = mine[left] @ (mine[held].mean(0) - mean)
                values[rows[left]] += mean_values(x) / (parts - 1)
    return values


def ratio(options: argparse.Namespace) -> None:
    """Microseconds a user, in turns, and the error against the closed form in float64."""
    n_users, budget, folds = options.users or 2000, options.budget, 5
    everyone = Histories.synthetic(n_users, options.players, options.width)
    few = everyone.first(20)
    data = synthetic(n_users * options.players, n_users, 2000, options.width)
    ways: dict[str, tuple[Callable[[], Tensor], int, Tensor | None]] = {
        "closed form, all users at once": (everyone.at_once, n_users, everyone.exact()),
        "closed form, user by user": (everyone.by_user, n_users, everyone.exact()),
        "multilinear": (lambda: few.sampled("multilinear", budget), 20, few.exact()),
        "permutation": (lambda: few.sampled("permutation", budget), 20, few.exact()),
        "shap.PermutationExplainer": (lambda: few.by_shap(budget), 20, few.exact()),
        "cross_fitted": (lambda: cross_fitted(*data, folds=folds), n_users, None),
        "cross-fitting, user by user": (lambda: cross_fitted_by_user(*data, folds), n_users, None),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, str] = {}
    for turn in range(options.repeats + 1):
        for name, (way, count, exact) in ways.items():
            start = time.perf_counter()
            values = way()
            if turn:
                seconds[name].append((time.perf_counter() - start) / count)
            elif exact is not None:
                off = (values.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt()
                errors[name] = f"{float(off):.1e}"
    agree = np.corrcoef(ways["cross_fitted"][0](), ways["cross-fitting, user by user"][0]())[0, 1]
    errors["cross-fitting, user by user"] = f"r = {agree:.2f}"  # folds are dealt by another draw
    table = Table(
        title=f"{options.players} interactions a user, d = {options.width}, {budget} coalitions, "
        f"{options.threads} threads"
    )
    for heading in ("way", "us a user", "times", "error / scale"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, times in seconds.items():
        median = statistics.median(times)
        unit = statistics.median(
            seconds["cross_fitted" if name.startswith("cross") else "closed form, all users at once"]
        )
        table.add_row(name, f"{1e6 * median:,.1f}", f"{median / unit:,.0f}", errors.get(name, ""))
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in (scale, coverage, ratio):
        sub = verbs.add_parser(verb.__name__, help=(verb.__doc__ or "").replace("%", "%%"))
        sub.set_defaults(run=verb)
        sub.add_argument("--threads", type=int, default=1)
        sub.add_argument("--width", type=int, default=64, help="d of the vectors")
        if verb is scale:
            sub.add_argument("--sizes", type=int, nargs="+", default=[1_000_000], help="interactions")
            sub.add_argument("--items", type=int, default=20_000)
            sub.add_argument("--folds", type=int, default=5)
        else:
            sub.add_argument("--players", type=int, default=8 if verb is coverage else 20)
            sub.add_argument("--budget", type=int, default=1000, help="coalitions a game")
        if verb is coverage:
            sub.add_argument("--games", type=int, default=200)
        else:
            sub.add_argument(
                "--users", type=int, default=0, help="0: one for 20 interactions (scale), 2000 (ratio)"
            )
            sub.add_argument("--repeats", type=int, default=3, help="turns, after one that does not count")
    one = verbs.add_parser("one")
    one.add_argument("numbers", type=int, nargs=6)
    options = parser.parse_args(arguments)
    if options.verb == "one":
        torch.set_num_threads(options.numbers[5])
        one_size(*options.numbers[:5])
        return
    before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        options.run(options)
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()

"""How far a mean difference may be off when other users and other seeds could have been drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

FloatArray = NDArray[np.float64]

LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """The variance of an estimate in two independent parts, each with the degrees of freedom it was estimated with.

    users, seeds: variances (squares of the metric's unit).  The estimate minus the truth is taken to be distributed as
    sqrt(users) t + sqrt(seeds) t', two independent Student's t: the distribution of Behrens and Fisher (Fisher 1935,
    "The fiducial argument in statistical inference"), which is Student's where one part is 0.
    users_alone: the variance if the seeds were fixed, by `users_df`.  Nothing is surer than by that, which the sum can
    be where seeds agree by chance.
    """

    users: float
    seeds: float
    users_df: float
    seeds_df: float
    users_alone: float = 0.0

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(max(self.users + self.seeds, self.users_alone))

    @property
    def two_way(self) -> bool:
        """Whether the seeds have a part of their own."""
        return math.isfinite(self.seeds_df)

    @property
    def known(self) -> bool:
        """Whether there was enough to estimate it from."""
        return math.isfinite(self.users + self.seeds)

    def above(self, excess: float) -> float:
        """The probability that an estimate is more than `excess` above the truth; NaN where nothing is known."""
        if not self.known:
            return math.nan
        if excess <= 0:
            return 0.5 if excess == 0 else 1 - self.above(-excess)
        parts = [
            (math.sqrt(part), df)
            for part, df in ((self.users, self.users_df), (self.seeds, self.seeds_df))
            if part
        ]
        one = sum(_above(excess, *part) for part in parts)
        both = _sum_above(excess, *parts) if len(parts) == 2 else one
        return max(both, _above(excess, math.sqrt(self.users_alone), self.users_df))

    def p(self, estimate: float) -> float:
        """Two-sided p of an estimate against a truth of 0."""
        return 2 * self.above(abs(estimate))

    def half_width(self, level: float = LEVEL) -> float:
        """Half the width of the two-sided interval."""
        if not self.known or self.error == 0:
            return 0.0 if self.known else math.nan
        tail = (1 - level) / 2
        users, seeds, alone = (
            math.sqrt(part) * float(stats.t.isf(tail, df)) if part else 0.0
            for part, df in (
                (self.users, self.users_df),
                (self.seeds, self.seeds_df),
                (self.users_alone, self.users_df),
            )
        )
        # A sum of two is out as far as both together at most.
        furthest = max(users + seeds, alone)
        if not (users and seeds):
            return furthest
        # Nearer by rounding alone where one part is next to nothing.
        return float(
            optimize.brentq(lambda x: self.above(x) - tail, 0, 1.001 * furthest, xtol=1e-9 * furthest)
        )

    def interval(self, estimate: float, level: float = LEVEL) -> tuple[float, float]:
        """The two-sided interval around an estimate; NaN where nothing is known."""
        half = self.half_width(level)
        return estimate - half, estimate + half


def _above(excess: float, scale: float, df: float) -> float:
    """P(scale t > excess) for an excess above 0."""
    return float(special.stdtr(df, -excess / scale)) if scale else 0.0


def _sum_above(excess: float, *parts: tuple[float, float]) -> float:
    """P(X + Y > excess) for X = s t, Y = s' t', given as (scale, degrees of freedom), and an excess above 0.

    With h half of the excess, it is P(X > h) P(Y > h) + P(Y > excess - X, X <= h) + P(X > excess - Y, Y <= h), whose
    integrands are smooth also far out in a tail of few degrees of freedom; Gauss-Legendre at t = sinh x.
    """
    half = excess / 2
    total = math.prod(_above(half, *part) for part in parts)
    for (scale, df), (other, other_df) in (parts, parts[::-1]):
        room = math.asinh(half / scale) + _REACH
        at = room * _NODES - _REACH
        points = np.sinh(at)
        heights = (
            _density(points, df) * np.cosh(at) * special.stdtr(other_df, (scale * points - excess) / other)
        )
        total += room * float((_WEIGHTS * heights).sum())
    return total


def _density(points: FloatArray, df: float) -> FloatArray:
    """Student's."""
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * math.log(df * math.pi)
    return np.exp(constant - (df + 1) / 2 * np.log1p(points**2 / df))


def _panels(number: int, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights on 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    starts = np.arange(number)[:, None]
    return ((starts + (points + 1) / 2) / number).ravel(), np.tile(weights / 2 / number, number)


#: sinh(37): nothing is left beyond it even of one degree of freedom.
_REACH = 37.0
_NODES, _WEIGHTS = _panels(40, 12)


def over_users(values: FloatArray, counts: FloatArray | None = None) -> Spread:
    """The spread of a mean over users for the seeds that there are; arguments as in `over_both`."""
    table = _Table.of(values, counts)
    users = table.between_users()
    return Spread(users, 0.0, len(table.rows) - 1, math.inf, users)


def over_both(values: FloatArray, counts: FloatArray | None = None) -> Spread:
    """The spread of a mean of `values` when users and seeds are both drawn at random, crossed.

    values: `[n_users, n_seeds]`, one value a user and seed, NaN where a user has none; a user without any does not
        count.  counts: `[n_users, n_seeds]`, of how many rows each value is the mean.
    The mean is over users, each averaged over its seeds; with counts it is over all rows.

    The model is value = mean + user + seed + rest, all three random, with the rest of variance 1 / counts.  The seeds'
    mean square and that of the rest come from the table with the users' means taken out (fitting constants: Henderson
    1953, method 3), so users may be missing at some seeds; the users' part is the cluster-robust variance of their
    means (Liang and Zeger 1986), whatever the spread of single users.  In a full table these are the mean squares of
    the two-way analysis of variance, and the variance is (MS users + MS seeds - MS rest) / (n_users n_seeds), as Owen
    (2007, "The pigeonhole bootstrap", section 3) has it for crossed random effects.  Seeds and rest together get
    n_seeds - 1 degrees of freedom, what is left of the users' part n_users - 1.

    Why not the pigeonhole bootstrap itself, nor Satterthwaite's degrees of freedom: percentiles of the bootstrap take
    the spread of five seeds for a known one, and exclude 0 for up to 15% of differences that are none; Satterthwaite's
    interval does for up to 6%, with two seeds 13%.  This one does for at most 5%, down to 1% with two or three seeds
    (tests/benchmarks/harness/test_crossed.py).

    With one seed it is the spread over users alone; with less than two users it is not known.
    """
    table = _Table.of(values, counts)
    users = table.between_users()
    n_seeds = int((table.weights.sum(axis=0) > 0).sum())
    if n_seeds < 2 or math.isnan(users):
        return over_users(values, counts)
    seeds, rest = table.seeds_and_rest(n_seeds)
    return Spread(max(users - rest, 0.0), seeds, len(table.rows) - 1, n_seeds - 1, users)


@dataclass(frozen=True)
class _Table:
    """Values minus their mean (0 where there is none), rows behind each, and what each has in the mean: `[n, s]`."""

    rows: FloatArray
    weights: FloatArray
    counts: FloatArray

    @classmethod
    def of(cls, values: FloatArray, counts: FloatArray | None) -> _Table:
        there = np.isfinite(values)
        kept = there.any(axis=1)
        values, there = values[kept], there[kept]
        if counts is None:
            sizes = there.astype(np.float64)
            weights = sizes / sizes.sum(axis=1, keepdims=True) / max(1, len(sizes))
        else:
            sizes = np.where(there, counts[kept], 0.0)
            weights = sizes / (sizes.sum() or 1.0)
        filled = np.where(there, values, 0.0)
        mean = float((weights * filled).sum())
        return cls(np.where(there, filled - mean, 0.0), weights, sizes)

    def between_users(self) -> float:
        n = len(self.rows)
        if n < 2:
            return math.nan
        return n / (n - 1) * float(((self.weights * self.rows).sum(axis=1) ** 2).sum())

    def seeds_and_rest(self, n_seeds: int) -> tuple[float, float]:
        """What the seeds' mean square is in the variance of the mean, and what the rest's is of it."""
        totals = self.counts.sum(axis=1, keepdims=True)
        left = np.where(
            self.counts > 0, self.rows - (self.counts * self.rows).sum(axis=1, keepdims=True) / totals, 0.0
        )
        normal = np.diag(self.counts.sum(axis=0)) - self.counts.T @ (self.counts / totals)
        sides = (self.counts * left).sum(axis=0)
        between, _, rank, _ = np.linalg.lstsq(normal, sides, rcond=1e-10)
        degrees = int((self.counts > 0).sum()) - len(self.rows) - int(rank)
        shares = self.weights.sum(axis=0)
        if rank < n_seeds - 1 or degrees < 1:
            # No two seeds have users in common: each is a cluster of its own, and what users have in it is in both.
            return n_seeds / (n_seeds - 1) * float(((self.weights * self.rows).sum(axis=0) ** 2).sum()), 0.0
        explained = float(sides @ between)
        rest = max(float((self.counts * left**2).sum()) - explained, 0.0) / degrees
        share = float((shares**2).sum()) / float(np.trace(normal))
        return share * max(explained, 0.0), share * (n_seeds - 1) * rest

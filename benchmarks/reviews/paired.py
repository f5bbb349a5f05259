"""Two models on the same test rows: differences with intervals that know that a user's rows belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from burnish.benchmarks.harness.rating_errors import compare_errors
from burnish.benchmarks.harness.statistics import Paired, compare, pair_users
from burnish.errors import DataError, unknown_name
from burnish.training.per_user import ERRORS


@dataclass(frozen=True)
class Difference:
    """A model minus the reference, over `n` pairs (rows, or users) of `n_users` users.

    low, high, p: two-sided, Student's with users as clusters; NaN for a single user.
    """

    metric: str
    n: int
    n_users: int
    n_seeds: int
    reference: float
    value: float
    difference: float
    low: float
    high: float
    p: float


def rating_difference(
    reference: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], metric: str
) -> Difference:
    """The difference in MAE or RMSE of all rows of the seeds that both have.

    reference, other: tables of `error_frame` by seed.  The interval is cluster-robust (see `compare_errors`), a user
    with all rows of all seeds being a cluster; for the RMSE by its linearisation.  Items are taken as given.
    Raises `DataError` where the rows of a seed differ.
    """
    if metric not in ERRORS:
        raise unknown_name("metric", metric, ERRORS)
    paired = compare_errors(reference, other, metric, keys=("user", "item", "row"))
    seeds = set(reference) & set(other)
    return _difference(metric, paired, sum(len(reference[seed]) for seed in seeds), len(seeds))


def ranking_difference(
    reference: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], metric: str
) -> Difference:
    """The difference in a column of `ranking_frame`: paired t over users, each averaged over seeds.

    Raises `DataError` where the users of a seed differ, or none has a value.
    """
    ours, theirs = (
        {seed: frame.assign(row=0) for seed, frame in side.items()} for side in (reference, other)
    )
    pooled = pair_users(ours, theirs, metric)
    if pooled.empty:
        raise DataError(f"{metric}: no user has a relevant item, so nothing can be compared")
    paired = compare(pooled["baseline"].to_numpy(), pooled["other"].to_numpy())
    return _difference(metric, paired, paired.n, len(set(reference) & set(other)))


def _difference(metric: str, paired: Paired, n: int, n_seeds: int) -> Difference:
    return Difference(
        metric,
        n,
        paired.n,
        n_seeds,
        paired.baseline_mean,
        paired.mean,
        paired.difference,
        paired.low,
        paired.high,
        paired.p_t,
    )

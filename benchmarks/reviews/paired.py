"""Two models on the same test rows: differences with intervals that know that a user's rows belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from burnish.benchmarks.harness.rating_errors import ErrorDifference, clustered
from burnish.benchmarks.harness.statistics import compare, pair_users
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

    reference, other: tables of `error_frame` by seed.  The interval is cluster-robust (Liang and Zeger 1986), a user
    with all rows of all seeds being a cluster; for the RMSE by its linearisation.  Items are taken as given.
    Raises `DataError` where the rows of a seed differ.
    """
    if metric not in ERRORS:
        raise unknown_name("metric", metric, ERRORS)
    both = pd.concat(_paired_rows(reference, other))
    ours, theirs = (both[f"error_{side}"].to_numpy() for side in ("reference", "other"))
    clusters = pd.factorize(both["user"])[0].astype(np.int64)
    found = ErrorDifference.of(metric, ours, theirs)
    before, after = found.before, found.after
    half, p = clustered(found.influence, clusters, found.difference)
    return Difference(
        metric,
        len(both),
        int(clusters.max()) + 1,
        len(set(reference) & set(other)),
        before,
        after,
        after - before,
        after - before - half,
        after - before + half,
        p,
    )


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
    found = compare(pooled["baseline"].to_numpy(), pooled["other"].to_numpy())
    return Difference(
        metric,
        found.n,
        found.n,
        len(set(reference) & set(other)),
        found.baseline_mean,
        found.mean,
        found.difference,
        found.low,
        found.high,
        found.p_t,
    )


def _paired_rows(
    reference: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame]
) -> list[pd.DataFrame]:
    keys = ["user", "item", "row"]
    parts = []
    for seed in sorted(set(reference) & set(other)):
        ours, theirs = (side[seed][[*keys, "rating", "error"]] for side in (reference, other))
        both = ours.merge(theirs, on=keys, suffixes=("_reference", "_other"), validate="one_to_one")
        same = both["rating_reference"].to_numpy() == both["rating_other"].to_numpy()
        if not len(both) == len(ours) == len(theirs) or not same.all():
            raise DataError(
                f"seed {seed}: the two models were tested on different rows ({len(ours)} and {len(theirs)}, "
                f"{int(same.sum())} equal), so they cannot be paired. Run both again on the same data and split."
            )
        parts.append(both)
    if not parts:
        raise DataError("the two models have no seed in common")
    return parts

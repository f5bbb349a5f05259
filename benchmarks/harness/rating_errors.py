"""Two arms' errors of ratings on the same test rows, where a user's rows belong together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from burnish.errors import DataError

from .crossed import LEVEL, over_both, over_users
from .statistics import Paired, paired

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class ErrorDifference:
    """A metric of `n` errors of one arm (before) and of another (after), and what each row has in the difference.

    influence: `[n]`; their mean is the difference for the MAE, and half of it for the RMSE's linearisation.
    """

    before: float
    after: float
    influence: FloatArray

    @classmethod
    def of(cls, metric: str, ours: FloatArray, theirs: FloatArray) -> ErrorDifference:
        """metric: one of `ERRORS`.  ours, theirs: errors (prediction minus rating) of the same rows, `[n]`."""
        if metric == "mae":
            sizes = np.abs(ours), np.abs(theirs)
            return cls(float(sizes[0].mean()), float(sizes[1].mean()), sizes[1] - sizes[0])
        before, after = (float(np.sqrt((errors**2).mean())) for errors in (ours, theirs))
        # d sqrt(m) = dm / (2 sqrt(m)); a model without any error has no influence either.
        return cls(before, after, _over(theirs**2, 2 * after) - _over(ours**2, 2 * before))

    @property
    def difference(self) -> float:
        """After minus before: below 0 is better."""
        return self.after - self.before


def clustered(
    influence: FloatArray, clusters: IntArray, estimate: float, *, level: float = LEVEL
) -> tuple[float, float]:
    """Half the width of the interval of a mean of `[n]` values that come in clusters, and p of `estimate`.

    clusters: from 0, `[n]`.  Student's t with one degree of freedom less than there are clusters; the variance is
    the cluster-robust one (Liang and Zeger 1986).  NaN for a single cluster.
    """
    sums = np.bincount(clusters, weights=influence - influence.mean())
    groups = len(sums)
    if groups < 2:
        return math.nan, math.nan
    error = math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(influence)
    half = float(stats.t.ppf((1 + level) / 2, groups - 1)) * error
    if error == 0:
        return 0.0, 1.0 if estimate == 0 else 0.0
    return half, float(2 * stats.t.sf(abs(estimate) / error, groups - 1))


def compare_errors(
    baseline: Mapping[int, pd.DataFrame],
    other: Mapping[int, pd.DataFrame],
    metric: str,
    *,
    keys: Sequence[str] = ("user", "row"),
    seeds_random: bool = False,
) -> Paired:
    """MAE or RMSE of all test rows of the seeds that both have; a user with all rows of all seeds is a cluster.

    baseline, other: tables with the columns `keys` (which name a row), `rating` and `error` by seed.  `n` is the number
    of users; the effect size, flips and `p_wilcoxon` are of what each user has in the difference.  seeds_random: `low`,
    `high` and `p` take users and seeds as random (`over_both`), not users alone.
    Raises `DataError` where the rows of a seed differ, or there is no common seed.
    """
    seeds = sorted(set(baseline) & set(other))
    if not seeds:
        raise DataError("the two arms have no seed in common")
    parts = [_paired_rows(seed, baseline[seed], other[seed], list(keys)) for seed in seeds]
    both = pd.concat(parts)
    errors = ErrorDifference.of(metric, both["error_baseline"].to_numpy(), both["error_other"].to_numpy())
    clusters = pd.factorize(both["user"])[0].astype(np.int64)
    half, p = clustered(errors.influence, clusters, errors.difference)
    users = int(clusters.max()) + 1
    influence = errors.influence + errors.difference - float(errors.influence.mean())
    shares = np.bincount(clusters, weights=influence) * users / len(both)
    places = np.repeat(np.arange(len(seeds)), [len(part) for part in parts])
    cells = _by_cell(influence, clusters * len(seeds) + places, (users, len(seeds)))
    spread = (over_both if seeds_random else over_users)(*cells)
    return paired(
        shares,
        (errors.before, errors.after),
        spread,
        student=(errors.difference - half, errors.difference + half, p),
    )


def _by_cell(values: FloatArray, cells: IntArray, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """The mean of the `[n]` values in each cell, NaN in empty ones, and how many there are.

    cells: numbers of cells, row by row of a table of this shape.
    """
    size = shape[0] * shape[1]
    counts = np.bincount(cells, minlength=size).astype(np.float64)
    sums = np.bincount(cells, weights=values, minlength=size)
    means = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
    return means.reshape(shape), counts.reshape(shape)


def _paired_rows(seed: int, baseline: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    ours, theirs = (side[[*keys, "rating", "error"]] for side in (baseline, other))
    both = ours.merge(theirs, on=keys, suffixes=("_baseline", "_other"), validate="one_to_one")
    same = both["rating_baseline"].to_numpy() == both["rating_other"].to_numpy()
    if not len(both) == len(ours) == len(theirs) or not same.all():
        raise DataError(
            f"seed {seed}: the two arms were tested on different ratings ({len(ours)} and {len(theirs)}, "
            f"{int(same.sum())} in common), so they cannot be paired. Run both again on the same data and split."
        )
    return both


def _over(values: FloatArray, by: float) -> FloatArray:
    return values / by if by else np.zeros_like(values)

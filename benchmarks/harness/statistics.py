"""Paired comparison of two arms on the same users: difference, interval, tests, effect size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from burnish.errors import DataError

LEVEL = 0.95


@dataclass(frozen=True)
class Paired:
    """`other` minus `baseline` over `n` pairs.  Interval and p values are two-sided, NaN for n below 2."""

    n: int
    baseline_mean: float
    mean: float
    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float
    effect_size: float


def compare(baseline: np.ndarray, other: np.ndarray, *, level: float = LEVEL) -> Paired:
    """Paired comparison of two vectors `[n]`, one value a user (or a seed) in the same order.

    The interval and `p_t` are Student's for the mean difference with n - 1 degrees of freedom; `p_wilcoxon`
    is the signed-rank test's, which drops ties; `effect_size` is Cohen's d_z, the mean difference over the
    standard deviation of the differences (Cohen 1988, section 2.3.5).  Where all differences are equal, the
    interval is a point, and p is 1 for no difference and 0 otherwise.

    Raises `DataError` for vectors of different length or none at all.
    """
    baseline, other = np.asarray(baseline, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if baseline.shape != other.shape or baseline.ndim != 1 or not len(baseline):
        raise DataError(f"paired vectors of equal length are needed; got {baseline.shape} and {other.shape}")
    differences = other - baseline
    n, mean = len(differences), float(differences.mean())
    low, high = t_interval(differences, level=level)
    return Paired(
        n,
        float(baseline.mean()),
        float(other.mean()),
        mean,
        low,
        high,
        _p_student(differences),
        _p_wilcoxon(differences),
        _effect_size(differences),
    )


def t_interval(differences: np.ndarray, *, level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of the mean of `[n]` differences; NaN for n = 1."""
    n = len(differences)
    if n < 2:
        return math.nan, math.nan
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * float(differences.std(ddof=1)) / math.sqrt(n)
    mean = float(differences.mean())
    return mean - half, mean + half


def _p_student(differences: np.ndarray) -> float:
    n = len(differences)
    if n < 2:
        return math.nan
    mean, spread = differences.mean(), differences.std(ddof=1)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / (spread / math.sqrt(n)), n - 1))


def _p_wilcoxon(differences: np.ndarray) -> float:
    if len(differences) < 2:
        return math.nan
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, zero_method="wilcox").pvalue)


def _effect_size(differences: np.ndarray) -> float:
    if len(differences) < 2:
        return math.nan
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread == 0:
        return 0.0 if mean == 0 else math.copysign(math.inf, mean)
    return mean / spread


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): each p adjusted for all of them, in the order given.

    NaN (nothing tested) stays NaN and does not count.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((place for place, p in enumerate(p_values) if not math.isnan(p)), key=p_values.__getitem__)
    running = 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def pair_users(
    baseline: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], metric: str
) -> pd.DataFrame:
    """One line a user: `user`, `baseline`, `other`: the metric averaged over rows and then over seeds.

    baseline, other: per-user tables (`user`, `row`, metrics) by seed; NaN does not count.  Only seeds of both
    count; within a seed both must have the same test rows, because a random split depends on the seed.  Raises
    `DataError` when they do not: then the data or the options that split them have changed between the runs.
    """
    parts = []
    for seed in sorted(set(baseline) & set(other)):
        ours, theirs = (side[seed][["user", "row", metric]] for side in (baseline, other))
        both = ours.merge(theirs, on=["user", "row"], suffixes=("_baseline", "_other"), validate="one_to_one")
        if not len(both) == len(ours) == len(theirs):
            raise DataError(
                f"seed {seed}: the two arms were tested on different rows ({len(ours)} and {len(theirs)}, "
                f"{len(both)} in common), so they cannot be paired. Run both again on the same data."
            )
        means = both.groupby("user", sort=True)[[f"{metric}_baseline", f"{metric}_other"]].mean()
        parts.append(means.set_axis(["baseline", "other"], axis=1))
    if not parts:
        raise DataError("the two arms have no seed in common")
    pooled = pd.concat(parts).groupby(level="user", sort=True).mean()
    return pooled.dropna().reset_index()

"""Paired comparison of two arms on the same users: difference, interval, tests, effect size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from burnish.errors import DataError

from .crossed import LEVEL, Spread, over_both, over_users

FloatArray = NDArray[np.float64]

#: Sign flips that are tried, and users (or groups of users) that are flipped at most.
FLIPS, FLIPPED = 9999, 1024
#: Differences of users below this are ties: what rounding leaves of a mean over seeds.
_TIE = 1e-12


@dataclass(frozen=True)
class Paired:
    """`other` minus `baseline` over `n` pairs.  Intervals and p values are two-sided, NaN for n below 2.

    low, high, p: of the difference by `spread`, which says what is taken as random.  low_users, high_users, p_t:
    Student's over the pairs, the seeds being taken as fixed.  p_permutation: by sign flips of the pairs.
    p_wilcoxon: the signed-rank test's, not for a headline: it does not test the mean, and rejects too often with many
    users (Ihemelandu and Ekstrand 2023, "Inference at scale").  effect_size: Cohen's d_z with its interval.
    larger, equal: pairs whose value is larger, or equal but for rounding.
    """

    n: int
    baseline_mean: float
    mean: float
    difference: float
    low: float
    high: float
    p: float
    low_users: float
    high_users: float
    p_t: float
    p_permutation: float
    p_wilcoxon: float
    effect_size: float
    effect_low: float
    effect_high: float
    larger: int
    equal: int
    spread: Spread


def compare(baseline: np.ndarray, other: np.ndarray, *, level: float = LEVEL) -> Paired:
    """Paired comparison of two vectors `[n]`, one value a user (or a seed) in the same order.

    The intervals and `p`, `p_t` are Student's for the mean difference with n - 1 degrees of freedom; `p_wilcoxon`
    drops ties; `effect_size` is Cohen's d_z, the mean difference over the standard deviation of the differences
    (Cohen 1988, section 2.3.5).  Where all differences are equal, the interval is a point, and p is 1 for no
    difference and 0 otherwise.

    Raises `DataError` for vectors of different length, none at all, or values that are no finite numbers.
    """
    baseline, other = np.asarray(baseline, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if baseline.shape != other.shape or baseline.ndim != 1 or not len(baseline):
        raise DataError(f"paired vectors of equal length are needed; got {baseline.shape} and {other.shape}")
    if not (np.isfinite(baseline).all() and np.isfinite(other).all()):
        raise DataError("paired vectors: each value has to be a finite number")
    differences = other - baseline
    means = float(baseline.mean()), float(other.mean())
    return paired(differences, means, over_users(differences[:, None]), level=level)


def compare_cells(
    baseline: np.ndarray, other: np.ndarray, *, seeds_random: bool = True, level: float = LEVEL
) -> Paired:
    """Paired comparison of two tables `[n_users, n_seeds]`, NaN where a user has no value at a seed.

    Users are averaged over their seeds first; `n` is the number of users with any value.  `low`, `high` and `p` take
    users and seeds as random (`crossed.over_both`), or, without `seeds_random`, users alone, as `compare` does of the
    averages; so do all other tests.

    Raises `DataError` for tables of different shape or without a value in common.
    """
    baseline, other = np.asarray(baseline, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if baseline.shape != other.shape or baseline.ndim != 2:
        raise DataError(f"tables of equal shape are needed; got {baseline.shape} and {other.shape}")
    differences = other - baseline
    there = np.isfinite(differences)
    kept = there.any(axis=1)
    if not kept.any():
        raise DataError("no user has a value in both tables")
    there, differences = there[kept], differences[kept]
    counts = there.sum(axis=1)
    ours, theirs, of_users = (
        np.where(there, table, 0.0).sum(axis=1) / counts
        for table in (baseline[kept], other[kept], differences)
    )
    spread = (over_both if seeds_random else over_users)(differences)
    return paired(of_users, (float(ours.mean()), float(theirs.mean())), spread, level=level)


def paired(
    differences: FloatArray,
    means: tuple[float, float],
    spread: Spread,
    *,
    student: tuple[float, float, float] | None = None,
    level: float = LEVEL,
) -> Paired:
    """What there is to say of `[n]` differences, one a user, whose mean has this spread.

    means: of baseline and other.  student: low, high and p over users, where they are not those of `differences`.
    """
    difference = float(differences.mean())
    low, high = spread.interval(difference, level)
    fixed = student or (*t_interval(differences, level=level), _p_student(differences))
    effect, effect_low, effect_high = effect_size(differences, spread, level=level)
    return Paired(
        n=len(differences),
        baseline_mean=means[0],
        mean=means[1],
        difference=difference,
        low=low,
        high=high,
        p=spread.p(difference),
        low_users=fixed[0],
        high_users=fixed[1],
        p_t=fixed[2],
        p_permutation=sign_flip_p(differences),
        p_wilcoxon=_p_wilcoxon(differences),
        effect_size=effect,
        effect_low=effect_low,
        effect_high=effect_high,
        larger=int((differences > _TIE).sum()),
        equal=int((np.abs(differences) <= _TIE).sum()),
        spread=spread,
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


def sign_flip_p(
    differences: np.ndarray, *, flips: int = FLIPS, flipped: int = FLIPPED, seed: int = 0
) -> float:
    """Two-sided p of the mean of `[n]` differences by flipping their signs at random (Fisher 1935, section 21).

    Each difference is a user's, averaged over seeds, so that a user is flipped as a whole.  Up to 13 that are not 0 are
    flipped in every way; else in `flips` random ways, and p is (1 + as far out) / (1 + flips) (Phipson and Smyth 2010).
    More than `flipped` users are put into so many groups at random, each flipped together: fewer ways, all of
    which leave the distribution as it is where there is no difference, so the test stays valid.  NaN for n below 2.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if len(differences) < 2:
        return math.nan
    moved = differences[np.abs(differences) > _TIE]
    if not len(moved):
        return 1.0
    draw = np.random.default_rng(seed)
    if len(moved) > flipped:
        moved = np.bincount(draw.permutation(len(moved)) % flipped, weights=moved, minlength=flipped)
    # Equal to the observed sum up to rounding counts as as far out.
    observed = abs(float(moved.sum())) - 1e-9 * float(np.abs(moved).sum())
    if len(moved) <= 13:
        ways = np.arange(2 ** len(moved))
        signs = 1.0 - 2.0 * (ways[:, None] >> np.arange(len(moved)) & 1)
        return float((np.abs(signs @ moved) >= observed).mean())
    further = 0
    at_once = 1000
    for start in range(0, flips, at_once):
        rows = min(at_once, flips - start)
        bits = np.unpackbits(draw.integers(0, 256, (rows, -(-len(moved) // 8)), dtype=np.uint8), axis=1)
        sums = moved.sum() - 2.0 * (bits[:, : len(moved)] @ moved)
        further += int((np.abs(sums) >= observed).sum())
    return (1 + further) / (1 + flips)


def effect_size(
    differences: FloatArray, spread: Spread, *, level: float = LEVEL
) -> tuple[float, float, float]:
    """Cohen's d_z of `[n]` differences and its interval: the mean over the standard deviation, paired.

    The interval is by the delta method without assuming normal differences (influence of z = (x - mean) / sd:
    z - d / 2 (z^2 - 1); Huber 1981, section 1.5), with the parts and degrees of freedom of `spread`, the mean's.
    NaN for n below 2; where all differences are equal, d is 0 or infinite and has no interval.
    """
    n = len(differences)
    if n < 2:
        return math.nan, math.nan, math.nan
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0:
        return (0.0 if mean == 0 else math.copysign(math.inf, mean)), math.nan, math.nan
    effect = mean / deviation
    z = (differences - mean) / deviation
    influence = z - effect / 2 * (z**2 - 1)
    more = (float(influence.var(ddof=1)) - 1) / n
    users, seeds, alone = (part / deviation**2 for part in (spread.users, spread.seeds, spread.users_alone))
    scaled = Spread(max(users + more, 0.0), seeds, spread.users_df, spread.seeds_df, max(alone + more, 0.0))
    return effect, *scaled.interval(effect, level)


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


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up correction (1995, equation 1): the false discovery rate at which each is called.

    In the order given.  NaN (nothing tested) stays NaN and does not count.
    """
    adjusted = [math.nan] * len(p_values)
    order = sorted((place for place, p in enumerate(p_values) if not math.isnan(p)), key=p_values.__getitem__)
    running = 1.0
    for rank in range(len(order), 0, -1):
        place = order[rank - 1]
        running = min(running, len(order) * p_values[place] / rank)
        adjusted[place] = running
    return adjusted


@dataclass(frozen=True)
class Cells:
    """Two arms' values by user and seed: `[n_users, n_seeds]`, NaN where a user has none at a seed."""

    users: pd.Index
    seeds: list[int]
    baseline: FloatArray
    other: FloatArray


def pair_cells(baseline: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], metric: str) -> Cells:
    """The metric of two arms averaged over the rows of each user at each seed.

    baseline, other: per-user tables (`user`, `row`, metrics) by seed; NaN does not count.  Only seeds of both
    count; within a seed both must have the same test rows, because a random split depends on the seed.  Users may
    differ between seeds.  Raises `DataError` when rows do not pair: then the data or the options that split them have
    changed between the runs.
    """
    parts = {}
    for seed in sorted(set(baseline) & set(other)):
        ours, theirs = (side[seed][["user", "row", metric]] for side in (baseline, other))
        both = ours.merge(theirs, on=["user", "row"], suffixes=("_baseline", "_other"), validate="one_to_one")
        if not len(both) == len(ours) == len(theirs):
            raise DataError(
                f"seed {seed}: the two arms were tested on different rows ({len(ours)} and {len(theirs)}, "
                f"{len(both)} in common), so they cannot be paired. Run both again on the same data."
            )
        parts[seed] = both.groupby("user", sort=False)[[f"{metric}_baseline", f"{metric}_other"]].mean()
    if not parts:
        raise DataError("the two arms have no seed in common")
    users = pd.Index(sorted(set().union(*(part.index for part in parts.values()))))
    tables = np.stack([part.reindex(users).to_numpy(dtype=np.float64) for part in parts.values()], axis=1)
    tables[np.isnan(tables).any(axis=2)] = np.nan
    return Cells(users, list(parts), tables[:, :, 0], tables[:, :, 1])


def pair_users(
    baseline: Mapping[int, pd.DataFrame], other: Mapping[int, pd.DataFrame], metric: str
) -> pd.DataFrame:
    """One line a user: `user`, `baseline`, `other`: the metric averaged over rows and then over seeds.

    As `pair_cells`; users without a value at any seed are left out.
    """
    cells = pair_cells(baseline, other, metric)
    there = np.isfinite(cells.baseline)
    kept = np.flatnonzero(there.any(axis=1))
    means = {
        name: np.where(there, table, 0.0)[kept].sum(axis=1) / there[kept].sum(axis=1)
        for name, table in (("baseline", cells.baseline), ("other", cells.other))
    }
    return pd.DataFrame({"user": cells.users[kept], **means})

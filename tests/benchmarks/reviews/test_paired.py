"""Paired differences against a bootstrap over users, by hand, and on pairs that do not fit."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from burnish.benchmarks.reviews.paired import ranking_difference, rating_difference
from burnish.errors import DataError, UnknownNameError


def frames(seed: int, shift: float, n_users: int = 120) -> dict[int, pd.DataFrame]:
    """Two seeds of errors of a model; users differ in how hard they are, and rows of a user resemble each other."""
    found = {}
    for split in (1, 2):
        draw = np.random.default_rng([split, 99])
        users = np.repeat(np.arange(n_users), draw.integers(1, 9, n_users))
        hard = np.random.default_rng(5).gamma(2, 0.4, n_users)[users]
        noise = np.random.default_rng([seed, split])
        own = noise.normal(0, 0.25, n_users)[users]
        found[split] = pd.DataFrame(
            {
                "user": [f"u{u}" for u in users],
                "item": [f"i{n}" for n in range(len(users))],
                "row": 0,
                "rating": draw.integers(1, 6, len(users)).astype(float),
                "error": hard * draw.normal(0, 1, len(users)) + own + noise.normal(shift, 0.2, len(users)),
            }
        )
    return found


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_interval_against_a_bootstrap_over_users(metric):
    one, other = frames(1, 0.0), frames(2, 0.3)
    found = rating_difference(one, other, metric)
    joined = pd.concat(
        [one[s].merge(other[s], on=["user", "item", "row"], suffixes=("_a", "_b")) for s in one]
    )
    parts = [part[["error_a", "error_b"]].to_numpy() for _, part in joined.groupby("user")]
    size = {
        "mae": lambda e: np.abs(e).mean(0),
        "rmse": lambda e: np.sqrt((e**2).mean(0)),
    }[metric]
    before, after = size(np.concatenate(parts))
    assert (found.reference, found.value) == pytest.approx((before, after), rel=1e-12)
    draw = np.random.default_rng(0)
    means = []
    for _ in range(1500):
        drawn = size(np.concatenate([parts[n] for n in draw.integers(0, len(parts), len(parts))]))
        means.append(drawn[1] - drawn[0])
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.12)
    assert (found.low + found.high) / 2 == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
    assert (found.n_users, found.n_seeds, found.n) == (120, 2, len(joined))


def test_direction_and_no_difference():
    one, other = frames(1, 0.0), frames(2, 0.5)
    forth, back = rating_difference(one, other, "mae"), rating_difference(other, one, "mae")
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.low > 0 > back.high
    same = rating_difference(one, one, "rmse")
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_perfect_model_can_be_compared():
    one = frames(1, 0.0)
    perfect = {seed: frame.assign(error=0.0) for seed, frame in one.items()}
    found = rating_difference(one, perfect, "rmse")
    assert found.value == 0
    assert found.high < 0


def test_rows_that_differ_are_refused():
    one, other = frames(1, 0.0), frames(2, 0.0)
    with pytest.raises(DataError, match=r"seed 2: .*different ratings"):
        rating_difference(one, {**other, 2: other[2].iloc[1:]}, "mae")
    changed = other[1].assign(rating=other[1]["rating"] + (other[1].index == 0))
    with pytest.raises(DataError, match=r"seed 1: .*different ratings"):
        rating_difference(one, {**other, 1: changed}, "mae")
    with pytest.raises(DataError, match="no seed in common"):
        rating_difference(one, {3: other[1]}, "mae")
    with pytest.raises(UnknownNameError, match="'mea'"):
        rating_difference(one, other, "mea")


def test_one_user_has_no_interval():
    one, other = ({1: f[1][f[1]["user"] == "u3"]} for f in (frames(1, 0.0), frames(2, 0.0)))
    found = rating_difference(one, other, "mae")
    assert math.isnan(found.low)
    assert math.isnan(found.p)


def test_rankings_are_paired_by_user():
    base = {s: pd.DataFrame({"user": ["a", "b", "c"], "p1.f1@5": [0.1, 0.5, math.nan]}) for s in (1, 2)}
    better = {s: frame.assign(**{"p1.f1@5": frame["p1.f1@5"] + 0.1 * s}) for s, frame in base.items()}
    found = ranking_difference(base, better, "p1.f1@5")
    assert found.difference == pytest.approx(0.15)
    assert (found.n, found.n_seeds) == (2, 2)
    nobody = {1: base[1].assign(**{"p1.f1@5": math.nan})}
    with pytest.raises(DataError, match="no user has a relevant item"):
        ranking_difference(nobody, nobody, "p1.f1@5")

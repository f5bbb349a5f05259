"""Equivalence and non-inferiority, against scipy's one-sided tests and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from burnish.benchmarks.harness.crossed import Spread, over_users
from burnish.benchmarks.harness.equivalence import Margins, Smallest
from burnish.errors import ConfigurationError


@pytest.mark.parametrize("sign", [1, -1])
def test_two_one_sided_tests_against_scipy(sign: int) -> None:
    values = np.random.default_rng(0).normal(0.01, 0.1, 60)
    found = Margins.of(float(values.mean()), over_users(values[:, None]), 0.03, sign)
    gains = sign * values
    above = stats.ttest_1samp(gains, -0.03, alternative="greater").pvalue
    below = stats.ttest_1samp(gains, 0.03, alternative="less").pvalue
    assert found.no_worse == pytest.approx(above, rel=1e-9)
    assert found.equivalent == pytest.approx(max(above, below), rel=1e-9)


def test_equivalent_is_within_the_90_percent_interval() -> None:
    spread = Spread(1e-4, 4e-5, 200, 4)
    half = spread.half_width(0.9)
    for difference in (0.0, 0.004, -0.02):
        edge = abs(difference) + half
        assert Margins.of(difference, spread, 1.001 * edge, 1).equivalent < 0.05
        assert Margins.of(difference, spread, 0.999 * edge, 1).equivalent > 0.05


def test_at_the_margin_5_percent_are_called_equivalent() -> None:
    draw = np.random.default_rng(1)
    called = 0
    for _ in range(1000):
        values = draw.normal(0.05, 0.1, 50)
        called += Margins.of(float(values.mean()), over_users(values[:, None]), 0.05, 1).equivalent < 0.05
    assert 0.03 <= called / 1000 <= 0.07  # a Monte Carlo error is .7%


def test_no_spread_at_all() -> None:
    point = Spread(0.0, 0.0, 9, 4)
    assert Margins.of(0.0, point, 0.01, 1) == Margins(0.01, 0.0, 0.0)
    assert Margins.of(-0.02, point, 0.01, 1) == Margins(0.01, 1.0, 1.0)


@pytest.mark.parametrize(
    ("given", "beside"), [(0.002, 0.002), ("0.002", 0.002), (" 1% ", 0.005), ("25%", 0.125)]
)
def test_a_smallest_difference(given: Any, beside: float) -> None:
    smallest = Smallest.of(given)
    assert smallest is not None
    assert smallest.beside(0.5) == pytest.approx(beside)
    assert Smallest.of(None) is None


@pytest.mark.parametrize("given", [0, -0.1, "x", "1%%", "", "nan", "inf", True])
def test_what_is_no_smallest_difference(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"smallest_difference: .* such as 0\.002"):
        Smallest.of(given)

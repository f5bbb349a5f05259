"""Paired statistics against scipy, against hand computation, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from burnish.benchmarks.harness.statistics import compare, holm, pair_users, t_interval
from burnish.errors import DataError


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    baseline = draw.beta(1, 3, 200)
    other = np.clip(baseline + draw.normal(0.01, 0.08, 200), 0, 1)
    other[:40] = baseline[:40]  # ties, as per-user metrics have many
    return baseline, other


def test_t_test_and_interval_against_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours = compare(*pair)
    reference = stats.ttest_rel(pair[1], pair[0])
    interval = reference.confidence_interval(0.95)
    assert ours.p_t == pytest.approx(reference.pvalue, rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert ours.difference == pytest.approx(pair[1].mean() - pair[0].mean(), abs=1e-15)
    assert ours.effect_size == pytest.approx(reference.statistic / math.sqrt(200), rel=1e-12)


def test_p_values_are_two_sided_and_the_sign_follows_the_arm(pair: tuple[np.ndarray, np.ndarray]) -> None:
    forth, back = compare(*pair), compare(pair[1], pair[0])
    assert forth.p_t == back.p_t
    assert forth.p_wilcoxon == back.p_wilcoxon
    assert forth.difference == -back.difference
    assert (forth.low, forth.high) == (-back.high, -back.low)


def test_an_arm_that_always_wins_has_a_small_p() -> None:
    """RecBole's own significance test gives a p near 1 here."""
    draw = np.random.default_rng(0)
    baseline = draw.random(100)
    result = compare(baseline, baseline + draw.uniform(0.01, 0.05, 100))
    assert result.difference > 0
    assert max(result.p_t, result.p_wilcoxon) < 1e-10
    assert result.low > 0


def test_wilcoxon_against_enumeration() -> None:
    """Exact two-sided p for six distinct differences: all 2^6 signs of the ranks, counted here."""
    differences = np.array([0.3, -0.1, 0.5, 0.2, 0.45, -0.05])
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [sum(rank for bit, rank in enumerate(ranks) if signs >> bit & 1) for signs in range(64)]
    middle = ranks.sum() / 2
    expected = np.mean([abs(total - middle) >= abs(observed - middle) for total in sums])
    assert compare(np.zeros(6), differences).p_wilcoxon == pytest.approx(expected, abs=1e-12)


def test_wilcoxon_drops_ties(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert compare(*pair).p_wilcoxon == pytest.approx(
        compare(pair[0][40:], pair[1][40:]).p_wilcoxon, rel=1e-12
    )


def test_no_difference_at_all() -> None:
    same = np.array([0.1, 0.2, 0.3])
    result = compare(same, same)
    assert (result.difference, result.low, result.high) == (0, 0, 0)
    assert (result.p_t, result.p_wilcoxon, result.effect_size) == (1, 1, 0)


def test_one_pair_is_not_tested() -> None:
    result = compare(np.array([0.25]), np.array([0.75]))
    assert result.difference == 0.5
    assert all(math.isnan(value) for value in (result.low, result.high, result.p_t, result.p_wilcoxon))


@pytest.mark.parametrize("shapes", [(0, 0), (3, 4)])
def test_vectors_that_do_not_pair(shapes: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="equal length"):
        compare(np.zeros(shapes[0]), np.zeros(shapes[1]))


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .04: times 4, 3, 2, 1 gives .04 .06 .06 .04, and then never less than before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_leaves_out_what_was_not_tested() -> None:
    corrected = holm([math.nan, 0.02, 0.03])
    assert math.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.04, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_lies_between_plain_and_bonferroni(values: list[float]) -> None:
    corrected = holm(values)
    for place, p in enumerate(values):
        assert p <= corrected[place] <= min(1.0, p * len(values)) + 1e-15
        assert all(corrected[other] <= corrected[place] for other, q in enumerate(values) if q < p)


def coverage(interval: object, n: int = 60, repeats: int = 400) -> float:
    """How often the interval holds the true mean of skewed, tie-rich differences such as users have."""
    assert callable(interval)
    draw = np.random.default_rng(11)
    hits = 0
    for _ in range(repeats):
        differences = np.where(draw.random(n) < 0.3, 0.0, draw.normal(0.02, 0.1, n))
        low, high = interval(differences)
        hits += low <= 0.7 * 0.02 <= high
    return hits / repeats


def test_coverage_of_the_interval() -> None:
    # 400 repeats of a 95% interval: standard error 1.1%.
    assert 0.92 <= coverage(t_interval) <= 0.98


def test_rate_of_false_alarms() -> None:
    draw = np.random.default_rng(3)
    alarms = [compare(np.zeros(50), draw.normal(0, 1, 50)).p_t < 0.05 for _ in range(600)]
    assert 0.03 <= np.mean(alarms) <= 0.075  # standard error 0.9%


def table(users: list[str], values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"user": users, "row": range(len(users)), "ndcg@10": values})


def test_pairs_average_over_seeds_within_users() -> None:
    baseline = {1: table(["a", "b"], [0.0, 0.5]), 2: table(["b", "a"], [0.1, 0.4])}
    other = {1: table(["a", "b"], [1.0, 0.5]), 2: table(["b", "a"], [0.3, 0.2]), 3: table(["a"], [9.0])}
    pairs = pair_users(baseline, other, "ndcg@10").set_index("user")
    assert pairs.loc["a"].tolist() == pytest.approx([0.2, 0.6])
    assert pairs.loc["b"].tolist() == pytest.approx([0.3, 0.4])


def test_several_rows_of_a_user_count_as_one() -> None:
    baseline = {1: table(["a", "a", "b"], [0.0, 1.0, 0.5])}
    other = {1: table(["a", "a", "b"], [1.0, 1.0, 0.5])}
    pairs = pair_users(baseline, other, "ndcg@10")
    assert pairs["baseline"].tolist() == [0.5, 0.5]
    assert pairs["other"].tolist() == [1.0, 0.5]


def test_different_test_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"seed 1: .* different rows \(2 and 2, 1 in common\)"):
        pair_users({1: table(["a", "b"], [0, 0])}, {1: table(["a", "c"], [0, 0])}, "ndcg@10")
    with pytest.raises(DataError, match="no seed in common"):
        pair_users({1: table(["a"], [0])}, {2: table(["a"], [0])}, "ndcg@10")

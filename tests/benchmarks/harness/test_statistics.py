"""Paired statistics against scipy, against hand computation, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from burnish.benchmarks.harness.crossed import over_both, over_users
from burnish.benchmarks.harness.statistics import (
    benjamini_hochberg,
    compare,
    compare_cells,
    effect_size,
    holm,
    pair_cells,
    pair_users,
    sign_flip_p,
    t_interval,
)
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
    assert (result.p, result.p_t, result.p_permutation, result.p_wilcoxon, result.effect_size) == (
        1,
        1,
        1,
        1,
        0,
    )
    assert (result.larger, result.equal) == (0, 3)


def test_one_pair_is_not_tested() -> None:
    result = compare(np.array([0.25]), np.array([0.75]))
    assert result.difference == 0.5
    unknown = (result.low, result.high, result.p, result.p_t, result.p_permutation, result.p_wilcoxon)
    assert all(map(math.isnan, (*unknown, result.effect_size, result.effect_low)))


@pytest.mark.parametrize("shapes", [(0, 0), (3, 4)])
def test_vectors_that_do_not_pair(shapes: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="equal length"):
        compare(np.zeros(shapes[0]), np.zeros(shapes[1]))


# ---------------------------------------------------------------- sign flips


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(odd: float) -> None:
    with pytest.raises(DataError, match="finite number"):
        compare(np.array([odd, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))


def test_sign_flips_against_all_of_them_counted_here() -> None:
    differences = np.array([0.3, -0.1, 0.0, 0.5, 0.2, 0.45, -0.05, 0.3])
    observed = abs(sum(differences))
    moved = [value for value in differences if value]
    out = 0
    for signs in range(2 ** len(moved)):
        total = sum(value if signs >> bit & 1 else -value for bit, value in enumerate(moved))
        out += abs(total) >= observed - 1e-12
    assert sign_flip_p(differences) == pytest.approx(out / 2 ** len(moved), abs=1e-15)


def test_sign_flips_against_scipy_and_ranx() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.1, 150)
    ours = sign_flip_p(differences)
    reference = stats.permutation_test(
        (differences, np.zeros(150)),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(1),
    )
    # Two Monte Carlo estimates from 9999 flips: four of their errors.
    error = 4 * math.sqrt(2 * ours * (1 - ours) / 9999)
    assert ours == pytest.approx(reference.pvalue, abs=error)
    tests = pytest.importorskip("ranx.statistical_tests.fisher_randomization_test")
    p, _ = tests.fisher_randomization_test.py_func(differences, np.zeros(150), 2000)
    assert ours == pytest.approx(p, abs=4 * math.sqrt(ours * (1 - ours) / 2000) + error)


def test_sign_flips_in_groups_are_about_those_of_users() -> None:
    """More users than are flipped one by one: near Student's p, which is exact enough here."""
    differences = np.random.default_rng(2).normal(0.004, 0.1, 5000)
    expected = stats.ttest_1samp(differences, 0).pvalue
    found = sign_flip_p(differences)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / 9999) + 0.1 * expected)
    assert found == sign_flip_p(differences) != sign_flip_p(differences, seed=1)


def test_sign_flips_of_no_difference() -> None:
    """Skewed users of mean 0, in groups and one by one: 5% and three Monte Carlo errors of 1.3%."""
    draw = np.random.default_rng(3)
    for flipped in (20, 100):
        alarms = [
            sign_flip_p(draw.exponential(size=80) - 1, flips=499, flipped=flipped) < 0.05 for _ in range(300)
        ]
        assert 0.02 <= np.mean(alarms) <= 0.09


# ---------------------------------------------------------------- effect sizes


def test_the_effect_size_of_normal_differences_against_the_noncentral_t() -> None:
    """The exact interval of a standardised mean of normal values, by turning the noncentral t around."""
    differences = np.random.default_rng(4).normal(0.3, 1, 400)
    effect, low, high = effect_size(differences, over_users(differences[:, None]))
    assert effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    for end, tail in ((low, 0.975), (high, 0.025)):
        assert stats.nct.cdf(effect * 20, 399, end * 20) == pytest.approx(tail, abs=0.004)


def test_the_effect_size_of_skewed_differences_against_the_jackknife() -> None:
    differences = np.random.default_rng(5).exponential(size=300) - 0.5
    effect, low, high = effect_size(differences, over_users(differences[:, None]))
    left_out = [np.delete(differences, place) for place in range(300)]
    jackknifed = [rest.mean() / rest.std(ddof=1) for rest in left_out]
    error = math.sqrt(299 / 300 * np.sum((jackknifed - np.mean(jackknifed)) ** 2))
    assert (high - low) / 2 == pytest.approx(1.968 * error, rel=0.02)
    assert (high + low) / 2 == pytest.approx(effect)


def test_the_interval_of_the_effect_size_admits_other_seeds() -> None:
    table = np.random.default_rng(6).normal(0.1, 1, (200, 5)) + np.linspace(-0.5, 0.5, 5)
    differences = table.mean(axis=1)
    _, low, high = effect_size(differences, over_both(table))
    _, near, far = effect_size(differences, over_users(table))
    assert high - low > 3 * (far - near)


# ---------------------------------------------------------------- users and seeds


def test_a_table_is_compared_as_its_users_are_and_its_interval_is_wider() -> None:
    draw = np.random.default_rng(7)
    baseline = draw.random((60, 4))
    other = baseline + draw.normal(0.02, 0.1, (60, 4)) + np.array([0.1, 0, -0.1, 0.05])
    baseline[3, 1] = other[7, 2] = np.nan
    kept = np.isfinite(baseline) & np.isfinite(other)
    means = [np.nanmean(np.where(kept, table, np.nan), axis=1) for table in (baseline, other)]
    of_users, found = compare(*means), compare_cells(baseline, other)
    fixed = compare_cells(baseline, other, seeds_random=False)
    assert found.difference == pytest.approx(of_users.difference)
    for name in ("baseline_mean", "mean", "low_users", "high_users", "p_t", "p_permutation", "effect_size"):
        assert getattr(found, name) == pytest.approx(getattr(of_users, name), rel=1e-9)
        assert getattr(fixed, name) == pytest.approx(getattr(of_users, name), rel=1e-9)
    assert (fixed.low, fixed.high, fixed.p) == pytest.approx((found.low_users, found.high_users, found.p_t))
    assert found.low < found.low_users < found.high_users < found.high
    assert found.p > found.p_t
    assert over_both(other - baseline) == found.spread


def test_tables_that_do_not_pair() -> None:
    with pytest.raises(DataError, match="equal shape"):
        compare_cells(np.zeros((3, 2)), np.zeros((2, 3)))
    with pytest.raises(DataError, match="no user has a value in both"):
        compare_cells(np.full((3, 2), np.nan), np.zeros((3, 2)))


# ---------------------------------------------------------------- corrections


def test_benjamini_and_hochberg_against_scipy() -> None:
    values = [*np.random.default_rng(8).uniform(0, 0.2, 20), 0.01, 0.01, 1.0]
    assert benjamini_hochberg(values) == pytest.approx(stats.false_discovery_control(values, method="bh"))
    assert benjamini_hochberg([]) == []
    few = benjamini_hochberg([math.nan, 0.02, 0.03])
    assert math.isnan(few[0])
    assert few[1:] == pytest.approx([0.03, 0.03])


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
    alarms = [over_users(x).p(float(x.mean())) < 0.05 for x in draw.normal(0, 1, (600, 50, 1))]
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


def test_cells_of_users_who_are_not_in_every_seed() -> None:
    baseline = {1: table(["a", "b"], [0.0, 0.5]), 2: table(["c", "b", "b"], [0.1, 0.4, 0.6])}
    other = {1: table(["a", "b"], [1.0, math.nan]), 2: table(["c", "b", "b"], [0.3, 0.2, 0.4])}
    cells = pair_cells(baseline, other, "ndcg@10")
    assert (list(cells.users), cells.seeds) == (["a", "b", "c"], [1, 2])
    unknown = math.nan  # of b at seed 1, in both: one arm has no value there
    assert cells.baseline == pytest.approx(
        np.array([[0, unknown], [unknown, 0.5], [unknown, 0.1]]), nan_ok=True
    )
    assert cells.other == pytest.approx(np.array([[1, unknown], [unknown, 0.3], [unknown, 0.3]]), nan_ok=True)
    assert pair_users(baseline, other, "ndcg@10")["baseline"].tolist() == [0.0, 0.5, 0.1]


def test_different_test_rows_are_refused() -> None:
    with pytest.raises(DataError, match=r"seed 1: .* different rows \(2 and 2, 1 in common\)"):
        pair_users({1: table(["a", "b"], [0, 0])}, {1: table(["a", "c"], [0, 0])}, "ndcg@10")
    with pytest.raises(DataError, match="no seed in common"):
        pair_users({1: table(["a"], [0])}, {2: table(["a"], [0])}, "ndcg@10")

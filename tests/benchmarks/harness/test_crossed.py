"""Users and seeds as random: against brute force, other formulas, a bootstrap, and by simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from burnish.benchmarks.harness.crossed import Spread, over_both, over_users
from burnish.benchmarks.harness.statistics import compare_cells

# ---------------------------------------------------------------- the distribution


@pytest.mark.parametrize(
    "parts", [(1.0, 4.0, 30, 2), (4.0, 1.0, 30, 1), (1.0, 1.0, 5, 5), (1.0, 0.01, 99, 4)]
)
@pytest.mark.parametrize("excess", [0.5, 3.0, 12.0])
def test_a_sum_of_two_students_against_scipys_integral(
    parts: tuple[float, float, int, int], excess: float
) -> None:
    users, seeds, users_df, seeds_df = parts
    t, other = stats.t(users_df, scale=math.sqrt(users)), stats.t(seeds_df, scale=math.sqrt(seeds))
    ends = [-1000 * math.sqrt(users), 0, excess, excess + 1000 * math.sqrt(users)]
    pieces = pairwise(ends)
    expected = sum(
        integrate.quad(lambda x: t.pdf(x) * other.sf(excess - x), *piece, limit=400)[0] for piece in pieces
    )
    spread = Spread(users, seeds, users_df, seeds_df)
    # Beyond the ends of the integral lies at most what one degree of freedom has there.
    assert spread.above(excess) == pytest.approx(expected, rel=1e-6, abs=1e-9 if users_df > 1 else 1e-3)
    assert spread.above(-excess) == pytest.approx(1 - spread.above(excess), abs=1e-15)


@pytest.mark.parametrize("excess", [0.1, 3.0, 300.0, 1e5])
def test_two_of_one_degree_of_freedom_are_a_cauchy(excess: float) -> None:
    """A closed form: scales of Cauchy variables add up.  Far out in the tail, too, which is where p is small."""
    assert Spread(4.0, 9.0, 1, 1).above(excess) == pytest.approx(stats.cauchy.sf(excess / 5), rel=1e-10)


def test_one_part_is_students_t() -> None:
    expected = stats.t.ppf(0.975, 7) * 3
    assert Spread(9.0, 0.0, 7, math.inf).half_width() == pytest.approx(expected)
    assert Spread(0.0, 9.0, 99, 7).half_width() == pytest.approx(expected)
    assert Spread(0.0, 9.0, 99, 7).p(expected) == pytest.approx(0.05)
    assert Spread(9.0, 1e-9, 7, 4).half_width() == pytest.approx(expected, rel=1e-4)


def test_interval_and_p_say_the_same() -> None:
    spread = Spread(2.0, 0.5, 40, 4)
    for level in (0.9, 0.95):
        low, _ = spread.interval(10.0, level)
        assert spread.p(10.0 - low) == pytest.approx(1 - level, abs=1e-7)


def test_nothing_is_surer_than_for_fixed_seeds() -> None:
    assert Spread(0.0, 1e-6, 50, 4, users_alone=1.0).half_width() == pytest.approx(stats.t.ppf(0.975, 50))


def test_no_spread_and_no_knowledge() -> None:
    point = Spread(0.0, 0.0, 9, math.inf)
    assert (point.p(0.0), point.p(0.1), point.interval(0.1)) == (1.0, 0.0, (0.1, 0.1))
    unknown = over_both(np.array([[0.5, 0.7]]))
    assert math.isnan(unknown.p(0.5))
    assert all(map(math.isnan, unknown.interval(0.5)))


# ---------------------------------------------------------------- the two parts


def draw_table(
    draw: np.random.Generator,
    shape: tuple[int, int],
    scales: tuple[float, float, float],
    missing: float = 0.0,
) -> np.ndarray:
    """Differences with skewed users, seeds and a rest with many zeros, each of mean 0 and these deviations."""
    n, s = shape
    users = draw.gamma(1.0, 1.0, (n, 1)) - 1
    rest = np.where(draw.random((n, s)) < 0.5, 0.0, draw.normal(0, math.sqrt(2), (n, s)))
    table = scales[0] * users + scales[1] * draw.normal(size=(1, s)) + scales[2] * rest
    table[draw.random((n, s)) < missing] = np.nan
    return table


def test_a_full_table_against_the_analysis_of_variance_in_loops() -> None:
    table = draw_table(np.random.default_rng(0), (15, 4), (1.0, 0.5, 1.0))
    n, s = table.shape
    mean = sum(map(sum, table.tolist())) / (n * s)
    of_users = [sum(table[u]) / s for u in range(n)]
    of_seeds = [sum(table[:, j]) / n for j in range(s)]
    ms_users = s * sum((m - mean) ** 2 for m in of_users) / (n - 1)
    ms_seeds = n * sum((m - mean) ** 2 for m in of_seeds) / (s - 1)
    ms_rest = sum(
        (table[u, j] - of_users[u] - of_seeds[j] + mean) ** 2 for u in range(n) for j in range(s)
    ) / ((n - 1) * (s - 1))
    found = over_both(table)
    assert found.users == pytest.approx((ms_users - ms_rest) / (n * s), rel=1e-9)
    assert found.seeds == pytest.approx(ms_seeds / (n * s), rel=1e-9)
    assert (found.users_df, found.seeds_df) == (n - 1, s - 1)
    assert found.users_alone == over_users(table).users == pytest.approx(ms_users / (n * s), rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_table_with_gaps_against_regressions_on_dummies(weighted: bool) -> None:
    """Henderson's method 3 the long way: residual sums of squares of two models, by least squares on all dummies."""
    draw = np.random.default_rng(1)
    table = draw_table(draw, (20, 5), (1.0, 0.7, 1.0), missing=0.3)
    counts = draw.integers(1, 6, table.shape).astype(float) if weighted else np.ones(table.shape)
    u, j = np.nonzero(np.isfinite(table))
    y, q = table[u, j], counts[u, j]
    root = np.sqrt(q)
    users = np.eye(len(table))[u][:, np.unique(u)]
    both = np.hstack([users, np.eye(table.shape[1])[j]])

    def left(dummies: np.ndarray) -> float:
        solution = np.linalg.lstsq(dummies * root[:, None], y * root)[0]
        return float((q * (y - dummies @ solution) ** 2).sum())

    n = len(np.unique(u))
    rest = left(both) / (len(y) - n - 4)
    explained = left(users) - left(both)
    weights = q / q.sum() if weighted else np.array([1 / (u == one).sum() / n for one in u])
    shares = np.array([weights[j == seed].sum() for seed in range(5)])
    own = users * root[:, None]
    seeds = np.eye(5)[j] * root[:, None]
    trace = np.trace(seeds.T @ (np.eye(len(y)) - own @ np.linalg.pinv(own)) @ seeds)
    mean = float((weights * y).sum())
    sums = np.array([(weights * (y - mean))[u == one].sum() for one in np.unique(u)])
    found = over_both(table, counts) if weighted else over_both(table)
    share = (shares**2).sum() / trace
    assert found.seeds == pytest.approx(share * explained, rel=1e-9)
    assert found.users_alone == pytest.approx(n / (n - 1) * (sums**2).sum(), rel=1e-9)
    assert found.users == pytest.approx(max(found.users_alone - share * 4 * rest, 0), rel=1e-9)


def test_the_variance_is_right_on_average_with_gaps() -> None:
    """Over 800 tables the mean of the estimates is the variance of the means: Monte Carlo error of 5%."""
    draw = np.random.default_rng(2)
    means, users, seeds = [], [], []
    for _ in range(800):
        table = draw_table(draw, (40, 4), (1.0, 0.2, 1.0), missing=0.2)
        found = over_both(table)
        users.append(found.users)
        seeds.append(found.seeds)
        means.append(np.nanmean(np.nanmean(table[np.isfinite(table).any(axis=1)], axis=1)))
    assert np.mean(users) + np.mean(seeds) == pytest.approx(np.var(means), rel=0.15)
    assert np.mean(users) == pytest.approx(1 / 40, rel=0.05)


def test_the_pigeonhole_bootstrap_has_about_the_same_error() -> None:
    """Owen (2007): the bootstrap's variance is that of users and seeds, and three times that of the rest."""
    table = draw_table(np.random.default_rng(3), (300, 12), (1.0, 0.3, 0.5))
    found = over_both(table)
    resampled = pigeonhole(np.random.default_rng(4), table, 4000)
    # (1 - 1/12) of the seeds' part; 4000 resamples: 2.3% of a variance's error.
    assert resampled.var() == pytest.approx(found.users + 11 / 12 * found.seeds, rel=0.08)


def pigeonhole(draw: np.random.Generator, table: np.ndarray, resamples: int) -> np.ndarray:
    """Means of a full table with users and seeds drawn anew, each with replacement."""
    n, s = table.shape
    users = draw.multinomial(n, np.full(n, 1 / n), resamples)
    seeds = draw.multinomial(s, np.full(s, 1 / s), resamples)
    return ((users @ table) * seeds).sum(axis=1) / (n * s)


def test_users_without_any_value_do_not_count_and_order_does_not_matter() -> None:
    draw = np.random.default_rng(5)
    table = draw_table(draw, (30, 5), (1.0, 0.5, 1.0), missing=0.3)
    more = np.vstack([np.full((3, 5), np.nan), table])
    shuffled = table[draw.permutation(30)][:, draw.permutation(5)]
    for other in (more, shuffled, table + 7):
        assert over_both(other).users == pytest.approx(over_both(table).users)
        assert over_both(other).seeds == pytest.approx(over_both(table).seeds)


def test_seeds_without_common_users_are_clusters() -> None:
    table = np.full((20, 2), np.nan)
    table[:10, 0], table[10:, 1] = np.arange(10.0), np.arange(10.0) + 3
    found = over_both(table)
    assert found.seeds == pytest.approx((7.5 - 4.5) ** 2 / 4)
    assert found.seeds_df == 1
    assert found.users == pytest.approx(over_users(table).users)


def test_one_seed_is_a_test_over_users() -> None:
    table = draw_table(np.random.default_rng(6), (30, 1), (1.0, 0.0, 1.0))
    assert over_both(table) == over_users(table)
    paired = compare_cells(np.zeros((30, 1)), table)
    assert paired.p == pytest.approx(stats.ttest_1samp(table[:, 0], 0).pvalue)


# ---------------------------------------------------------------- simulations

#: How often no difference is called one at most, with 300 tables: 5% and three Monte Carlo errors of 1.26%.
TABLES, MOST = 300, 0.088


def rejections(
    shape: tuple[int, int],
    scales: tuple[float, float, float],
    *,
    effect: float = 0.0,
    missing: float = 0.0,
    tables: int = TABLES,
) -> tuple[float, float]:
    """How often p is below .05 with seeds as random, and as fixed."""
    draw = np.random.default_rng(7)
    both = users = 0
    for _ in range(tables):
        table = effect + draw_table(draw, shape, scales, missing)
        mean = float(np.nanmean(table[np.isfinite(table).any(axis=1)], axis=1).mean())
        both += over_both(table).p(mean) < 0.05
        users += over_users(table).p(mean) < 0.05
    return both / tables, users / tables


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize(("seeds", "missing"), [(0.0, 0.0), (0.3, 0.2), (1.0, 0.2)])
def test_no_difference_is_called_one_in_5_percent_at_most(n_seeds: int, seeds: float, missing: float) -> None:
    """Users that are alike over seeds; seeds of no effect, of about the users' in the mean, and of more."""
    both, users = rejections((100, n_seeds), (1.0, seeds, 1.0), missing=missing)
    assert both <= MOST
    # With fixed seeds it is 5% where seeds have no effect, and far more elsewhere.
    assert users <= MOST if seeds == 0 else users > 0.15


def test_a_bootstrap_of_few_seeds_is_too_sure() -> None:
    """Why the interval is no percentile of the pigeonhole bootstrap: seeds of an effect, five of them."""
    draw = np.random.default_rng(8)
    out = 0
    for _ in range(150):
        ends = np.quantile(pigeonhole(draw, draw_table(draw, (100, 5), (1.0, 1.0, 1.0)), 200), [0.025, 0.975])
        out += not ends[0] <= 0 <= ends[1]
    assert out / 150 > 0.08  # 15% are to be expected; a Monte Carlo error is 2.9%


def test_power() -> None:
    """An effect of four standard errors is found in 98% with fixed seeds: five random ones hardly cost, where equal."""
    n, s = 100, 5
    error = math.sqrt(1 / n + 1 / (n * s))
    both, users = rejections((n, s), (1.0, 0.0, 1.0), effect=4 * error)
    assert both > 0.9
    assert users > 0.95
    # Seeds that double the variance: 2.8 standard errors with four degrees of freedom.
    less, _ = rejections((n, s), (1.0, error * math.sqrt(s), 1.0), effect=4 * error)
    assert 0.5 < less < both


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("rest", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seeds", [0.0, 0.05, 0.15, 0.3, 1.0])
def test_no_difference_at_length(n_seeds: int, seeds: float, missing: float, rest: float) -> None:
    """4000 tables each: 5% and three Monte Carlo errors of .35%."""
    both, _ = rejections((300, n_seeds), (1.0, seeds, rest), missing=missing, tables=4000)
    assert both <= 0.061

"""Friedman, Nemenyi and critical-difference diagrams: against scipy, scikit-posthocs and known values."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from written_runs import add_floor, write_comparison

from burnish.benchmarks.harness import diagram, rank_arms, write_diagram
from burnish.benchmarks.harness.ranks import Ranking, critical_difference, rank_blocks
from burnish.errors import ConfigurationError, DataError

ARMS = ("a", "b", "c", "d", "e")


@pytest.fixture
def values() -> np.ndarray:
    draw = np.random.default_rng(0)
    return np.round(draw.normal(0.1 * np.arange(5), 0.2, (12, 5)), 1)  # with ties


def test_the_critical_difference_of_known_cases() -> None:
    assert critical_difference(7, 3) == pytest.approx(5.2003, abs=5e-5)
    # Demsar (2006), table 5: q of 2 to 10 classifiers at .05, divided by sqrt 2.
    table = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
    for k, q in enumerate(table, 2):
        assert critical_difference(k, 1) == pytest.approx(q * math.sqrt(k * (k + 1) / 6), rel=4e-4)
    assert critical_difference(4, 14, 0.1) == pytest.approx(
        1.12, abs=0.01
    )  # his section 3.2.2's C4.5 example
    with pytest.raises(DataError, match="at least two arms"):
        critical_difference(1, 3)


def test_friedman_against_scipy(values: np.ndarray) -> None:
    found = rank_blocks(values, ARMS)
    reference = stats.friedmanchisquare(*values.T)
    assert found.chi2 == pytest.approx(reference.statistic, rel=1e-12)
    assert found.chi2_p == pytest.approx(reference.pvalue, rel=1e-9)
    n, k = values.shape
    assert found.f == pytest.approx((n - 1) * found.chi2 / (n * (k - 1) - found.chi2))
    # Iman and Davenport's F is that of the analysis of variance of the ranks.
    ranks = stats.rankdata(-values, axis=1)
    between = n * ((ranks.mean(axis=0) - 3) ** 2).sum() / (k - 1)
    rest = ((ranks - ranks.mean(axis=0)) ** 2).sum() / ((n - 1) * (k - 1))
    assert found.f == pytest.approx(between / rest)
    assert found.f_p == pytest.approx(stats.f.sf(found.f, k - 1, (k - 1) * (n - 1)))


def test_nemenyi_against_scikit_posthocs(values: np.ndarray) -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    found = rank_blocks(values, ARMS)
    reference = posthocs.posthoc_nemenyi_friedman(values).to_numpy()
    order = [ARMS.index(name) for name in found.names]
    assert np.array(found.p) == pytest.approx(reference[np.ix_(order, order)], abs=1e-6)


def test_ranks_are_of_the_better_value_and_ties_share_one() -> None:
    values = np.array([[0.3, 0.1, 0.3], [0.5, 0.2, 0.1]])
    assert rank_blocks(values, "abc").average_ranks == (1.25, 2.25, 2.5)
    assert rank_blocks(values, "abc").names == ("a", "c", "b")
    smaller = rank_blocks(values, "abc", metric="logloss")
    assert (smaller.names[-1], smaller.average_ranks[-1]) == ("a", 2.75)


def test_two_arms_are_a_sign_test_and_full_agreement_has_an_exact_p() -> None:
    values = np.column_stack([np.arange(10.0), np.arange(10.0) + np.repeat([1, -1], [7, 3])])
    assert rank_blocks(values, "ab").chi2 == pytest.approx(
        (7 - 3) ** 2 / 10
    )  # McNemar's, and the sign test's
    agreed = rank_blocks(np.tile([0.1, 0.2, 0.3], (3, 1)), "abc")
    assert (agreed.f, agreed.f_p) == (math.inf, pytest.approx(1 / 36))
    # By enumeration: of all orders of three blocks, how many agree.
    orders = list(product(range(6), repeat=3))
    assert agreed.f_p == pytest.approx(sum(len(set(one)) == 1 for one in orders) / len(orders))
    # Two that share a rank can change places: three orders of a block, not six.
    alike = rank_blocks(np.tile([0.1, 0.1, 0.3], (3, 1)), "abc")
    ranks = [tuple(one) for one in permutations((1.0, 2.5, 2.5))]
    agreeing = np.mean([len(set(one)) == 1 for one in product(ranks, repeat=3)])
    assert (alike.f, alike.f_p) == (math.inf, pytest.approx(agreeing)) == (math.inf, pytest.approx(1 / 9))
    tied = rank_blocks(np.zeros((4, 3)), "abc")
    assert (tied.chi2, tied.f_p, tied.cliques) == (0.0, 1.0, (("a", "b", "c"),))


def test_cliques_are_the_largest_groups_that_are_not_told_apart(values: np.ndarray) -> None:
    found = rank_blocks(values, ARMS)
    ranks = dict(zip(found.names, found.average_ranks, strict=True))
    alike = {
        (one, other)
        for one, other in product(found.names, repeat=2)
        if one != other and abs(ranks[one] - ranks[other]) < found.critical_difference
    }
    assert alike == {
        (one, other) for clique in found.cliques for one, other in product(clique, repeat=2) if one != other
    }
    assert not any(set(one) < set(other) for one, other in product(found.cliques, repeat=2))
    # As p says of each pair.
    for row, one in enumerate(found.names):
        for column, other in enumerate(found.names):
            assert one == other or (found.p[row][column] > 0.05) == ((one, other) in alike)


def test_no_difference_is_called_one_in_5_percent_at_most() -> None:
    draw = np.random.default_rng(1)
    called = [rank_blocks(draw.normal(size=(10, 4)), "abcd") for _ in range(200)]
    # 5% and three Monte Carlo errors of 1.5%.
    assert np.mean([one.f_p < 0.05 for one in called]) <= 0.096
    assert np.mean([np.min(one.p) < 0.05 for one in called]) <= 0.096


@pytest.mark.parametrize(
    "table", [np.zeros((1, 3)), np.zeros((0, 3)), np.full((3, 3), np.nan), np.zeros((3, 2))]
)
def test_too_little_to_rank(table: np.ndarray) -> None:
    with pytest.raises(DataError, match="ranks: "):
        rank_blocks(table, "abc")


# ---------------------------------------------------------------- from a folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    draw = np.random.default_rng(2)
    for dataset in ("one", "two"):
        level = draw.uniform(0.2, 0.6)
        arms = {
            name: [np.full(5, level + gain + 0.01 * seed) for seed in range(3)]
            for name, gain in (("plain", 0.0), ("good", 0.1), ("bad", -0.1))
        }
        note = write_comparison(tmp_path, arms, dataset=dataset)
        if dataset == "one":
            add_floor(note, "EASE", arms["good"])
    return tmp_path


def test_arms_over_data_sets_and_seeds(runs: Path) -> None:
    found = rank_arms(runs)
    assert (found.names, found.average_ranks) == (("good", "plain", "bad"), (1.0, 2.0, 3.0))
    assert (found.n_blocks, found.blocks) == (6, "data sets x backbones x seeds")
    assert found.remarks == ("Not ranked, as not everywhere: EASE.",)
    assert rank_arms(runs, metric="logloss").names == ("good", "plain", "bad")
    averaged = rank_arms(runs, per_seed=False)
    assert (averaged.n_blocks, averaged.blocks) == (2, "data sets x backbones")
    (runs / "two" / "BPR" / "bad" / "1-0a" / "DONE").unlink()
    assert rank_arms(runs).n_blocks == 5
    assert rank_arms(runs).remarks[1] == "Left out: 1 seed, on which one of them has not finished."
    write_comparison(runs, {"plain": [np.full(5, np.nan)]}, dataset="without")
    assert rank_arms(runs).remarks[0] == "Left out, as without ndcg@10: without, BPR #0a."
    assert rank_arms(runs).n_blocks == 5
    with pytest.raises(DataError, match="there are 0 arms in 0 blocks"):
        rank_arms(runs, metric="hit@10")


def test_the_sentence(runs: Path) -> None:
    sentence = rank_arms(runs).sentence()
    assert sentence.startswith(
        "Average ranks by ndcg@10 over 6 data sets x backbones x seeds: good 1.00, plain 2.00, bad 3.00."
    )
    assert "F(2, 10) = inf, p = 0.0001; ranks that differ by less than 1.35 (Nemenyi, 0.05)" in sentence
    assert "are not told apart: good, plain; plain, bad." in sentence


def drawn(ranking: Ranking) -> ElementTree.Element:
    return ElementTree.fromstring(diagram(ranking))


def test_the_diagram(values: np.ndarray, tmp_path: Path) -> None:
    space = "{http://www.w3.org/2000/svg}"
    ranking = rank_blocks(values, ("a<b", *ARMS[1:]))
    root = drawn(ranking)
    words = [text.text or "" for text in root.iter(f"{space}text")]
    for name, rank in zip(ranking.names, ranking.average_ranks, strict=True):
        assert f"{name} ({rank:.2f})" in words
    assert f"critical difference {ranking.critical_difference:.2f}" in words
    bars = [line for line in root.iter(f"{space}line") if line.get("stroke-width") == "4"]
    assert len(bars) == len(ranking.cliques) >= 1
    # A bar reaches from the first to the last of its clique, as the axis is scaled.
    lines = [line for line in root.iter(f"{space}line") if line.get("stroke") == "#1f2328"]
    axis = max(lines, key=lambda line: float(line.get("x2", 0)) - float(line.get("x1", 0)))
    start, end = float(axis.get("x1", 0)), float(axis.get("x2", 0))
    for bar, clique in zip(bars, ranking.cliques, strict=True):
        ends = [ranking.average_ranks[ranking.names.index(name)] for name in (clique[0], clique[-1])]
        expected = [start + (end - start) * (rank - 1) / 4 for rank in ends]
        assert float(bar.get("x1", 0)) + 4 == pytest.approx(expected[0], abs=0.1)
        assert float(bar.get("x2", 0)) - 4 == pytest.approx(expected[1], abs=0.1)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for line in root.iter(f"{space}line"):
        assert all(0 <= float(line.get(key, -1)) <= width for key in ("x1", "x2"))
        assert all(0 <= float(line.get(key, -1)) <= height for key in ("y1", "y2"))
    few = drawn(rank_blocks(values[:2], ARMS))
    assert any("more than the axis" in (text.text or "") for text in few.iter(f"{space}text"))


def test_the_diagram_as_a_file(values: np.ndarray, tmp_path: Path) -> None:
    ranking = rank_blocks(values, ARMS)
    assert write_diagram(ranking, tmp_path / "cd.svg").read_text() == diagram(ranking)
    content = json.loads(write_diagram(ranking, tmp_path / "cd.json").read_text())
    assert content["names"] == list(ranking.names)
    assert content["cliques"] == [list(clique) for clique in ranking.cliques]
    assert content["critical_difference"] == ranking.critical_difference
    agreed = rank_blocks(np.tile([0.1, 0.2], (3, 1)), "ab")
    assert json.loads(write_diagram(agreed, tmp_path / "cd.json").read_text())["f"] is None
    with pytest.raises(ConfigurationError, match=r"cd: .*\.svg or \.json"):
        write_diagram(ranking, tmp_path / "cd.png")

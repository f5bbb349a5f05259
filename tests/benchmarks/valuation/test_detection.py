"""Areas and precisions agree with scikit-learn's; extremes are what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from burnish.benchmarks.valuation.detection import detect, rank_correlation
from burnish.errors import DataError, NonFiniteError


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_against_scikit_learn(decimals):
    rng = np.random.default_rng(decimals)
    noise = rng.random(500) < 0.1
    values = np.round(rng.normal(size=500) - noise, decimals)
    found = detect(values, noise)
    assert found.auc == pytest.approx(roc_auc_score(noise, -values), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision_score(noise, -values), abs=1e-12)


def test_extremes():
    noise = np.array([True, True, False, False, False])
    assert detect([0, 1, 2, 3, 4], noise).auc == 1.0
    assert detect([4, 3, 2, 1, 0], noise).auc == 0.0
    constant = detect(np.zeros(5), noise)
    assert constant.auc == 0.5
    assert constant.average_precision == pytest.approx(0.4)


def test_bad_input():
    with pytest.raises(NonFiniteError, match="row 1"):
        detect([0.0, np.nan], [True, False])
    with pytest.raises(DataError, match="both are needed"):
        detect([0.0, 1.0], [False, False])
    with pytest.raises(DataError, match="shape"):
        detect([0.0, 1.0], [False])


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert rank_correlation([1, 1, 1], [3, 2, 1]) == 0.0

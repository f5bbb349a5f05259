"""The ordinal floor, against an optimiser of its own on the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

from burnish.benchmarks.reviews.ordinal_bias import STRENGTHS, OrdinalBias
from burnish.benchmarks.reviews.scale import Scale
from burnish.errors import DataError

SCALE = Scale(1, 5)


def objective(cases, strength: float, slope: float):
    """Of biases on the logistic scale and thresholds there, by the definition in numpy."""
    rows, n = cases.train, cases.n_users
    classes = rows.ratings.astype(int)  # 1 to 5

    def value(x: np.ndarray) -> float:
        thresholds, biases = np.sort(x[:4]), x[4:]
        score = biases[rows.users] + biases[n + rows.items]
        ends = np.concatenate([[-np.inf], thresholds, [np.inf]])
        chance = expit(ends[classes] - score) - expit(ends[classes - 1] - score)
        return float(-np.log(chance).sum() + strength / 2 * (biases**2).sum())

    return value


def test_it_is_the_minimum(drawn):
    cases = drawn(3, n_users=6, n_items=9, n_rated=7)
    found = OrdinalBias.fit(cases, SCALE, 2.0)
    slope, mean = found.ordinal.start_slope, cases.train.ratings.mean()
    user, item = (slope * (side.numpy() - mean / 2) for side in (found.user, found.item))
    thresholds = slope * (found.ordinal.thresholds().numpy() - mean)
    here = np.concatenate([thresholds, user, item])
    value = objective(cases, 2.0, slope)
    best = minimize(value, here, method="L-BFGS-B", options={"maxiter": 500})
    assert value(here) == pytest.approx(best.fun, abs=1e-4)
    far = minimize(value, np.concatenate([[-2, -1, 1, 2], np.zeros(len(here) - 4)]), method="L-BFGS-B")
    assert value(here) <= far.fun + 1e-3


def test_it_reads_medians_of_what_it_learned(drawn):
    cases = drawn(4)
    found = OrdinalBias.fit(cases, SCALE, 1.0)
    users, items = torch.from_numpy(cases.test.users), torch.from_numpy(cases.test.items)
    ratings = found.ratings(users, items)
    assert set(ratings.tolist()) <= {1.0, 2, 3, 4, 5}
    chances = found.ordinal.chances(found.user[users] + found.item[items])
    below = chances.cumsum(1)
    want = (below < 0.5).sum(1) + 1
    assert torch.equal(ratings, want.double())


def test_strength_is_chosen_by_validation_rows_only(drawn):
    cases = drawn(5)
    chosen = OrdinalBias.chosen(cases, SCALE)
    users, items = torch.from_numpy(cases.valid.users), torch.from_numpy(cases.valid.items)
    errors = {
        strength: np.abs(
            OrdinalBias.fit(cases, SCALE, strength).ratings(users, items).numpy() - cases.valid.ratings
        ).mean()
        for strength in STRENGTHS
    }
    assert errors[chosen.strength] == min(errors.values())
    cases.test.ratings[:] = 1
    assert torch.equal(OrdinalBias.chosen(cases, SCALE).item, chosen.item)


def test_splits_without_validation_or_training_rows(written):
    rows = [(1, 1, 1), (1, 2, 5), (2, 1, 2), (2, 2, 5)]
    cases = written(rows, [], [(1, 2, 4)], 3, 4)
    found = OrdinalBias.chosen(cases, SCALE)
    assert found.strength == 2
    one, worse, better = torch.tensor([1]), torch.tensor([1]), torch.tensor([2])
    assert float(found.ratings(one, worse)) < float(found.ratings(one, better))
    with pytest.raises(DataError, match="no training ratings"):
        OrdinalBias.fit(written([], [], rows, 3, 4), SCALE, 1.0)


def test_ratings_that_single_precision_cannot_hold(written):
    """3.3 is a little less in single precision; it must not count as the next rating up."""
    rows = [(1, 1, 3.3), (1, 2, 3.3), (2, 1, 3.3), (2, 2, 4.7)]
    found = OrdinalBias.fit(written(rows, [], [], 3, 3), SCALE, 20.0)
    chances = found.ordinal.chances(found.user[1] + found.item[1])
    assert chances[0] > 0.6
    assert float(found.ratings(torch.tensor([1]), torch.tensor([1]))) == pytest.approx(3.3)

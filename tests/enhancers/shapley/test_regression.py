"""The game of items that predict each other, by enumeration, and the sum of three values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.joint import OUTPUTS, joint_value, joint_values
from burnish.enhancers.shapley.objectives import standardised
from burnish.enhancers.shapley.regression import regression_scores, regression_values
from burnish.enhancers.teachers.ease import GramMatrix
from burnish.enhancers.teachers.sparse import incidence
from burnish.errors import ConfigurationError, DataError


def _data(n_users=30, n_items=9, seed=0):
    rng = np.random.default_rng(seed)
    known = rng.random((n_users, n_items)) < 0.4
    known[0] = False  # a user without interactions
    users, items = np.nonzero(known)
    order = rng.permutation(len(users))
    return known.astype(float), torch.as_tensor(users[order]), torch.as_tensor(items[order])


def _shapley(game, players):
    n = len(players)
    values = dict.fromkeys(players, 0.0)
    for player in players:
        others = [p for p in players if p != player]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for coalition in itertools.combinations(others, size):
                values[player] += weight * (game({*coalition, player}) - game(set(coalition)))
    return values


def test_against_enumeration_of_the_game():
    known, users, items = _data()
    ridge = 3.0
    # The predictor by its definition: one ridge regression an item, on all the others.
    n_items = known.shape[1]
    weights = np.zeros((n_items, n_items))  # [from, to]
    for target in range(n_items):
        rest = [j for j in range(n_items) if j != target]
        X = known[:, rest]
        weights[rest, target] = np.linalg.solve(X.T @ X + ridge * np.eye(len(rest)), X.T @ known[:, target])
    got = regression_values(users, items, n_items, ridge=ridge)
    for user in (1, 2, 3):
        own = [int(i) for u, i in zip(users, items, strict=True) if u == user]
        want = _shapley(lambda S, own=own: sum(weights[j, k] for k in own for j in S if j != k), own)
        for row in (users == user).nonzero()[:, 0]:
            assert float(got[row]) == pytest.approx(want[int(items[row])], abs=1e-5)


def test_scores_are_those_of_ease():
    """X B with a diagonal of nothing, densely: what a user's other items say of each."""
    known, users, items = _data(n_users=60)
    inverse = np.linalg.inv(known.T @ known + 3.0 * np.eye(9))
    weights = -inverse / np.diag(inverse)  # column k: towards k
    np.fill_diagonal(weights, 0)
    want = (known @ weights)[users, items]
    np.testing.assert_allclose(regression_scores(users, items, 9, ridge=3.0), want, atol=1e-5)
    assert np.corrcoef(want, regression_values(users, items, 9, ridge=3.0))[0, 1] < 0.99


def test_beyond_the_limit_the_regression_is_of_low_rank():
    """By hand: R'R as its leading part and what is left of its diagonal."""
    known, users, items = _data(n_users=60)
    gram = GramMatrix(incidence(users + 1, items + 1, (61, 10)), 0)
    factors, rest = (part[1:].double().numpy() for part in gram.factors)
    inverse = np.linalg.inv(factors @ factors.T + np.diag(rest) + 3.0 * np.eye(9))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    options = {"ridge": 3.0, "most_items": 1}
    np.testing.assert_allclose(
        regression_scores(users, items, 9, **options), (known @ weights)[users, items], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(
        regression_values(users, items, 9, **options), (known @ weights.T)[users, items], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("most_items", [1, 20])
def test_the_default_precision_changes_nothing(most_items):
    _, users, items = _data(n_users=60)
    want = regression_values(users, items, 9, most_items=most_items)
    torch.set_default_dtype(torch.float64)
    try:
        found = regression_values(users, items, 9, most_items=most_items)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, want)


def test_blocks_of_users_change_nothing(monkeypatch):
    _, users, items = _data(n_users=50)
    whole = regression_values(users, items, 9)
    monkeypatch.setattr("burnish.enhancers.shapley.regression.BLOCK_BYTES", 16 * 10 * 7)
    torch.testing.assert_close(regression_values(users, items, 9), whole)
    repeated = regression_values(users.repeat(2), items.repeat(2), 9)
    torch.testing.assert_close(repeated, whole.repeat(2))


def test_bad_input_is_said():
    _, users, items = _data()
    with pytest.raises(ConfigurationError, match="ridge = 0"):
        regression_values(users, items, 9, ridge=0)
    with pytest.raises(DataError, match="n_items is 3"):
        regression_values(users, items, 3)


def test_the_joint_value_is_the_sum_of_three():
    _, users, items = _data()
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    parts = joint_values(users, items, vectors, seed=3, repeats=1)
    assert tuple(parts) == OUTPUTS
    torch.testing.assert_close(parts["profile"], cross_fitted(users, items, vectors, seed=3))
    assert not torch.allclose(parts["profile"], parts["profile_beyond_popularity"])
    want = sum(f * standardised(parts[name], users) for f, name in zip((1, 1, 2), OUTPUTS, strict=True))
    torch.testing.assert_close(joint_value(users, items, vectors, seed=3, repeats=1), want)

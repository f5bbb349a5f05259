"""Weights from values against the formula written out user by user."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.enhancers.shapley.reweighting import weights_from
from burnish.errors import ConfigurationError, NonFiniteError

USERS = torch.tensor([4, 1, 4, 4, 2, 1, 4, 7, 7])
VALUES = torch.tensor([0.3, -1.0, 9.0, 0.1, 5.0, 2.5, -0.4, 0.7, 0.7], dtype=torch.double)


POPULARITY = torch.tensor([4.0, 1.0, 0.5, 3.0, 2.0, 2.5, 4.0, 1.0, 3.0], dtype=torch.double)


def z_by_hand(own):
    mean = sum(own) / len(own)
    spread = math.sqrt(sum((v - mean) ** 2 for v in own) / len(own))
    return [(v - mean) / spread if spread > 1e-12 else 0.0 for v in own]


def by_hand(values, users, beta, low, high, popularity=None, beta_popularity=0.0):
    weights = [0.0] * len(values)
    popularity = popularity or [0.0] * len(values)
    for user in set(users):
        rows = [k for k, other in enumerate(users) if other == user]
        z = z_by_hand([values[k] for k in rows])
        common = z_by_hand([popularity[k] for k in rows])
        exponents = [beta * v + beta_popularity * p for v, p in zip(z, common, strict=True)]
        raw = [min(max(math.exp(one), low), high) for one in exponents]
        for k, weight in zip(rows, raw, strict=True):
            weights[k] = weight * len(raw) / sum(raw)
    return weights


@pytest.mark.parametrize(
    ("beta", "low", "high"), [(0.5, 0.2, 5.0), (2.0, 0.5, 1.5), (-1.0, 0.2, 5.0), (0, 1, 1)]
)
def test_weights_are_the_formula(beta, low, high):
    weights = weights_from(VALUES, USERS, beta=beta, low=low, high=high)
    assert weights.tolist() == pytest.approx(
        by_hand(VALUES.tolist(), USERS.tolist(), beta, low, high), abs=1e-12
    )


@pytest.mark.parametrize("beta", [0.5, 0.0, -0.7])
@pytest.mark.parametrize("beta_popularity", [0.3, -0.4, 2.0])
def test_popularity_is_a_component_of_its_own(beta, beta_popularity):
    beside = {"beta": beta, "low": 0.3, "high": 3.0, "beta_popularity": beta_popularity}
    weights = weights_from(VALUES, USERS, popularity=POPULARITY, **beside)
    expected = by_hand(VALUES.tolist(), USERS.tolist(), popularity=POPULARITY.tolist(), **beside)
    assert weights.tolist() == pytest.approx(expected, abs=1e-12)
    assert not torch.allclose(weights, weights_from(VALUES, USERS, beta=beta, low=0.3, high=3.0))


def test_lone_and_equal_interactions_count_one():
    weights = weights_from(VALUES, USERS)
    assert weights[4] == 1  # the only one of user 2
    assert weights[7:].tolist() == [1, 1]  # equal values of user 7


def test_every_user_has_mean_one_and_order_is_kept():
    users = torch.randint(50, (2000,), generator=torch.Generator().manual_seed(1))
    values = torch.randn(2000, generator=torch.Generator().manual_seed(2))
    weights = weights_from(values, users)
    for user in range(50):
        own = weights[users == user]
        assert own.mean() == pytest.approx(1, abs=1e-5)
        assert torch.equal(own[values[users == user].argsort()], own.sort().values)


def test_scale_and_shift_of_a_user_do_not_matter():
    moved = VALUES * (1.0 + USERS) + USERS.double() ** 2
    assert torch.allclose(weights_from(moved, USERS), weights_from(VALUES, USERS))


def test_integers_and_no_interaction():
    assert weights_from(torch.tensor([1, 2]), torch.tensor([1, 1])).is_floating_point()
    assert weights_from(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)


@pytest.mark.parametrize(("low", "high"), [(0.0, 5.0), (1.5, 5.0), (0.2, 0.9), (0.2, math.inf)])
def test_bounds_that_do_not_hold_one(low, high):
    with pytest.raises(ConfigurationError, match="low <= 1 <= high"):
        weights_from(VALUES, USERS, low=low, high=high)


def test_bad_input_is_named():
    with pytest.raises(ConfigurationError, match="one user an interaction"):
        weights_from(VALUES[:-1], USERS)
    with pytest.raises(NonFiniteError, match="interaction 3"):
        weights_from(VALUES.index_fill(0, torch.tensor([3]), math.nan), USERS)
    with pytest.raises(ConfigurationError, match="beta_popularity = inf"):
        weights_from(VALUES, USERS, popularity=POPULARITY, beta_popularity=math.inf)
    with pytest.raises(ConfigurationError, match="beta"):
        weights_from(VALUES, USERS, beta=math.nan)

"""Planted noise, the share of noise and its probability, against known densities and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from burnish.enhancers.clean.planted import _share, suspicion
from burnish.enhancers.clean.signs import RIDGE, signs, spectral_vectors
from burnish.enhancers.shapley.objectives import standardised
from burnish.enhancers.shapley.regression import regression_values
from burnish.enhancers.teachers.sparse import incidence
from burnish.errors import ConfigurationError, DataError
from burnish.noise.draw import inject


def tasteful(
    seed: int, n_users: int = 200, n_items: int = 120, each: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Users of two tastes, who have items of theirs alone, popular ones more often: ids from 1, each pair once."""
    rng = np.random.default_rng(seed)
    users, items = [], []
    for user in range(1, n_users + 1):
        own = 1 + 2 * np.arange(n_items // 2) + user % 2
        chance = 1 / (1 + np.arange(n_items // 2)) ** 0.5
        items.append(rng.choice(own, each, replace=False, p=chance / chance.sum()))
        users.append(np.full(each, user))
    return np.concatenate(users), np.concatenate(items)


def test_nothing_left_to_plant() -> None:
    users, items = (
        torch.from_numpy(axis.ravel()) for axis in np.meshgrid(np.arange(1, 41), np.arange(1, 31))
    )
    with pytest.raises(DataError, match=r"0 .*120"):
        suspicion(users, items, 41, 31)


def test_signs_of_the_regression_against_dense_products() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(1, 60, 40, 12))
    values, names = signs(users, items, 61, 41, seed=5)
    own = dict(zip(names, values.T, strict=True))
    dense = np.zeros((61, 41))
    dense[users, items] = 1
    inverse = np.linalg.inv(dense.T @ dense + RIDGE * np.eye(41))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(own["said"], (dense @ weights)[users, items], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(own["says"], (dense @ weights.T)[users, items], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(own["says"], regression_values(users, items, 41, ridge=RIDGE))
    torch.testing.assert_close(own["said, in user"], standardised(own["said"], users))
    torch.testing.assert_close(own["says, in item"], standardised(own["says"] / 12, items))
    torch.testing.assert_close(own["popularity"], torch.bincount(items)[items].float().log())
    torch.testing.assert_close(own["activity"], torch.full((720,), 12.0).log())
    assert bool(torch.isfinite(values).all())


def test_spectral_vectors_against_a_dense_decomposition() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(2, 60, 40, 12))
    dense = np.zeros((61, 41))
    dense[users, items] = 1
    even = dense / np.sqrt(dense.sum(1, keepdims=True).clip(1) * dense.sum(0, keepdims=True).clip(1))
    _, size, right = np.linalg.svd(even)
    expected = (right[:6].T * size[:6]) @ (right[:6].T * size[:6]).T
    found = spectral_vectors(incidence(users, items, (61, 41)), 6)
    np.testing.assert_allclose(found @ found.T, expected, atol=2e-3)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_the_share_of_a_known_mixture(share: float) -> None:
    """Odds of normal densities: what is real lies at -2, noise at 2."""
    rng = np.random.default_rng(7)
    n, m = 40_000, 4000

    def odds(x: np.ndarray) -> np.ndarray:
        there = (1 - share) * norm.pdf(x, -2) + share * norm.pdf(x, 2)
        return np.asarray(norm.pdf(x, 2) / there)

    is_noise = rng.random(n) < share
    real = odds(rng.normal(np.where(is_noise, 2, -2), 1))
    found = _share("uniform", [real, real], [odds(rng.normal(2, 1, m)) for _ in range(2)], seed=1)
    assert found.low - 0.01 <= share <= found.high
    assert abs(found.share - share) < 0.02
    assert found.high - found.low < 0.1


@pytest.mark.parametrize("kind", ["uniform", "popular", "position"])
def test_noise_is_found_and_none_where_there_is_none(kind: str) -> None:
    users, items = tasteful(4)
    drawn = inject(users, items, n_items=121, share=0.2, kind=kind, seed=99, first_item=1)
    noisy = torch.from_numpy(drawn.users), torch.from_numpy(drawn.items)
    found = suspicion(*noisy, 201, 121, kinds=(kind,), repeats=1, seed=2)
    is_noise = torch.arange(len(noisy[0])) >= len(users)
    # A third of what is planted is within the taste of its user, and cannot be told.
    assert 0.05 < found.shares[0].share < 0.25
    assert found.probability[is_noise].mean() > 5 * found.probability[~is_noise].mean()
    again = suspicion(*noisy, 201, 121, kinds=(kind,), repeats=1, seed=2)
    assert torch.equal(again.probability, found.probability)
    clean = suspicion(torch.from_numpy(users), torch.from_numpy(items), 201, 121, kinds=(kind,), repeats=1)
    assert not clean.probability.any()
    assert clean.shares[0].low <= 0.01


def test_where_choice_is_chance_nothing_is_acted_on() -> None:
    """Users take items by popularity alone: all of it is what noise would be."""
    rng = np.random.default_rng(5)
    chance = 1 / np.arange(1, 121) ** 0.5
    rows = [rng.choice(120, 30, replace=False, p=chance / chance.sum()) + 1 for _ in range(200)]
    users, items = torch.arange(1, 201).repeat_interleave(30), torch.from_numpy(np.concatenate(rows))
    found = suspicion(users, items, 201, 121, kinds=("popular",), repeats=1)
    assert found.shares[0].tells_nothing
    assert "do not tell taste from chance" in str(found.shares[0])
    assert not found.probability.any()


def test_too_few_interactions() -> None:
    few = torch.arange(1, 100)
    with pytest.raises(DataError, match="99 interactions are too few"):
        suspicion(few, few, 100, 100)


def test_few_interactions_are_no_noise_for_being_few() -> None:
    """Of a hundred planted ones the region that bounds the share must not be all that there is."""
    users, items = (torch.from_numpy(ids) for ids in tasteful(3, 40, 60))
    found = suspicion(users, items, 41, 61, kinds=("uniform",), repeats=2)
    assert found.shares[0].share < 0.2
    assert not found.probability.any()


def test_what_is_planted_is_enough_and_has_room() -> None:
    users, items = (torch.from_numpy(ids) for ids in tasteful(3, 40, 60))
    with pytest.raises(ConfigurationError, match=r"1 planted interactions are too few .* planted is 0.017 at least"):
        suspicion(users, items, 41, 61, kinds=("uniform",), planted=0.001)
    with pytest.raises(DataError, match="uniform noise cannot be planted.*smaller planted"):
        suspicion(users, items, 41, 61, kinds=("uniform",), planted=1.0)

"""Noise is new to its user, drawn from the items it claims to be drawn from, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.splits.noise import inject


def _clean(n_users=40, n_items=60, n=400, seed=0):
    rng = np.random.default_rng(seed)
    chance = 1.0 / np.arange(1, n_items)
    pairs = {
        (int(u), int(i))
        for u, i in zip(
            rng.integers(1, n_users, n), 1 + rng.choice(n_items - 1, n, p=chance / chance.sum()), strict=True
        )
    }
    users, items = np.array(sorted(pairs)).T
    return users, items, n_items


@pytest.mark.parametrize("kind", ["uniform", "popular"])
def test_noise_is_new_and_marked(kind):
    users, items, n_items = _clean()
    known = (users[:5], (items[:5] % (n_items - 1)) + 1)
    noisy = inject(users, items, n_items=n_items, share=0.2, kind=kind, seed=3, first_item=1, known=known)
    n = len(users)
    assert noisy.is_noise.sum() == round(0.2 * n)
    assert not noisy.is_noise[:n].any()
    np.testing.assert_array_equal(noisy.users[:n], users)
    np.testing.assert_array_equal(noisy.items[:n], items)
    drawn = list(zip(noisy.users[n:], noisy.items[n:], strict=True))
    old = set(zip(users, items, strict=True)) | set(zip(*known, strict=True))
    assert not set(drawn) & old
    assert len(set(drawn)) == len(drawn)
    assert noisy.items[n:].min() >= 1


def test_the_same_seed_gives_the_same_noise():
    users, items, n_items = _clean()
    one, two, other = (
        inject(users, items, n_items=n_items, share=0.1, kind="popular", seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.items, two.items)
    assert (one.items != other.items).any()


def test_popular_noise_follows_popularity_and_uniform_noise_does_not():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(2000), 2)
    items = np.stack([rng.integers(0, 10, 2000), rng.integers(10, 100, 2000)], 1).ravel()
    share = {}
    for kind in ("popular", "uniform"):
        noisy = inject(users, items, n_items=100, share=1.0, kind=kind, seed=0)
        share[kind] = float((noisy.items[noisy.is_noise] < 10).mean())
    assert share["popular"] > 0.4  # half of the interactions are with the first ten items
    assert share["uniform"] < 0.15


def test_what_cannot_be_drawn_is_said():
    users, items = np.array([0, 0, 1]), np.array([0, 1, 1])
    with pytest.raises(DataError, match="lower the share"):
        inject(users, items, n_items=2, share=1.0, kind="uniform", seed=0)
    with pytest.raises(ConfigurationError, match="share = 0"):
        inject(users, items, n_items=2, share=0.0, kind="uniform", seed=0)
    with pytest.raises(UnknownNameError, match="popular"):
        inject(users, items, n_items=2, share=0.3, kind="populer", seed=0)

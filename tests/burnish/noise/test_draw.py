"""Noise is new to its user, drawn from what it claims to be drawn from, all of it, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.noise.draw import inject
from burnish.noise.kinds import KINDS


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


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_new_and_marked(kind, share):
    users, items, n_items = _clean()
    known = (users[:5], (items[:5] % (n_items - 1)) + 1)
    noisy = inject(users, items, n_items=n_items, share=share, kind=kind, seed=3, first_item=1, known=known)
    n = len(users)
    assert noisy.is_noise.sum() == round(share * n)
    assert len(noisy.users) == len(noisy.items) == len(noisy.is_noise)
    assert not noisy.is_noise[:n].any()
    np.testing.assert_array_equal(noisy.users[:n], users)
    np.testing.assert_array_equal(noisy.items[:n], items)
    drawn = list(zip(noisy.users[n:], noisy.items[n:], strict=True))
    old = set(zip(users, items, strict=True)) | set(zip(*known, strict=True))
    assert not set(drawn) & old
    assert len(set(drawn)) == len(drawn)
    assert noisy.items[n:].min() >= 1
    assert noisy.items[n:].max() < n_items
    assert set(noisy.users[n:]) <= set(users)  # who is not trained on has no row to copy


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_noise(kind):
    users, items, n_items = _clean()
    one, two, other = (
        inject(users, items, n_items=n_items, share=0.1, kind=kind, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.users, two.users)
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


def test_earlier_runs_have_the_noise_that_they_had():
    """What was drawn for a seed before there were other kinds: runs with noise go on and are read again."""
    users, items = np.repeat(np.arange(6), 3), np.tile([1, 2, 3, 4, 5, 6], 3)
    noise = {
        kind: inject(users, items, n_items=20, share=0.3, kind=kind, seed=1, first_item=1)
        for kind in ("uniform", "popular")
    }
    pairs = {kind: list(zip(one.users[18:], one.items[18:], strict=True)) for kind, one in noise.items()}
    assert pairs == {
        "uniform": [(2, 9), (3, 16), (4, 8), (5, 11), (0, 15)],
        "popular": [(0, 5), (4, 4), (5, 2), (1, 2), (4, 5)],
    }


def _long(n_users=400, n_items=500, length=20, seed=0):
    """Users with as many rows each, of items that are the more popular the smaller their number."""
    rng = np.random.default_rng(seed)
    chance = 1.0 / np.arange(1, n_items)
    items = [
        1 + rng.choice(n_items - 1, length, replace=False, p=chance / chance.sum()) for _ in range(n_users)
    ]
    return np.repeat(np.arange(n_users), length), np.concatenate(items), n_items


def test_bots_are_few_users_with_four_histories_each():
    users, items, n_items = _long()
    noisy = inject(users, items, n_items=n_items, share=0.1, kind="bots", seed=0, first_item=1)
    bots, each = np.unique(noisy.users[noisy.is_noise], return_counts=True)
    assert each.tolist() == [80] * 10  # 800 of noise, 20 a history
    odd = inject(users, items, n_items=n_items, share=0.1001, kind="bots", seed=0, first_item=1)
    assert sorted(np.unique(odd.users[odd.is_noise], return_counts=True)[1]) == [72] * 2 + [73] * 9
    drawn = noisy.items[noisy.is_noise]
    assert (drawn < 250).mean() == pytest.approx(0.5, abs=0.08)  # popular ones a little less: they are known
    other = inject(users, items, n_items=n_items, share=0.1, kind="bots", seed=1, first_item=1)
    assert set(other.users[other.is_noise]) != set(bots)


def test_bots_of_a_small_catalogue_have_half_of_it():
    users, items = np.repeat(np.arange(40), 10), np.tile(np.arange(1, 11), 40)
    noisy = inject(users, items, n_items=31, share=0.3, kind="bots", seed=0, first_item=1)
    assert np.unique(noisy.users[noisy.is_noise], return_counts=True)[1].tolist() == [15] * 8


def test_clickbait_is_few_items_with_a_quarter_of_the_users_each():
    users, items, n_items = _long()
    noisy = inject(users, items, n_items=n_items, share=0.1, kind="clickbait", seed=0, first_item=1)
    baits, each = np.unique(noisy.items[noisy.is_noise], return_counts=True)
    assert each.tolist() == [100] * 8  # 800 of noise, 400 users
    assert len(np.unique(noisy.users[noisy.is_noise])) > 300
    other = inject(users, items, n_items=n_items, share=0.1, kind="clickbait", seed=1, first_item=1)
    assert set(other.items[other.is_noise]) != set(baits)
    # Active users see more: a user with ten times the rows is there more often.
    active = np.concatenate([users, np.repeat(np.arange(20), 200)])
    more = np.concatenate([items, np.tile(np.arange(1, 201), 20)])
    pairs = np.unique(active * n_items + more)
    found = inject(pairs // n_items, pairs % n_items, n_items=n_items, share=0.1, kind="clickbait", seed=0)
    among = found.users[found.is_noise]
    assert (among < 20).mean() > 1.5 * 20 / 400  # they know 200 items, and yet


def test_position_noise_is_seen_in_the_first_places():
    """Of the list of a user, the most popular item that is new to them first, place p as often as 1 / p."""
    users, items, n_items = _long()
    counts = np.bincount(items, minlength=n_items)
    noisy = inject(users, items, n_items=n_items, share=0.05, kind="position", seed=0, first_item=1)
    order = sorted(range(1, n_items), key=lambda item: (-counts[item], item))
    known = {user: set(items[users == user]) for user in range(400)}
    places = []
    for user, item in zip(noisy.users[noisy.is_noise], noisy.items[noisy.is_noise], strict=True):
        places.append([one for one in order if one not in known[user]].index(item) + 1)
    places = np.array(places)
    total = (1 / np.arange(1, 480)).sum()
    for upto in (1, 3, 10, 50):  # one draw a user on average: a few of them cannot have the first place twice
        assert (places <= upto).mean() == pytest.approx((1 / np.arange(1, upto + 1)).sum() / total, abs=0.06)


def test_position_fills_what_there_is():
    """Who knows nearly everything leaves their part to others, down to the last pair that is free."""
    users, items = np.array([0] * 9 + [1] * 5 + [2] * 4), np.array([*range(9), *range(5), *range(4)])
    noisy = inject(users, items, n_items=10, share=12 / 18, kind="position", seed=0)
    pairs = set(zip(noisy.users, noisy.items, strict=True))
    assert len(pairs) == 30
    with pytest.raises(DataError, match=r"12 pairs .* 13 are asked for; lower the share"):
        inject(users, items, n_items=10, share=13 / 18, kind="position", seed=0)


def test_held_out_pairs_count_as_known_to_every_kind():
    """Everything but a block of pairs is held out: noise has nowhere else to go."""
    n_users, n_items = 30, 40
    users, items = np.repeat(np.arange(n_users), 2), np.tile([1, 2], n_users)
    grid = np.array([(u, i) for u in range(n_users) for i in range(3, n_items) if i >= 20])
    for kind in KINDS:
        if kind == "popular":  # draws items that occur: there are none left
            continue
        noisy = inject(
            users,
            items,
            n_items=n_items,
            share=0.5,
            kind=kind,
            seed=2,
            first_item=1,
            known=(grid[:, 0], grid[:, 1]),
        )
        assert noisy.is_noise.sum() == 30
        assert set(noisy.items[noisy.is_noise]) <= set(range(3, 20)), kind


def test_what_cannot_be_drawn_is_said():
    users, items = np.array([0, 0, 1]), np.array([0, 1, 1])
    for kind in KINDS:
        with pytest.raises(DataError, match="lower the share"):
            inject(users, items, n_items=2, share=1.0, kind=kind, seed=0)
    with pytest.raises(ConfigurationError, match="share = 0"):
        inject(users, items, n_items=2, share=0.0, kind="uniform", seed=0)
    with pytest.raises(UnknownNameError, match="popular"):
        inject(users, items, n_items=2, share=0.3, kind="populer", seed=0)
    full = np.repeat(np.arange(10), 9), np.tile(np.arange(9), 10)
    with pytest.raises(
        DataError, match=r"45 interactions of bots are 9 users with 5 items each .* and 0 users"
    ):
        inject(*full, n_items=10, share=0.5, kind="bots", seed=0)
    with pytest.raises(
        DataError, match=r"18 interactions of clickbait are 8 items with 3 users each .* and 1 items"
    ):
        inject(*full, n_items=10, share=0.2, kind="clickbait", seed=0)


def test_the_documentation_names_every_kind():
    text = (Path(__file__).parents[3] / "docs" / "benchmark.md").read_text()
    for kind in KINDS:
        assert f"`{kind}`" in text, kind

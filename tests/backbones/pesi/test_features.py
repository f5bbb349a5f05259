"""Feature words by rarity and spread, and the strongest of a pair without what the pair wrote."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from burnish.backbones.pesi.features import FeatureProfiles, FeatureWords, expected_items


def test_expected_items_are_the_mean_over_all_sets() -> None:
    sizes = np.array([4, 1, 2, 0, 3])
    owners = np.repeat(np.arange(5), sizes)
    found = expected_items(sizes, [1, 3, 7, 10])
    for n in (1, 3, 7, 10):
        every = [len({owners[k] for k in drawn}) for drawn in itertools.combinations(range(10), n)]
        assert found[n] == pytest.approx(np.mean(every), rel=1e-9)


def reviews() -> tuple[list[set[str]], list[int]]:
    """100 reviews of 20 items: "strap" in eight of two items, "great" in eight of six (chance: 6.9), and limits."""
    items = [number % 20 for number in range(100)]
    words: list[set[str]] = [{"the"} for _ in items]
    for number, item in enumerate(items):
        if item in (3, 4) and number < 80:
            words[number].add("strap")
        if (item in (5, 6, 7, 8, 9, 10) and number < 20) or number in (25, 26):
            words[number].add("great")
        if item == 13 and number < 80:
            words[number].add("four times")
        if item in (14, 15, 16, 17) and number < 100:
            words[number].add("fifth")
        if item in (14, 15, 16, 17) or number == 0:
            words[number].add("more than a fifth")
    return words, items


def test_words_that_tell_items_apart_are_features() -> None:
    found = FeatureWords.find(*reviews())
    assert found.names == ["fifth", "strap"]
    np.testing.assert_allclose(found.weights, [math.log(100 / 20), math.log(100 / 8)])
    assert found.among(["strap", None, "great", "fifth"]) == {0, 1}
    assert len(FeatureWords.find([], [])) == 0


def test_strongest_features_leave_the_pair_out() -> None:
    draw = np.random.default_rng(3)
    n, n_users, n_items, n_features = 60, 7, 6, 9
    users, items = draw.integers(1, n_users, n), draw.integers(1, n_items, n)  # pairs come several times
    held = draw.random((n, n_features)) < 0.3
    weights = draw.random(n_features) + 0.1
    profiles = FeatureProfiles(users, items, sparse.csr_matrix(held.astype(float)), n_users, n_items)
    pairs = [(u, i) for u in range(n_users) for i in range(n_items)]
    found = profiles.strongest(*np.array(pairs).T, weights, 4)
    for (user, item), row in zip(pairs, found.tolist(), strict=True):
        of_item = held[(items == item) & (users != user)].sum(axis=0)
        by_user = held[(users == user) & (items != item)].sum(axis=0)
        scores = weights * of_item * (1 + by_user)
        expected = [k for k in np.argsort(-scores, kind="stable")[:4] if scores[k] > 0]
        assert row == expected + [-1] * (4 - len(expected))
    assert (found[:, 0] == -1).any(), "an item without reviews has none"


def test_more_features_than_there_are() -> None:
    profiles = FeatureProfiles(np.array([1]), np.array([1]), sparse.csr_matrix(np.ones((1, 2))), 3, 3)
    assert profiles.strongest(np.array([2]), np.array([1]), np.ones(2), 4).tolist() == [[0, 1, -1, -1]]
    assert profiles.strongest(np.array([2]), np.array([1]), np.ones(2), 0).shape == (1, 0)

"""Permutations of interactions: within users, and among items of like popularity, by enumeration."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from burnish.enhancers.shapley.controls import matched_by_popularity, permuted_within


def interactions(n=600, n_users=25, n_items=80, seed=1):
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(1, n_users, (n,), generator=generator)
    items = (torch.rand(n, generator=generator).square() * n_items).long() + 1  # few popular, many rare ones
    return users, items


def test_permutation_stays_within_users():
    users = torch.randint(20, (500,), generator=torch.Generator().manual_seed(1))
    order = permuted_within(users, 3)
    assert torch.equal(order.sort().values, torch.arange(500))
    assert torch.equal(users[order], users)
    assert (order != torch.arange(500)).float().mean() > 0.9
    assert torch.equal(order, permuted_within(users, 3))
    assert not torch.equal(order, permuted_within(users, 4))


def bins_by_hand(items):
    """Items in order of how often they occur, then of their ids; each in the tenth in which its middle lies."""
    counts = Counter(items)
    bins, before = {}, 0
    for item in sorted(counts, key=lambda item: (counts[item], item)):
        bins[item] = min(9, int((before + counts[item] / 2) * 10 / len(items)))
        before += counts[item]
    return [bins[item] for item in items]


@pytest.mark.parametrize(("n", "n_users"), [(600, 25), (120, 60), (40, 35)])
def test_matched_values_come_from_interactions_of_like_popularity(n, n_users):
    users, items = interactions(n, n_users)
    order = matched_by_popularity(users, items, 3)
    assert sorted(order.tolist()) == list(range(n))  # each value once
    bins, who = bins_by_hand(items.tolist()), users.tolist()
    of_user = Counter(zip(who, bins, strict=True))
    alone = Counter(b for b, u in zip(bins, who, strict=True) if of_user[u, b] == 1)
    kinds = Counter()
    for place, source in enumerate(order.tolist()):
        assert bins[source] == bins[place]
        if of_user[who[place], bins[place]] > 1:
            kinds["within"] += 1
            assert who[source] == who[place]
            assert source != place
        else:
            assert of_user[who[source], bins[source]] == 1
            kinds["across" if alone[bins[place]] > 1 else "only"] += 1
            assert (source == place) == (alone[bins[place]] == 1)
            assert (who[source] == who[place]) == (source == place)
    assert kinds["across"] > 0
    if n > 100:
        assert kinds["within"] > 0


def test_matched_is_the_same_for_equal_seeds():
    users, items = interactions()
    order = matched_by_popularity(users, items, 3)
    assert torch.equal(order, matched_by_popularity(users, items, 3))
    assert (
        order != matched_by_popularity(users, items, 4)
    ).float().mean() > 0.3  # a pair has one other order


def test_matched_needs_no_more_than_one_interaction():
    assert matched_by_popularity(torch.tensor([4]), torch.tensor([2]), 0).tolist() == [0]
    none = torch.zeros(0, dtype=torch.long)
    assert matched_by_popularity(none, none, 0).tolist() == []

"""Histories against dictionaries of sets, and projections against whole covariance matrices."""

from __future__ import annotations

import pytest
import torch

from burnish.enhancers.wasserstein.histories import Histories
from burnish.enhancers.wasserstein.network import Projection

#: User 4 has nothing; user 2 has one item, twice; a pair with padding counts for nothing.
USERS = torch.tensor([1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 0, 5])
ITEMS = torch.tensor([4, 2, 7, 5, 5, 1, 2, 3, 4, 6, 3, 0])
KNOWN = {0: set(), 1: {4, 2, 7}, 2: {5}, 3: {1, 2, 3, 4, 6}, 4: set(), 5: set()}


def histories(cap=50, seed=0):
    return Histories(USERS, ITEMS, 6, 9, cap=cap, seed=seed)


def test_lists_hold_each_item_once():
    listed = histories().of(torch.arange(6))
    assert {u: set(row.tolist()) - {0} for u, row in enumerate(listed)} == KNOWN
    for user, row in enumerate(listed):
        assert (row != 0).sum() == len(KNOWN[user])
        assert not bool((row[len(KNOWN[user]) :] != 0).any())


def test_an_item_can_be_left_out():
    users = torch.tensor([1, 1, 2, 3])
    without = torch.tensor([2, 5, 5, 6])
    known = [set(row.tolist()) - {0} for row in histories().of(users, without)]
    assert known == [{4, 7}, {2, 4, 7}, set(), {1, 2, 3, 4}]


def test_a_cap_keeps_a_random_subset_that_a_seed_fixes():
    subsets = []
    for seed in range(40):
        row = histories(cap=3, seed=seed).of(torch.tensor([3]))[0].tolist()
        assert row == histories(cap=3, seed=seed).of(torch.tensor([3]))[0].tolist()
        assert len(set(row)) == 3
        assert set(row) <= KNOWN[3]
        subsets.append(frozenset(row))
    assert set().union(*subsets) == KNOWN[3]
    assert len(set(subsets)) > 4


@pytest.mark.parametrize("cap", [1, 50])
def test_draws_are_even_over_all_items_whatever_the_cap(cap):
    known = histories(cap=cap)
    n = 20_000
    generator = torch.Generator().manual_seed(1)
    drawn = known.draw(torch.full((n,), 3), generator)
    counts = torch.bincount(drawn, minlength=9)
    assert set(counts.nonzero().flatten().tolist()) == KNOWN[3]
    assert bool(((counts[sorted(KNOWN[3])] - n / 5).abs() < 5 * (n * 0.2 * 0.8) ** 0.5).all())
    assert known.draw(torch.tensor([0, 4, 2]), generator).tolist() == [0, 0, 5]


def test_the_chance_of_an_item_is_that_of_a_draw_for_an_even_user():
    chance = histories().log_chance.exp()
    for item in (1, 2, 3, 4, 5, 6, 7):
        wanted = sum((item in KNOWN[user]) / len(KNOWN[user]) for user in (1, 2, 3)) / 3
        assert float(chance[item]) == pytest.approx(wanted, rel=1e-6)
    assert float(chance[8]) == pytest.approx(float(chance[1:8].min()))
    assert float(chance[1:8].sum()) == pytest.approx(1.0, rel=1e-6)


def test_who_has_any():
    assert histories().has_any(torch.arange(6)).tolist() == [False, True, True, True, False, False]


def test_no_interactions_at_all():
    known = Histories(torch.tensor([0]), torch.tensor([0]), 3, 3, cap=5, seed=0)
    generator = torch.Generator().manual_seed(1)
    assert known.draw(torch.tensor([1, 2]), generator).tolist() == [0, 0]
    assert known.of(torch.tensor([1])).tolist() == [[0]]


def test_buffers_are_not_saved():
    assert histories().state_dict() == {}


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 3), (3, 5)])
def test_a_projected_spread_is_the_diagonal_of_the_projected_covariance(inputs, outputs):
    torch.manual_seed(0)
    projection = Projection(inputs, outputs).double()
    mean, spread = torch.randn(4, inputs).double(), torch.rand(4, inputs).double() + 0.1
    got_mean, got_spread = projection(mean, spread)
    for b in range(4):
        covariance = projection.weight @ torch.diag(spread[b] ** 2) @ projection.weight.t()
        torch.testing.assert_close(got_mean[b], projection.weight @ mean[b])
        torch.testing.assert_close(got_spread[b], covariance.diagonal().sqrt())
    short = (
        projection.weight @ projection.weight.t()
        if outputs < inputs
        else projection.weight.t() @ projection.weight
    )
    torch.testing.assert_close(short.detach(), torch.eye(min(inputs, outputs)).double(), rtol=0, atol=1e-6)


def test_gradients_are_finite_where_nothing_spreads():
    projection = Projection(4, 2)
    spread = torch.zeros(1, 4, requires_grad=True)
    projection(torch.zeros(1, 4), spread)[1].sum().backward()
    assert bool(torch.isfinite(spread.grad).all())
    assert bool(torch.isfinite(projection.weight.grad).all())


def test_points_are_mapped_in_both_halves():
    torch.manual_seed(0)
    projection = Projection(4, 2, gaussian=False)
    first, second = torch.randn(3, 4), torch.randn(3, 4)
    got = projection(first, second)
    torch.testing.assert_close(got[0], first @ projection.weight.t())
    torch.testing.assert_close(got[1], second @ projection.weight.t())

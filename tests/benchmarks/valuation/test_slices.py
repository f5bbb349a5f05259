"""Leave-one-out and one-slice values against the game written out by hand."""

from __future__ import annotations

import pytest
import torch

from burnish.benchmarks.valuation.slices import leave_one_out, one_slice
from burnish.enhancers.shapley.objectives import folds_of

USERS = torch.arange(4).repeat_interleave(torch.tensor([1, 2, 7, 11]))
ITEMS = torch.cat([torch.randperm(12, generator=torch.Generator().manual_seed(n))[:n] for n in (1, 2, 7, 11)])
VECTORS = torch.randn(12, 5, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
UNIT = VECTORS / VECTORS.norm(dim=1, keepdim=True)


def _direction(user, held):
    judges = UNIT[ITEMS[(user == USERS) & held]]
    if not len(judges):
        return torch.zeros(5, dtype=torch.float64)
    return judges.mean(0) - UNIT[torch.unique(ITEMS)].mean(0)


def _mean(rows):
    return UNIT[ITEMS[rows]].mean(0) if len(rows) else torch.zeros(5, dtype=torch.float64)


def test_leave_one_out_by_hand():
    got = leave_one_out(USERS, ITEMS, VECTORS, folds=3, seed=2)
    fold = folds_of(USERS, 3, 2)
    for row in range(len(USERS)):
        want = 0.0
        for number in range(3):
            if fold[row] == number:
                continue
            players = [r for r in range(len(USERS)) if USERS[r] == USERS[row] and fold[r] != number]
            g = _direction(USERS[row], fold == number)
            want += float(g @ (_mean(players) - _mean([r for r in players if r != row]))) / 2
        assert float(got[row]) == pytest.approx(want, abs=1e-12)


def test_one_slice_sums_to_the_game_and_knows_nothing_of_the_slice():
    got = one_slice(USERS, ITEMS, VECTORS, share=0.25, seed=1)
    held = folds_of(USERS, 4, 1) == 0
    for user in (2, 3):
        players = ((user == USERS) & ~held).nonzero()[:, 0].tolist()
        want = _direction(user, held) @ _mean(players)
        assert float(got[players].sum()) == pytest.approx(float(want), abs=1e-12)
        own = got[(user == USERS) & held]
        torch.testing.assert_close(own, got[players].mean().expand_as(own))

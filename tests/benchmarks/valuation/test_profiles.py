"""Profiles side by side hold every interaction once, with their users' others."""

from __future__ import annotations

import pytest
import torch

from burnish.benchmarks.valuation.profiles import in_random_order, profiles

USERS = torch.tensor([3, 1, 3, 0, 3, 1, 7, 3, 9, 9, 9])


@pytest.mark.parametrize(("most_users", "most_cells", "power"), [(100, 100, 1), (1, 100, 1), (100, 6, 2)])
def test_every_interaction_once(most_users: int, most_cells: int, power: int) -> None:
    blocks = profiles(USERS, most_users=most_users, most_cells=most_cells, power=power)
    found: dict[int, list[int]] = {}
    for block in blocks:
        assert len(block.rows) <= most_users
        assert len(block.rows) == 1 or len(block.rows) * block.rows.shape[1] ** power <= most_cells
        for rows, real, size in zip(block.rows, block.real, block.sizes, strict=True):
            own = rows[real].tolist()
            assert len(own) == size
            assert rows[~real].tolist() == [0] * int((~real).sum())
            found[int(USERS[own[0]])] = own
    assert found == {0: [3], 1: [1, 5], 3: [0, 2, 4, 7], 7: [6], 9: [8, 9, 10]}
    lengths = [block.rows.shape[1] for block in blocks]
    assert lengths == sorted(lengths)


def test_nobody_has_no_blocks() -> None:
    assert profiles(USERS[:0], most_users=3, most_cells=3) == []


def test_places_in_random_order() -> None:
    real = torch.tensor([[True, True, True, False], [True, False, False, False]]).repeat(600, 1)
    order = in_random_order(real, torch.Generator().manual_seed(0))
    assert torch.equal(order.sort(1).values, torch.arange(4).expand(1200, 4))
    assert bool((order[::2, 3] == 3).all())
    assert bool((order[1::2, 0] == 0).all())
    seen = {tuple(row) for row in order[::2, :3].tolist()}
    assert len(seen) == 6
    first = torch.bincount(order[::2, 0]) / 600
    torch.testing.assert_close(first, torch.full((3,), 1 / 3), atol=0.08, rtol=0)

"""Where users start: the shrunk mean, against a loop in float64."""

from __future__ import annotations

import math

import pytest
import torch

from burnish.enhancers.guided.users import mean_of_items


@pytest.mark.parametrize("shrinkage", [0.0, 5.0])
def test_the_shrunk_mean_by_a_loop(shrinkage: float) -> None:
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(1, 7, (40,), generator=generator)  # 0 is padding, 7 has no history
    items = torch.randint(1, 9, (40,), generator=generator)
    guided = torch.randn(9, 3, generator=generator)
    found = mean_of_items(users, items, guided, 8, shrinkage)
    assert found.shape == (8, 3)
    assert found.dtype == guided.dtype
    for user in range(8):
        own = [int(i) for u, i in zip(users, items, strict=True) if int(u) == user]
        for k in range(3):
            total = math.fsum(float(guided[i, k]) for i in own)
            expected = total / (len(own) + shrinkage) if own else 0.0
            assert float(found[user, k]) == pytest.approx(expected, abs=1e-6)
    assert (found[[0, 7]] == 0).all()

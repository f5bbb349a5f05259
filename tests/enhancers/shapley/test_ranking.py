"""The game of ranking against its own enumeration, and means of like popularity against a loop."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.ranking import of_like_popularity, ranking_values
from burnish.errors import ConfigurationError

USERS = torch.tensor([0] * 5 + [1] * 4 + [2] * 1 + [3] * 6)
ITEMS = torch.tensor([0, 1, 2, 3, 4, 0, 2, 5, 6, 0, 0, 1, 2, 3, 7, 8])


def vectors() -> torch.Tensor:
    return torch.randn(11, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def like(bins: int) -> dict[int, list[int]]:
    """The other items of each item's bin, by hand: 9 occurring items, sorted by how often, ties by number."""
    counts = np.bincount(ITEMS, minlength=11)
    occurring = sorted((item for item in range(11) if counts[item]), key=lambda item: (counts[item], item))
    group = {item: place * bins // len(occurring) for place, item in enumerate(occurring)}
    return {item: [q for q in occurring if group[q] == group[item] and q != item] for item in occurring}


@pytest.mark.parametrize("bins", [1, 2, 3, 9])
def test_means_of_like_popularity(bins: int) -> None:
    table, others = vectors(), like(bins)
    found = of_like_popularity(ITEMS, table, bins)
    for item in range(11):
        own = others.get(item, [])
        expected = table[own].mean(0) if own else torch.zeros(3, dtype=torch.float64)
        torch.testing.assert_close(found[item], expected)


def test_values_against_enumeration() -> None:
    """Every fold one item: margins of it over all items of like popularity, the game enumerated, in plain loops."""
    table, others = vectors(), like(3)
    unit = (table / table.norm(dim=1, keepdim=True)).numpy()

    def worth(players: tuple[int, ...], held: int) -> float:
        if not players:
            return 0.0
        profile = unit[list(players)].mean(0)
        negatives = others[held]
        if not negatives:
            return float(profile @ unit[held])
        return float(np.mean([profile @ (unit[held] - unit[q]) for q in negatives]))

    def shapley(player: int, rest: list[int], held: int) -> float:
        n, total = len(rest) + 1, 0.0
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for part in combinations(rest, size):
                total += weight * (worth((*part, player), held) - worth(part, held))
        return total

    found = ranking_values(USERS, ITEMS, table, bins=3, folds=9)
    for row, (user, item) in enumerate(zip(USERS.tolist(), ITEMS.tolist(), strict=True)):
        own = ITEMS[user == USERS].tolist()
        judges = [held for held in own if held != item]
        values = [shapley(item, [i for i in own if i not in (item, held)], held) for held in judges]
        assert found[row] == pytest.approx(np.mean(values) if values else 0.0, abs=1e-12)


def test_one_bin_is_nearly_the_catalogues_mean() -> None:
    """With all items as negatives, but for the item itself."""
    items = torch.arange(400) % 200
    users = torch.arange(400) // 8
    table = torch.randn(200, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    own = ranking_values(users, items, table, bins=1)
    whole = cross_fitted(users, items, table)
    torch.testing.assert_close(own * 199 / 200, whole, atol=1e-12, rtol=1e-9)


def test_values_are_the_same_in_any_order_of_users() -> None:
    table = vectors()
    one = ranking_values(USERS, ITEMS, table, folds=9)
    order = torch.randperm(len(USERS), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ranking_values(USERS[order], ITEMS[order], table, folds=9), one[order])


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="bins = 0"):
        ranking_values(USERS, ITEMS, vectors(), bins=0)
    with pytest.raises(
        ConfigurationError, match=r"these vectors need \[3\], or a row for each item, \[11, 3\]"
    ):
        cross_fitted(USERS, ITEMS, vectors(), centre=torch.zeros(4, 3))

"""Measures of an order: against loops over lists that know nothing of masks."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from burnish.benchmarks.faithfulness.measures import (
    LENGTHS,
    MEASURES,
    SHARES,
    TOP,
    best_of,
    count_of,
    in_order,
    measure,
)
from burnish.benchmarks.faithfulness.standing import Recommendation

N_ITEMS = 40
#: Sizes of a history, and items, of games; those of the items 0 and 1 are in the top 10 by the whole history.
CASES = [(7, 3), (7, 1), (11, 0), (23, 11), (3, 3), (1, 8)]


class Game:
    """Scores that depend on the history in no simple way, and how often they were asked for."""

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.items = np.arange(100, 100 + n)
        self.single, self.pair = rng.normal(size=(n, N_ITEMS)), rng.normal(size=(n, n, N_ITEMS))
        self.base = rng.normal(size=N_ITEMS)
        self.asked = 0

    def of(self, kept: list[int]) -> list[float]:
        """The scores of all items by a history of these places."""
        scores = self.base.copy()
        for i in kept:
            scores = scores + self.single[i]
            for j in kept:
                scores = scores + 0.3 * self.pair[i, j] * (i < j)
        return list(scores)

    def history(self, user: int, item: int) -> torch.Tensor:
        return torch.from_numpy(self.items)

    def scores(self, user: int, items: list[int], masks: torch.Tensor) -> torch.Tensor:
        self.asked += len(masks)
        rows = [self.of(np.flatnonzero(mask).tolist()) for mask in masks.numpy()]
        return torch.tensor(rows)[:, items]


def recommendation(game: Game, item: int, catalogue: list[int]) -> Recommendation:
    reasons: Any = SimpleNamespace(history=game.history, scorer=game)
    return Recommendation(reasons, 1, item, np.array(catalogue))


def slow(game: Game, item: int, catalogue: list[int], order: list[int]) -> dict[tuple[str, int], float]:
    everything = list(range(len(order)))

    def candidates(kept: list[int]) -> list[float]:
        return [game.of(sorted(kept))[one] for one in catalogue]

    full = candidates(everything)
    mean = sum(full) / len(full)
    spread = math.sqrt(sum((one - mean) ** 2 for one in full) / len(full))

    def standing(kept: list[int]) -> float:
        scores = candidates(kept)
        return (game.of(sorted(kept))[item] - sum(scores) / len(scores)) / spread

    def rank(kept: list[int]) -> int:
        return 1 + sum(one > game.of(sorted(kept))[item] for one in candidates(kept))

    found: dict[tuple[str, int], float] = {}
    listed = rank(everything) <= TOP
    for k in LENGTHS:
        found["DEL", k] = standing(everything) - standing(order[k:])
        found["INS", k] = standing(order[:k]) - standing([])
        found["POS", k] = float(rank(order[k:]) > TOP) if listed else math.nan
        found["NEG", k] = float(rank(order[: max(len(order) - k, 0)]) <= TOP) if listed else math.nan
        found["MOVE", k] = abs(game.of(sorted(order[k:]))[item] - game.of(everything)[item])
        found["CDCG", k] = math.log(2) / math.log(1 + rank(order[k:]))
    drops, gains = [], []
    for tenth in range(11):
        k = -(-tenth * len(order) // 10)
        drops.append(standing(everything) - standing(order[k:]))
        gains.append(standing(order[:k]) - standing([]))
    for name, line in (("DEL curve", drops), ("INS curve", gains)):
        found[name, 0] = sum((a + b) / 2 for a, b in itertools.pairwise(line)) / 10
    counts = [max(1, math.ceil(percent * len(order) / 100)) for percent in (1, 5, 10, 20, 50)]
    found["comprehensiveness", 0] = sum(standing(everything) - standing(order[k:]) for k in counts) / 5
    found["sufficiency", 0] = sum(standing(everything) - standing(order[:k]) for k in counts) / 5
    return found


@pytest.mark.parametrize(("n", "item"), CASES)
def test_against_loops(n: int, item: int) -> None:
    game = Game(n, seed=n)
    catalogue = [one for one in range(N_ITEMS) if one % 3 or one == item]
    order = np.random.default_rng(0).permutation(n)
    found = measure(recommendation(game, item, catalogue), order, moved=True)
    assert "MOVE" not in {name for name, _ in measure(recommendation(game, item, catalogue), order)}
    expected = slow(game, item, catalogue, order.tolist())
    assert {name for name, _ in found} == set(MEASURES)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9, nan_ok=True), key


def test_both_sides_of_the_top_are_met() -> None:
    """So that POS and NEG of the test above are numbers in some cases, and not in others."""
    listed = [
        recommendation(Game(n, seed=n), item, list(range(N_ITEMS))).ask(np.ones((1, n), bool)).rank[0] <= TOP
        for n, item in CASES
    ]
    assert set(listed) == {True, False}


def test_a_mask_is_asked_for_once() -> None:
    game = Game(12, seed=1)
    one = recommendation(game, 3, list(range(N_ITEMS)))
    order = np.arange(12)
    first = measure(one, order)
    asked = game.asked
    assert measure(one, order) == pytest.approx(first, nan_ok=True)
    assert game.asked == asked


def test_standing_has_no_scale() -> None:
    game = Game(9, seed=2)
    order = np.arange(9)
    before = measure(recommendation(game, 3, list(range(N_ITEMS))), order)
    game.base = 5 * game.base + 3
    game.single, game.pair = 5 * game.single, 5 * game.pair
    after = measure(recommendation(game, 3, list(range(N_ITEMS))), order)
    assert after == pytest.approx(before, nan_ok=True)


def test_the_best_of_several_draws_takes_each_measure_by_itself() -> None:
    game = Game(15, seed=3)
    one = recommendation(game, 3, list(range(N_ITEMS)))
    rng = np.random.default_rng([4, 4])
    draws = [measure(one, rng.permutation(15)) for _ in range(11)]
    found = best_of(one, 11, (4, 4))
    for name, k in found:
        choose = max if MEASURES[name].larger else min
        assert found[name, k] == pytest.approx(choose(draw[name, k] for draw in draws), nan_ok=True)
    assert found["DEL", 1] > draws[0]["DEL", 1] or found["DEL", 2] > draws[0]["DEL", 2]


def test_equal_values_are_ordered_at_random_by_the_seed() -> None:
    values = np.array([1.0, 3.0, 3.0, 3.0, 0.0, 3.0])
    orders = [in_order(values, (seed,)).tolist() for seed in range(20)]
    assert all(set(order[:4]) == {1, 2, 3, 5} and order[4:] == [0, 4] for order in orders)
    assert len({tuple(order) for order in orders}) > 5
    assert in_order(values, (7,)).tolist() == orders[7]


def test_shares_are_rounded_up() -> None:
    assert [count_of(share, 30) for share in SHARES] == [1, 2, 3, 6, 15]
    assert [count_of(share, 100) for share in SHARES] == [1, 5, 10, 20, 50]
    assert count_of(1.0, 7) == 7
    assert count_of(0.0, 7) == 0

"""Triplet Shapley against its games enumerated: no bias, less variance by the control, all of the worth dealt out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch

from burnish.benchmarks.valuation.profiles import in_random_order
from burnish.benchmarks.valuation.triplets import estimated, triplet_shapley, unknown_items
from burnish.errors import ConfigurationError

PLAYERS, JUDGES = 5, 3


def margins() -> torch.Tensor:
    """Of one game, large enough that log sigmoid bends."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(PLAYERS, JUDGES, generator=generator, dtype=torch.float64) * 1.5 + 0.5


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


def enumerated(table: np.ndarray) -> list[float]:
    """Shapley values of the mean over judges of log sigmoid of the players' sum, by all coalitions."""

    def worth(part: tuple[int, ...]) -> float:
        return float(np.mean([log_sigmoid(sum(table[t, h] for t in part)) for h in range(table.shape[1])]))

    n, values = len(table), []
    for player in range(n):
        rest, total = [t for t in range(n) if t != player], 0.0
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for part in combinations(rest, size):
                total += weight * (worth((*part, player)) - worth(part))
        values.append(total)
    return values


def estimates(times: int, control: bool, seed: int = 0) -> torch.Tensor:
    """`[times, PLAYERS]`, each from one order."""
    table = margins().expand(times, -1, -1)
    order = in_random_order(torch.ones(times, PLAYERS, dtype=torch.bool), torch.Generator().manual_seed(seed))
    return estimated(table, torch.ones(times, JUDGES, dtype=torch.bool), order, control=control)


@pytest.mark.parametrize("control", [False, True])
def test_estimates_have_no_bias(control: bool) -> None:
    found = estimates(20_000, control)
    wanted = torch.tensor(enumerated(margins().numpy()), dtype=torch.float64)
    errors = found.std(0) / 20_000**0.5
    assert bool((errors > 0).all())
    assert bool(((found.mean(0) - wanted).abs() < 4 * errors).all())
    assert bool((errors < 0.02 * wanted.abs().max()).all())  # or nothing would be told


def test_the_control_takes_variance_away() -> None:
    plain, controlled = (estimates(2_000, control).var(0) for control in (False, True))
    assert bool((controlled < 0.1 * plain).all())


@pytest.mark.parametrize("control", [False, True])
def test_all_is_dealt_out_in_every_order(control: bool) -> None:
    table = margins()
    whole = torch.nn.functional.logsigmoid(table.sum(0)).mean() + math.log(2)
    torch.testing.assert_close(estimates(50, control).sum(1), whole.expand(50))


def test_a_game_that_the_control_is_needs_no_orders() -> None:
    """Margins so small that log sigmoid is its parabola: any order gives the values."""
    generator = torch.Generator().manual_seed(3)
    table = 1e-3 * torch.randn(1, 6, 4, generator=generator, dtype=torch.float64)
    judges = torch.tensor([[True, True, True, False]])
    table[:, :, 3] = 0
    found = estimated(table, judges, torch.arange(6).unsqueeze(0))
    torch.testing.assert_close(
        found[0],
        torch.tensor(enumerated(table[0, :, :3].numpy()), dtype=torch.float64),
        atol=1e-12,
        rtol=1e-7,
    )


def test_who_is_not_there_changes_nothing() -> None:
    table = torch.zeros(1, PLAYERS + 2, JUDGES + 1, dtype=torch.float64)
    table[0, 1:-1, :JUDGES] = margins()
    judges = torch.tensor([[True] * JUDGES + [False]])
    order = torch.tensor([[5, 3, 1, 2, 4, 0, 6]])
    small = estimated(margins()[None], judges[:, :JUDGES], order[:, :PLAYERS] - 1)
    found = estimated(table, judges, order)
    torch.testing.assert_close(found[0, 1:-1], small[0])
    assert found[0, [0, -1]].tolist() == [0.0, 0.0]


def test_values_are_means_over_the_folds_that_judge() -> None:
    """Two folds of one interaction each: the other one is the only player, and has all that it gives."""
    users, items = torch.tensor([4, 4, 9]), torch.tensor([0, 1, 2])
    vectors = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = triplet_shapley(users, items, vectors, rounds=3, step=6.0)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    ways = unit[:2] - unit[2]  # the only item that user 4 does not have
    want = log_sigmoid(3.0 * float(ways[0] @ ways[1])) + math.log(2)
    torch.testing.assert_close(found, torch.tensor([want, want, 0.0], dtype=torch.float64))


def test_values_are_those_of_games_by_hand() -> None:
    """Folds of one interaction each, and one item to draw: what is left to chance are orders, which are many."""
    n = 5
    users, items = torch.tensor([0] * n + [1]), torch.arange(n + 1)
    vectors = torch.randn(n + 1, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    ways = (unit[:n] - unit[n]).numpy()
    wanted = np.zeros(n)
    for held in range(n):
        players = [t for t in range(n) if t != held]
        table = np.array([[2.0 / 2 / len(players) * (ways[t] @ ways[held])] for t in players])
        wanted[players] += np.array(enumerated(table)) / (n - 1)
    found = triplet_shapley(users, items, vectors, rounds=60, folds=n, step=2.0)
    assert found[:n].tolist() == pytest.approx(wanted.tolist(), abs=3e-3)
    assert np.ptp(wanted) > 0.02


def test_interactions_that_agree_are_worth_more() -> None:
    generator = torch.Generator().manual_seed(0)
    tastes = torch.nn.functional.normalize(torch.randn(2, 8, generator=generator), dim=1)
    vectors = tastes.repeat_interleave(40, 0) + 0.3 * torch.randn(80, 8, generator=generator)
    users = torch.arange(30).repeat_interleave(12)
    own = torch.rand(30, 40, generator=generator).argsort(1)[:, :12] + 40 * (torch.arange(30) % 2).unsqueeze(
        1
    )
    items = own.flatten()
    noise = torch.arange(360) % 12 == 0
    items[noise] = (items[noise] + 40) % 80
    values = triplet_shapley(users, items, vectors, rounds=4)
    assert float(values[noise].max()) < float(values[~noise].median())
    values = triplet_shapley(users, items, vectors)
    assert torch.equal(values, triplet_shapley(users, items, vectors))
    assert not torch.equal(values, triplet_shapley(users, items, vectors, seed=1))


def test_drawn_items_are_unknown_to_the_user() -> None:
    users = torch.tensor([0, 0, 0, 1, 2, 2])
    items = torch.tensor([3, 8, 5, 8, 5, 3])
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([unknown_items(users, items, generator) for _ in range(50)])
    assert set(draws[:, 3].tolist()) == {3, 5}
    assert set(draws[:, 4:].flatten().tolist()) == {8}
    assert set(draws[:, :3].flatten().tolist()) == {3, 5, 8}  # user 0 has them all


def test_refusals() -> None:
    users, items, vectors = torch.tensor([0, 0]), torch.tensor([0, 1]), torch.eye(2)
    with pytest.raises(ConfigurationError, match="rounds = 0"):
        triplet_shapley(users, items, vectors, rounds=0)
    with pytest.raises(ConfigurationError, match="folds = 1"):
        triplet_shapley(users, items, vectors, folds=1)
    with pytest.raises(ConfigurationError, match="step = nan"):
        triplet_shapley(users, items, vectors, step=math.nan)

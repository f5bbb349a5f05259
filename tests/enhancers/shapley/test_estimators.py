"""Estimators against coalitions counted one by one, against each other, and against shap."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from burnish.enhancers.shapley.cross_fit import factors
from burnish.enhancers.shapley.estimators import enumeration, estimate, multilinear, permutation
from burnish.enhancers.shapley.games import Game
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError, UnsupportedError

SAMPLING = [multilinear.estimate, permutation.estimate]


@dataclass
class TableGame:
    """Any game: a number for each of the 2^n coalitions, `[2^n, n_outputs]`."""

    table: Tensor
    asked: int = field(default=0)

    @classmethod
    def random(cls, n: int, outputs: int, seed: int) -> TableGame:
        return cls(
            torch.randn(2**n, outputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        )

    @property
    def n_players(self) -> int:
        return int(math.log2(len(self.table)))

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"output {place}" for place in range(self.table.shape[1]))

    def __call__(self, masks: Tensor) -> Tensor:
        self.asked += len(masks)
        return self.table[masks.long() @ 2 ** torch.arange(self.n_players)]


def by_orders(game: Game) -> Tensor:
    """Shapley values from all n! orders, one coalition at a time."""
    n = game.n_players
    values = torch.zeros(n, len(game.outputs), dtype=torch.float64)
    for order in itertools.permutations(range(n)):
        mask = torch.zeros(1, n, dtype=torch.bool)
        before = game(mask)
        for player in order:
            mask[0, player] = True
            after = game(mask)
            values[player] += (after - before)[0].double()
            before = after
    return values / math.factorial(n)


@dataclass
class MeanGame:
    """The mean over a coalition of what its members bring, `[n, n_outputs]`; 0 for nobody."""

    brought: Tensor

    @classmethod
    def random(cls, n: int, outputs: int, seed: int) -> MeanGame:
        generator = torch.Generator().manual_seed(seed)
        return cls(torch.randn(n, outputs, dtype=torch.float64, generator=generator))

    @property
    def n_players(self) -> int:
        return len(self.brought)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(f"output {place}" for place in range(self.brought.shape[1]))

    def __call__(self, masks: Tensor) -> Tensor:
        members = masks.double()
        return members @ self.brought / members.sum(1, keepdim=True).clamp_min(1)

    def exactly(self) -> Tensor:
        """Shapley values by the closed form."""
        own, rest = factors(torch.tensor([self.n_players]))
        return own * self.brought - rest * self.brought.sum(0)


def within(values: Tensor, error: Tensor, truth: Tensor, widths: float) -> bool:
    return bool(((values - truth).abs() <= widths * error + 1e-9).all())


@pytest.mark.parametrize("n", [1, 2, 4])
def test_enumeration_is_the_mean_over_all_orders(n: int) -> None:
    game = TableGame.random(n, 3, n)
    valuation = enumeration.estimate(game)
    torch.testing.assert_close(valuation.values, by_orders(game), rtol=1e-12, atol=1e-12)
    assert valuation.evaluations == 2**n
    assert valuation.converged
    assert not valuation.standard_error.any()


@settings(max_examples=20)
@given(n=st.integers(1, 10), outputs=st.integers(1, 3), seed=st.integers(0, 999))
def test_the_closed_form_is_enumeration(n: int, outputs: int, seed: int) -> None:
    game = MeanGame.random(n, outputs, seed)
    torch.testing.assert_close(game.exactly(), enumeration.estimate(game).values, rtol=1e-10, atol=1e-10)


@settings(max_examples=15)
@given(n=st.integers(2, 6), seed=st.integers(0, 999))
def test_the_axioms_hold(n: int, seed: int) -> None:
    """Efficiency, symmetry, null player and linearity: exact for enumeration, within errors for samples."""
    game = TableGame.random(n, 2, seed)
    masks = (torch.arange(2**n).unsqueeze(1) >> torch.arange(n)) & 1
    # The first two players made interchangeable, then the last one made null.
    swapped = torch.arange(2**n)
    swapped += (masks[:, 1] - masks[:, 0]) * (1 - 2)
    symmetric = TableGame((game.table + game.table[swapped]) / 2)
    null = TableGame(game.table[torch.arange(2**n) % 2 ** (n - 1)])
    other = TableGame.random(n, 2, seed + 1)
    both = TableGame(2 * game.table - other.table)
    one, two = enumeration.estimate(game), enumeration.estimate(other)
    torch.testing.assert_close(one.values.sum(0), game.table[-1] - game.table[0])
    torch.testing.assert_close((one * 2 + two * -1).values, enumeration.estimate(both).values)
    even = enumeration.estimate(symmetric).values
    torch.testing.assert_close(even[0], even[1])
    assert float(enumeration.estimate(null).values[-1].abs().max()) < 1e-12
    arrived = permutation.estimate(game, budget=200, seed=seed)
    torch.testing.assert_close(arrived.values.sum(0), game.table[-1] - game.table[0])
    assert float(permutation.estimate(null, budget=200, seed=seed).values[-1].abs().max()) < 1e-12
    sampled = multilinear.estimate(null, budget=4000, seed=seed)
    assert within(sampled.values[-1], sampled.standard_error[-1], torch.zeros(2), 5)


def banzhaf_by_definition(game: TableGame) -> Tensor:
    codes = torch.arange(len(game.table))
    gains = [
        (game.table[codes | 2**player] - game.table[codes & ~(2**player)]).mean(0)
        for player in range(game.n_players)
    ]
    return torch.stack(gains)


@pytest.mark.parametrize("budget", [400, 3000])
@pytest.mark.parametrize("which", ["multilinear", "permutation", "banzhaf"])
def test_estimates_are_as_sure_as_they_say(which: str, budget: int) -> None:
    """Over random games, about 68% of values within one error and 95% within two."""
    inside, squares = [], []
    for seed in range(30):
        game = TableGame.random(7, 2, seed)
        truth = banzhaf_by_definition(game) if which == "banzhaf" else enumeration.estimate(game).values
        valuation = estimate(which, game, budget=budget, seed=seed)
        score = (valuation.values - truth) / valuation.standard_error
        inside.append((score.abs() < 2).double().mean())
        squares.append(score.square().mean())
    assert 0.90 < float(torch.stack(inside).mean()) < 0.99
    assert 0.7 < float(torch.stack(squares).mean()) < 1.5


@pytest.mark.parametrize(("which", "budget"), [("banzhaf", 60), ("multilinear", 120)])
def test_few_samples_are_not_surer_than_they_are(which: str, budget: int) -> None:
    """What one half of the samples is fitted by is taken out of the other: of its own it would leave too little.

    Errors from few samples are a little too small (squares of scores about 1.4); with the own fit they are above 3.
    """
    squares = []
    for seed in range(60):
        game = TableGame.random(6, 2, seed)
        truth = banzhaf_by_definition(game) if which == "banzhaf" else enumeration.estimate(game).values
        valuation = estimate(which, game, budget=budget, seed=seed)
        squares.append(((valuation.values - truth) / valuation.standard_error).square().mean())
    assert 0.8 < float(torch.stack(squares).mean()) < 2.0


@pytest.mark.parametrize("which", ["multilinear", "permutation", "banzhaf"])
def test_no_more_than_the_budget_is_asked_for_and_more_is_better(which: str) -> None:
    errors = []
    for budget in (100, 1600, 25600):
        game = TableGame.random(6, 1, 3)
        valuation = estimate(which, game, budget=budget, seed=0)
        assert valuation.evaluations == game.asked <= budget
        assert valuation.evaluations > 0.75 * budget
        errors.append(float(valuation.standard_error.mean()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("which", ["multilinear", "banzhaf"])
def test_an_additive_game_is_known_at_once(which: str) -> None:
    generator = torch.Generator().manual_seed(0)
    worth = torch.randn(6, 2, dtype=torch.float64, generator=generator)
    masks = (torch.arange(64).unsqueeze(1) >> torch.arange(6)) & 1
    valuation = estimate(which, TableGame(masks.double() @ worth + 3), budget=200, seed=0)
    torch.testing.assert_close(valuation.values, worth, rtol=1e-6, atol=1e-6)
    assert float(valuation.standard_error.max()) < 1e-6


def test_many_players() -> None:
    game = MeanGame.random(60, 2, 0)
    exact = game.exactly()
    for estimator in SAMPLING:
        valuation = estimator(game, budget=20000, seed=1)
        score = (valuation.values - exact) / valuation.standard_error
        assert 0.6 < float(score.square().mean()) < 1.6


@pytest.mark.parametrize("which", ["multilinear", "permutation", "banzhaf"])
def test_the_smallest_budget_is_named_and_works(which: str) -> None:
    game = TableGame.random(5, 2, 0)
    with pytest.raises(ConfigurationError, match="smallest that works is") as raised:
        estimate(which, game, budget=3)
    least = int(str(raised.value).rstrip(".").split()[-1])
    valuation = estimate(which, TableGame.random(5, 2, 0), budget=least)
    assert valuation.evaluations <= least
    assert bool(torch.isfinite(valuation.standard_error).all())
    with pytest.raises(ConfigurationError, match=f"smallest that works is {least}"):
        estimate(which, game, budget=least - 1)


@pytest.mark.parametrize("which", ["multilinear", "permutation", "banzhaf"])
def test_one_player_constant_games_and_seeds(which: str) -> None:
    single = TableGame(torch.tensor([[1.0], [4.0]], dtype=torch.float64))
    torch.testing.assert_close(estimate(which, single, budget=50).values, torch.tensor([[3.0]]).double())
    constant = estimate(which, TableGame(torch.full((16, 1), 5.0, dtype=torch.float64)), budget=400)
    assert not constant.values.abs().max() > 1e-12
    assert constant.converged
    game = TableGame.random(5, 1, 0)
    before = torch.random.get_rng_state()
    one, again, other = (estimate(which, game, budget=300, seed=seed).values for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_an_estimator_cannot_do_is_refused() -> None:
    game = TableGame.random(4, 1, 0)
    with pytest.raises(UnsupportedError, match="up to 16 players"):
        enumeration.estimate(MeanGame.random(17, 2, 0))
    with pytest.raises(ConfigurationError, match="smallest that works is 16"):
        enumeration.estimate(game, budget=15)
    with pytest.raises(ConfigurationError, match="nodes = 0"):
        multilinear.estimate(game, nodes=0)
    with pytest.raises(UnknownNameError, match="multilinear"):
        estimate("multilinaer", game)
    with pytest.raises(ConfigurationError, match="no players"):
        enumeration.estimate(MeanGame.random(0, 2, 0))
    game.table[5] = torch.nan
    with pytest.raises(NonFiniteError, match=r"'output 0' of the coalition of 2 players \[0, 2\]"):
        enumeration.estimate(game)


@pytest.mark.filterwarnings("ignore")
def test_shap_agrees() -> None:
    """The same game as a function of rows of zeros and ones, through shap's own explainers."""
    shap = pytest.importorskip("shap")
    game = TableGame.random(6, 1, 11)
    exact = enumeration.estimate(game)
    ours = multilinear.estimate(game, budget=60000, seed=0)

    def function(rows: np.ndarray) -> np.ndarray:
        return game(torch.as_tensor(rows > 0.5))[:, 0].numpy()

    ones, zeros = np.ones((1, 6)), np.zeros((1, 6))
    theirs = shap.PermutationExplainer(function, zeros, seed=0)(ones, max_evals=20000, silent=True).values[0]
    kernel = shap.KernelExplainer(function, zeros).shap_values(ones, nsamples=64, silent=True)[0]
    truth = exact.values[:, 0].numpy()
    np.testing.assert_allclose(kernel, truth, atol=1e-6)  # with all 2^6 coalitions it is exact
    np.testing.assert_allclose(theirs, truth, atol=0.1)
    np.testing.assert_allclose(ours.values[:, 0].numpy(), theirs, atol=0.12)

"""Games that stand near a history's: their Shapley values in closed form, and estimates with them taken out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from burnish.enhancers.shapley.estimators import enumeration, multilinear
from burnish.enhancers.shapley.estimators.surrogate import of_history


class Features:
    """The features of a surrogate as the outputs of a game."""

    def __init__(self, n: int, ordered: bool) -> None:
        self.n_players, self.features = n, of_history(n, ordered=ordered).features
        self.outputs = tuple(map(str, range(len(self.features(torch.zeros(1, n, dtype=torch.bool))[0]))))

    def __call__(self, masks: Tensor) -> Tensor:
        return self.features(masks)


@pytest.mark.parametrize("ordered", [True, False])
def test_values_are_those_of_all_coalitions(ordered: bool) -> None:
    game = Features(7, ordered)
    torch.testing.assert_close(enumeration.estimate(game).values.T, of_history(7, ordered=ordered).values)


class Recent:
    """A sum, what the last item says, a function of how many there are, and something that is none of these."""

    outputs = ("x",)
    n_players = 12

    def __call__(self, masks: Tensor) -> Tensor:
        there = masks.double()
        last = there * (there.flip(1).cumsum(1).flip(1) == 1)
        numbers = torch.arange(12, dtype=torch.float64)
        pairs = (there[:, :-1] * there[:, 1:]).sum(1)
        return (
            there @ numbers.sin() + 3 * (last @ numbers.cos()) - (1 + there.sum(1)).log() + 0.1 * pairs
        ).unsqueeze(1)


def test_what_is_known_is_not_sampled() -> None:
    exact = enumeration.estimate(Recent()).values
    off: dict[bool, list[Tensor]] = {False: [], True: []}
    far = []
    for seed in range(20):
        for near in (False, True):
            surrogate = of_history(12, ordered=True) if near else None
            found = multilinear.estimate(Recent(), budget=256, seed=seed, surrogate=surrogate)
            off[near].append((found.values - exact).square())
            if near:
                far.append((found.values - exact) / found.standard_error)
    error = {near: float(torch.cat(each).mean().sqrt()) for near, each in off.items()}
    assert error[True] < 0.05 * error[False]
    assert found.evaluations <= 256
    assert 0.6 < float(torch.cat(far).square().mean().sqrt()) < 1.6
    assert abs(float(torch.stack([one.view(-1) for one in far]).mean())) < 0.2

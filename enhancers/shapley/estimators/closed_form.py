"""Exact Shapley values of `MeanProfile`, in time linear in players and outputs, without asking the game."""

from __future__ import annotations

import torch

from burnish.enhancers.shapley.games import Game, MeanProfile
from burnish.enhancers.shapley.harmonic import factors
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import UnsupportedError

from .sampling import Asked


def estimate(game: Game, *, budget: int | None = None, seed: int = 0) -> Valuation:
    """Exact values; `budget` and `seed` are accepted for the estimators' common signature and change nothing.

    Raises `UnsupportedError` for any other game.  Source: `harmonic.factors`.
    """
    if not isinstance(game, MeanProfile):
        raise UnsupportedError(
            f"the closed form holds for MeanProfile, and this game is {type(game).__name__}; use "
            "enumeration for up to 16 players, else multilinear or permutation"
        )
    asked = Asked(game)
    x = game.contributions.double()
    own, rest = factors(torch.tensor([game.n_players], device=x.device), shrinkage=game.shrinkage)
    return asked.valuation(own * x - rest * x.sum(0))

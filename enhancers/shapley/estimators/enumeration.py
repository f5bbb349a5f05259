"""Exact Shapley values of any small game, from all of its coalitions."""

from __future__ import annotations

import math

import torch

from burnish.enhancers.shapley.games import Game
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import UnsupportedError

from .sampling import CountedGame, enough

#: Players up to which 2^n coalitions are asked for.
MOST_PLAYERS = 16


def estimate(game: Game, *, budget: int | None = None, seed: int = 0) -> Valuation:
    """Exact values: sum over S without i of |S|! (n-|S|-1)! / n! (v(S and i) - v(S)).

    budget: at least 2^n, or None.  seed: changes nothing.
    Raises `UnsupportedError` for more than 16 players, `ConfigurationError` for too small a budget.
    """
    n = game.n_players
    if n > MOST_PLAYERS:
        raise UnsupportedError(
            f"enumeration asks for all 2^{n} coalitions; it takes up to {MOST_PLAYERS} players. Use multilinear or "
            "permutation."
        )
    if budget is not None:
        enough(budget, 2**n, "enumeration", f"{n} players have {2**n} coalitions, each of which is needed")
    counted = CountedGame(game)
    codes = torch.arange(2**n, device=counted.device)
    masks = (codes.unsqueeze(1) >> torch.arange(n, device=counted.device)).bitwise_and(1).bool()
    worth = counted(masks)
    size = masks.sum(1)
    weight = torch.tensor([1 / (n * math.comb(n - 1, s)) for s in range(n)], dtype=worth.dtype)
    weight = weight.to(worth.device)
    values = []
    for player in range(n):
        without = codes[~masks[:, player]]
        values.append(weight[size[without]] @ (worth[without + 2**player] - worth[without]))
    return counted.valuation(torch.stack(values))

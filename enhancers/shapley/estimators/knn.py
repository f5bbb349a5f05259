"""Exact Shapley values of `NeighbourGame` by sorting: n log n a query, without asking the game."""

from __future__ import annotations

import torch

from burnish.enhancers.shapley.games import Game, NeighbourGame
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import UnsupportedError

from .sampling import Asked


def estimate(game: Game, *, budget: int | None = None, seed: int = 0) -> Valuation:
    """Exact values; `budget` and `seed` change nothing.

    With players from the nearest (1) to the farthest (n) of a query, and m their match,

        value_n = m_n min(k, n) / (n k),   value_i = value_(i+1) + (m_i - m_(i+1)) / k * min(k, i) / i,

    averaged over queries.  Raises `UnsupportedError` for any other game.
    Source: Jia et al., "Efficient task-specific data valuation for nearest neighbor algorithms" (arXiv 1908.08619),
    with any match in place of equal labels; its m_n / n is for n >= k.
    """
    if not isinstance(game, NeighbourGame):
        raise UnsupportedError(
            f"KNN-Shapley holds for NeighbourGame, and this game is {type(game).__name__}; use multilinear "
            "or permutation"
        )
    asked = Asked(game)
    worth = game.worth.double()
    n = game.n_players
    place = torch.arange(1, n + 1, device=worth.device, dtype=worth.dtype)
    share = place.clamp_max(game.k) / (place * game.k)
    after = torch.cat([worth[:, 1:], torch.zeros_like(worth[:, :1])], dim=1)
    by_place = ((worth - after) * share).flip(1).cumsum(1).flip(1)
    values = torch.zeros_like(by_place).scatter_(1, game.nearest, by_place).mean(0)
    return asked.valuation(values.unsqueeze(1))

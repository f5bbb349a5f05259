"""Shapley values from random orders in which the players arrive, each order read forwards and backwards."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.enhancers.shapley.games import Game
from burnish.enhancers.shapley.valuation import Valuation

from .sampling import BATCH, CountedGame, enough, generator


def estimate(game: Game, *, budget: int = 2048, seed: int = 0, tolerance: float = 0.05) -> Valuation:
    """Mean gain v(S and i) - v(S) over orders of arrival, S being who came before i.

    Every order and its reverse are one sample of 2 (n - 1) coalitions, beside the empty and the full one, which are
    asked for once.  The values add up to v(all) - v(nobody) exactly, and their errors are the standard error of the
    mean over samples.

    budget: coalitions that may be asked for; at least two samples.  tolerance: see `Valuation.converged`: no error
    above this share of the output's root mean square.
    Source: Castro et al. 2009, "Polynomial calculation of the Shapley value based on sampling"; reverse orders as in
    Mitchell et al., "Sampling permutations for Shapley value estimation" (arXiv 2104.12199).
    """
    n = game.n_players
    each = 2 * (n - 1)
    enough(
        budget, 2 + 2 * each, "permutation", f"{n} players need two orders and their reverses, for an error"
    )
    counted = CountedGame(game)
    ends = counted(torch.tensor([[False], [True]], device=counted.device).expand(2, n))
    if n == 1:
        return counted.valuation(ends[1:] - ends[:1])
    samples = (budget - 2) // each
    source = generator(seed)
    shape = (n, ends.shape[1])
    total, squares = (torch.zeros(shape, dtype=ends.dtype, device=ends.device) for _ in range(2))
    origin = ends[1:] - ends[:1]  # squares are taken about the even share, against cancellation
    left = samples
    while left:
        now = min(left, max(1, BATCH // each))
        left -= now
        orders = torch.stack([torch.randperm(n, generator=source) for _ in range(now)]).to(counted.device)
        both = torch.stack([orders, orders.flip(1)], dim=1)  # [now, 2, n]
        gains = _gains(counted, both.flatten(0, 1), ends).view(now, 2, *shape).mean(1) - origin / n
        total += gains.sum(0)
        squares += gains.square().sum(0)
    mean = total / samples
    variance = (squares / samples - mean.square()).clamp_min(0) / (samples - 1)
    return counted.valuation(mean + origin / n, variance.sqrt(), tolerance=tolerance)


def _gains(counted: CountedGame, orders: Tensor, ends: Tensor) -> Tensor:
    """What every player adds on arrival, `[n_orders, n_players, n_outputs]`, for orders `[n_orders, n_players]`."""
    n_orders, n = orders.shape
    arrival = orders.argsort(dim=1)
    step = torch.arange(1, n, device=orders.device)
    masks = arrival.unsqueeze(1) < step.view(1, -1, 1)  # after each step but the last
    between = counted(masks.flatten(0, 1)).view(n_orders, n - 1, -1)
    first, last = (end.expand(n_orders, 1, -1) for end in ends)
    gains = torch.cat([first, between, last], dim=1).diff(dim=1)
    return gains.gather(1, arrival.unsqueeze(2).expand(-1, -1, gains.shape[2]))

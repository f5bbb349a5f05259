"""Shapley values as an integral over the probability of joining, at Gauss-Legendre nodes."""

from __future__ import annotations

import numpy as np

from burnish.enhancers.shapley.games import Game
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError

from .bernoulli import Node, estimated, smallest
from .sampling import CountedGame, enough, generator
from .surrogate import Surrogate

#: Nodes at most, unless asked for.
MOST_NODES = 32


def estimate(
    game: Game,
    *,
    budget: int = 2048,
    seed: int = 0,
    nodes: int | None = None,
    tolerance: float = 0.05,
    surrogate: Surrogate | None = None,
) -> Valuation:
    """Shapley values: the slope of the multilinear extension along the diagonal, integrated over q from 0 to 1.

    nodes: of the quadrature.  n/2 of them are exact for n players, and are the default up to 32, that is, up to 64
    players; for more, what 32 leave is a bias that no error bar shows (tiny for games that are smooth in q).
    budget: coalitions that may be asked for; the smallest is named when it is too small.
    tolerance: see `permutation.estimate`.
    surrogate: games near this one whose Shapley values are known, such as `surrogate.of_history`; what they tell is
        not sampled.

    Sampling is described in `bernoulli.estimated`; a game that is nearly additive needs few samples.
    Source: Okhrati and Lipani, "A multilinear sampling algorithm to estimate Shapley values" (arXiv 2010.12082);
    Gauss-Legendre nodes, their pairing by complements and the additive part taken out are ours.
    """
    n = game.n_players
    if nodes is not None and nodes < 1:
        raise ConfigurationError(f"nodes = {nodes}; give at least 1, or None for as many as are exact")
    count = nodes if nodes is not None else max(1, min((n + 1) // 2, MOST_NODES))
    places = _quadrature(count)
    enough(
        budget - (0 if surrogate is None else 2),
        smallest(places),
        "multilinear",
        f"{count} nodes need two samples in each half, for every player to be in and out and for an error "
        "(fewer nodes need less)",
    )
    counted = CountedGame(game)
    values, error = estimated(counted, places, budget, generator(seed), surrogate)
    return counted.valuation(values, error, tolerance=tolerance)


def _quadrature(count: int) -> list[Node]:
    """Nodes on [0, 1/2], each with its mirror image, whose weight is the same; the middle one is its own."""
    where, weights = np.polynomial.legendre.leggauss(count)
    half = [Node((1 + x) / 2, w / 2) for x, w in zip(where, weights, strict=True) if x < -1e-12]
    # Each pair of coalitions gives the slopes at q and 1 - q; in the middle that is twice the same one.
    return half + ([Node(0.5, weights[count // 2] / 4)] if count % 2 else [])

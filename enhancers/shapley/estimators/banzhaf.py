"""Banzhaf values: what a player adds to a coalition that everyone else joins by the toss of a coin."""

from __future__ import annotations

from burnish.enhancers.shapley.games import Game
from burnish.enhancers.shapley.valuation import Valuation

from .bernoulli import Node, estimated, smallest
from .sampling import CountedGame, enough, generator


def estimate(game: Game, *, budget: int = 2048, seed: int = 0, tolerance: float = 0.05) -> Valuation:
    """Banzhaf values: the mean of v(S and i) - v(S) over all S without i, each equally likely.

    They do not add up to v(all) - v(nobody), and are less disturbed by noise in the game than Shapley values.
    budget, tolerance: as in `multilinear.estimate`, with the one node q = 1/2.
    Source: Wang and Jia, "Data Banzhaf" (arXiv 2205.15466), maximum sample reuse; complements and the additive part
    taken out are ours.
    """
    nodes = [Node(0.5, 0.5)]
    enough(
        budget,
        smallest(nodes),
        "banzhaf",
        "each half needs two coalitions and their complements, for an error",
    )
    counted = CountedGame(game)
    values, error = estimated(counted, nodes, budget, generator(seed))
    return counted.valuation(values, error, tolerance=tolerance)

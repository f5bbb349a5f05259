"""Estimators of Shapley values, one a file, each with an explicit budget and a standard error a value.

Each module has `estimate(game, *, budget, seed) -> Valuation`; `estimate(name, game, ...)` here picks one by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from burnish.enhancers.shapley.games import Game
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import unknown_name

from . import banzhaf, enumeration, multilinear, permutation

#: Every estimator by name.
ESTIMATORS: dict[str, Callable[..., Valuation]] = {
    "enumeration": enumeration.estimate,
    "multilinear": multilinear.estimate,
    "permutation": permutation.estimate,
    "banzhaf": banzhaf.estimate,
}


def estimate(name: str, game: Game, **options: Any) -> Valuation:
    """The values of a game by the estimator of this name; `UnknownNameError` for a name that is not there."""
    if name not in ESTIMATORS:
        raise unknown_name("estimator", name, ESTIMATORS)
    return ESTIMATORS[name](game, **options)

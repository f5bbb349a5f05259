"""What the estimators share: evaluation in parts, sums of samples, and the result with its error."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from burnish.enhancers.shapley.games import Game, checked, device_of
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError

#: Coalitions that a game is asked for at once.
BATCH = 8192


@dataclass
class CountedGame:
    """A game, for how many coalitions it was evaluated, and since when."""

    game: Game
    evaluations: int = 0
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        if self.game.n_players < 1:
            raise ConfigurationError("the game has no players, so there is nothing to value")

    @property
    def device(self) -> torch.device:
        return device_of(self.game)

    def __call__(self, masks: Tensor) -> Tensor:
        """Values `[n_masks, n_outputs]` in float64, asked for in parts."""
        self.evaluations += len(masks)
        return torch.cat([checked(self.game, part).double() for part in masks.split(BATCH)])

    def valuation(self, values: Tensor, error: Tensor | None = None, *, tolerance: float = 0.05) -> Valuation:
        """The result; exact where `error` is None, else converged when no error is above `tolerance` of the scale.

        The scale of an output is the root of the mean square of its values.
        """
        error = torch.zeros_like(values) if error is None else error
        scale = values.square().mean(0).sqrt()
        return Valuation(
            values=values,
            standard_error=error,
            evaluations=self.evaluations,
            seconds=time.perf_counter() - self.started,
            converged=bool((error <= tolerance * scale).all()),
            outputs=self.game.outputs,
        )


def enough(budget: int, least: int, estimator: str, why: str) -> None:
    """Raise `ConfigurationError` that names the smallest budget that works."""
    if budget < least:
        raise ConfigurationError(
            f"budget = {budget} is too small for {estimator} of this game: {why}. The smallest that works is {least}."
        )


def generator(seed: int) -> torch.Generator:
    """A stream of its own, on the CPU so that every device sees the same masks."""
    return torch.Generator().manual_seed(seed)

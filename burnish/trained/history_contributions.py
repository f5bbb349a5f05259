"""What the items of one user's history add to one score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor


@dataclass(frozen=True, eq=False)
class HistoryContributions:
    """Signed contributions of a history to the score of one item; ids are internal.

    history: `[n]`, the players, never the item itself.  values, standard_error: `[n]`, in units of the score; errors
    are 0 where exact.  base, whole: the game's value of nobody and of everybody, between which the values add up.
    exact: whether values are no estimates.  budget: coalitions that were asked for; None for a closed form.
    """

    history: np.ndarray
    values: np.ndarray
    standard_error: np.ndarray
    base: float
    whole: float
    exact: bool
    budget: int | None = None


class HistoryScorer(Protocol):
    """A game over a user's history, for one kind of models: contributions, and scores of histories with masks.

    method: in two words.  about: a sentence for readers of reasons.
    """

    method: str

    @property
    def about(self) -> str: ...

    def history(self, user: int, item: int) -> Tensor:
        """The players `[n]` of this recommendation."""
        ...

    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """The game's values `[n_masks, n_items]` for masks `[n_masks, n]` of the history, True where an item stays."""
        ...

    def contributions(self, user: int, items: Sequence[int]) -> list[HistoryContributions | None]:
        """For each item; None where there is no history."""
        ...

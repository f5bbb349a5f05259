"""What the items of one user's history add to one score, or to its lead over the average item's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from burnish.errors import unknown_name

#: What contributions are of.  `score`: the model's score of the item.  `standing`: that less the mean score of what can
#: be recommended to the user, so that what raises all scores alike is no reason.
WORTH = ("score", "standing")
#: What they are of unless told otherwise, see docs/explain.md.
DEFAULT = "score"


def worth_of(given: str | None) -> str:
    """One of `WORTH`: what is given, or the default.  Raises `UnknownNameError` for anything else."""
    if given is not None and given not in WORTH:
        raise unknown_name("what reasons are of (of)", given, WORTH)
    return DEFAULT if given is None else given


@dataclass(frozen=True, eq=False)
class HistoryContributions:
    """Signed contributions of a history to the score or standing of one item; ids are internal.

    history: `[n]`, the players, never the item itself.  values, standard_error: `[n]`, in units of the score; errors
    are 0 where exact.  base, whole: the game's value of nobody and of everybody, between which the values add up.
    average: of a standing, the model's own mean score that it is a lead over; 0 of a score.
    attributes, by_attribute: where values have parts by what items are scored on, the names and `[n, m]`; the rest of a
    value is about no attribute.
    exact: whether values are no estimates.  budget: coalitions that were asked for; None for a closed form.
    """

    history: np.ndarray
    values: np.ndarray
    standard_error: np.ndarray
    base: float
    whole: float
    exact: bool
    budget: int | None = None
    average: float = 0.0
    attributes: tuple[str, ...] = ()
    by_attribute: np.ndarray | None = None


class HistoryScorer(Protocol):
    """A game over a user's history, for one kind of models: contributions, and scores of histories with masks.

    method: in two words.  of: one of `WORTH`.  about: a sentence for readers of reasons.
    """

    method: str
    of: str

    @property
    def about(self) -> str: ...

    @property
    def tells_attributes(self) -> bool:
        """Whether contributions have parts by attribute."""
        ...

    def history(self, user: int, item: int) -> Tensor:
        """The players `[n]` of this recommendation."""
        ...

    def scores(self, user: int, items: Sequence[int], masks: Tensor) -> Tensor:
        """The game's scores `[n_masks, n_items]`, whatever `of` is, for masks `[n_masks, n]`, True for what stays."""
        ...

    def contributions(self, user: int, items: Sequence[int]) -> list[HistoryContributions | None]:
        """For each item; None where there is no history."""
        ...

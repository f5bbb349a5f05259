"""How sure a model with Gaussians is of an item and of a user, by the spreads: reasons beside those that say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from burnish.enhancers.anatomy.table import Side
from burnish.explanation import Reason

#: What the reasons are, for their readers.
ABOUT = (
    "How sure the model is of an item or a user is the rank of its Gaussian's spread among all that were seen in "
    "training; it is no probability."
)


def spread_reasons(
    spread_of: Callable[[Side], Tensor | None],
    counts: dict[Side, Tensor],
    user: int,
    item: int,
    apart: float | None = None,
) -> list[Reason] | None:
    """Reasons of kind `uncertainty`: one of the item, one of the user, and what their spreads take from the score.

    spread_of: of a side, `[n]`, padding included; None where it has none.  counts: training interactions, `[n]` a side.
    apart: the squared distance of both spreads, where it is a part of the score (`-W2^2`); it is the one contribution
    that is not 0, and the score less it is the means' part.
    None where there are no spreads, or all are equal and nothing is taken.
    """
    reasons = []
    if apart is not None:
        text = "The model is not as sure of you as of it, or the other way round, which takes from the score."
        reasons.append(Reason("uncertainty", text, -apart, {"about": "pair", "rest_of_score": True}, 0.0))
    sides: tuple[tuple[Side, int], ...] = (("item", item), ("user", user))
    for side, number in sides:
        spread = spread_of(side)
        found = None if spread is None else _sure(side, number, spread, counts[side])
        reasons += [] if found is None else [found]
    return reasons or None


def _sure(side: Side, number: int, spread: Tensor, counts: Tensor) -> Reason | None:
    """Where a spread stands among those of the ids that were seen; None where all are equal."""
    seen = counts > 0
    seen[0] = False
    others, own = spread[seen], spread[number]
    if not len(others):
        return None
    smaller, larger = (float(one.double().mean()) for one in (others < own, others > own))
    if not smaller and not larger:
        return None
    n = int(counts[number])
    share, word = (smaller, "less sure") if smaller >= larger else (larger, "surer")
    than = f"than of {int(100 * share)}% of {side}s"
    if side == "item":
        text = f"The model is {word} of it {than}; it was chosen {_times(n)}."
    else:
        text = f"The model is {word} of you {than}; it knows {n} choice{'' if n == 1 else 's'} of yours."
    evidence: dict[str, Any] = {
        "about": side,
        "spread": float(own),
        "less_sure_than": smaller,
        "surer_than": larger,
        "interactions": n,
    }
    return Reason("uncertainty", text, 0.0, evidence, 0.0)


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")

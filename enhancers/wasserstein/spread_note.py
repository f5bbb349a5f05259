"""What spreads say, in a sentence: how they go with how often ids were seen."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from burnish.enhancers.anatomy.table import Side


def spread_note(
    spread_of: Callable[[Side], Tensor | None], n_by_user: Tensor, n_by_item: Tensor
) -> str | None:
    """What `status` says of an enhancer with spreads, padding included in each; None where it has none."""
    sides: tuple[tuple[str, Side, Tensor], ...] = (
        ("users", "user", n_by_user),
        ("items", "item", n_by_item),
    )
    parts = []
    for name, side, counts in sides:
        spread = spread_of(side)
        if spread is not None:
            parts.append(spreads_by_count(name, spread[1:], counts[1:]))
    return "; ".join(filter(None, parts)) or None


def spreads_by_count(name: str, spread: Tensor, counts: Tensor) -> str | None:
    """A sentence on spreads `[n]` and training interactions `[n]`, of the ids that have any; None for fewer than 2.

    name: of the ids, in the plural.
    """
    seen = counts > 0
    spread, counts = spread[seen].double().cpu(), counts[seen].double().cpu()
    if len(spread) < 2:
        return None
    order = torch.argsort(counts, stable=True)
    part = max(1, len(order) // 10)
    few, many = float(spread[order[:part]].mean()), float(spread[order[-part:]].mean())
    together = rank_correlation(spread, counts)
    shown = "none" if together is None else f"{together:.2f}"
    return (
        f"spread of {name}: {few:.3g} in the tenth with the fewest interactions, {many:.3g} in that with the most "
        f"(rank correlation with interactions: {shown})"
    )


def rank_correlation(x: Tensor, y: Tensor) -> float | None:
    """Spearman's correlation of two `[n]`, ties at their mean rank; None where one of them does not vary."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    length = float((a.square().sum() * b.square().sum()).sqrt())
    return float(a @ b) / length if length > 0 else None


def _ranks(values: Tensor) -> Tensor:
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts.double() - 1) / 2)[place]

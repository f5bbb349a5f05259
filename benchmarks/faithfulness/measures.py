"""Measures of one order of a history for one recommendation: what happens when its front or its end is masked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.benchmarks.harness.faithful import WARNING

from .standing import Masks, Recommendation

#: Random orders of which the protocol that flatters takes the best: as many as SPINRec's.
DRAWS = 11
#: How many items are masked or kept, one measure each.
LENGTHS = (1, 2, 3, 4, 5)
#: A recommendation is what is among so many.
TOP = 10
#: Shares of the history along the curves, ends included.
STEPS = tuple(step / 10 for step in range(11))
#: Shares over which comprehensiveness and sufficiency are averaged: those of DeYoung et al. (2020).
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Measure:
    """A figure over an order of the history.  larger: whether larger is better.  says: what it is, in short."""

    name: str
    larger: bool
    says: str
    lengths: bool = True


MEASURES = {
    one.name: one
    for one in (
        Measure("DEL", True, "drop of the item's standing when the k strongest reasons are masked"),
        Measure("INS", True, "standing by the k strongest reasons alone, above the empty history's"),
        Measure("POS", True, f"share of users whose item leaves the top {TOP} without the k strongest"),
        Measure("NEG", True, f"share of users whose item stays in the top {TOP} without the k weakest"),
        Measure("CDCG", False, "1 / log2(1 + rank) without the k strongest reasons"),
        Measure(
            "MOVE", True, "how far the score moves, up or down, without the k strongest, in its own units"
        ),
        Measure("DEL curve", True, "mean drop along 0 to 100% of the history, strongest masked first", False),
        Measure("INS curve", True, "mean gain along 0 to 100% of the history, strongest kept first", False),
        Measure("comprehensiveness", True, "mean drop without the strongest 1, 5, 10, 20 and 50%", False),
        Measure("sufficiency", False, "mean drop by the strongest 1, 5, 10, 20 and 50% alone", False),
    )
}


def in_order(values: NDArray[np.float64], seed: Sequence[int]) -> NDArray[np.int64]:
    """Places of a history `[n]`, the largest value first; equal ones in an order drawn at random."""
    drawn = np.random.default_rng(list(seed)).permutation(len(values))
    return drawn[np.argsort(-values[drawn], kind="stable")]


def first_masked(order: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """The mask without the first k of an order (all where there are fewer)."""
    mask = np.ones(len(order), bool)
    mask[order[:k]] = False
    return mask


def count_of(share: float, n: int) -> int:
    """How many items a share of a history of n stands for: rounded up, so that 1% is one item at least."""
    return min(n, math.ceil(share * n - 1e-9))


def masks_of(order: NDArray[np.int64]) -> Masks:
    """All masks that `measure` asks for, so that they can be asked for at once."""
    n = len(order)
    counts = {*LENGTHS, *(count_of(share, n) for share in (*STEPS, *SHARES))}
    cut = [first_masked(order, k) for k in sorted(counts)]
    weakest = [first_masked(order[::-1], k) for k in LENGTHS]
    return np.stack([*cut, *(~mask for mask in cut), *weakest])


def measure(
    recommendation: Recommendation, order: NDArray[np.int64], *, moved: bool = False
) -> dict[tuple[str, int], float]:
    """Every measure of one order, by name and k (0 where there is none); moved: MOVE too.

    POS and NEG are NaN for an item that the game itself has below the top `TOP` by the whole history (that of models
    that read no history may): it cannot leave.  For a history of fewer than k items, all of it is masked or kept.
    """
    n = len(order)
    recommendation.ask(masks_of(order))
    whole, empty = np.ones(n, bool), np.zeros(n, bool)
    ends = recommendation.ask(np.stack([whole, empty]))
    full, nothing = ends.standing
    listed = bool(ends.rank[0] <= TOP)

    def cut(counts: Sequence[int]) -> Masks:
        return np.stack([first_masked(order, k) for k in counts])

    without, alone = recommendation.ask(cut(LENGTHS)), recommendation.ask(~cut(LENGTHS))
    weakest = recommendation.ask(np.stack([first_masked(order[::-1], k) for k in LENGTHS]))
    found: dict[tuple[str, int], float] = {}
    for place, k in enumerate(LENGTHS):
        found["DEL", k] = full - without.standing[place]
        found["INS", k] = alone.standing[place] - nothing
        found["POS", k] = float(without.rank[place] > TOP) if listed else math.nan
        found["NEG", k] = float(weakest.rank[place] <= TOP) if listed else math.nan
        found["CDCG", k] = 1 / math.log2(1 + without.rank[place])
        if moved:
            found["MOVE", k] = abs(float(without.score[place] - ends.score[0]))
    deletion, insertion = curves(recommendation, order)
    found["DEL curve", 0] = _area(deletion)
    found["INS curve", 0] = _area(insertion)
    parts = cut([count_of(share, n) for share in SHARES])
    found["comprehensiveness", 0] = float((full - recommendation.ask(parts).standing).mean())
    found["sufficiency", 0] = float((full - recommendation.ask(~parts).standing).mean())
    return found


def curves(
    recommendation: Recommendation, order: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Drops when the strongest shares `STEPS` are masked, and gains above the empty history when they alone stay."""
    n = len(order)
    ends = recommendation.ask(np.stack([np.ones(n, bool), np.zeros(n, bool)])).standing
    cut = np.stack([first_masked(order, count_of(share, n)) for share in STEPS])
    return ends[0] - recommendation.ask(cut).standing, recommendation.ask(~cut).standing - ends[1]


def _area(heights: NDArray[np.float64]) -> float:
    """Under a curve over 0 to 1 in equal steps, by trapezoids."""
    return float((heights.sum() - (heights[0] + heights[-1]) / 2) / (len(heights) - 1))


def best_of(
    recommendation: Recommendation, draws: int, seed: Sequence[int], *, moved: bool = False
) -> dict[tuple[str, int], float]:
    """What the best of several random orders scores where each measure chooses its own: a protocol that flatters."""
    rng = np.random.default_rng(list(seed))
    orders = [rng.permutation(len(recommendation)) for _ in range(draws)]
    recommendation.ask(np.concatenate([masks_of(order) for order in orders]))
    each = [measure(recommendation, order, moved=moved) for order in orders]
    return {key: (max if MEASURES[key[0]].larger else min)(one[key] for one in each) for key in each[0]}


def rows_of(
    recommendation: Recommendation,
    ranked: Mapping[str, NDArray[np.int64]],
    head: Mapping[str, Any],
    seed: int,
    *,
    moved: bool = False,
) -> list[dict[str, Any]]:
    """Every figure of every sort of reasons for one recommendation, and of the protocol that flatters, a row each.

    ranked: their orders.  head: what all rows have.  moved: see `measure`.
    """
    recommendation.ask(np.concatenate([masks_of(order) for order in ranked.values()]))
    found = {name: measure(recommendation, order, moved=moved) for name, order in ranked.items()}
    found[WARNING] = best_of(recommendation, DRAWS, (seed, recommendation.user, 3), moved=moved)
    return [
        {**head, "reasons": name, "measure": which, "k": k, "value": value}
        for name, values in found.items()
        for (which, k), value in values.items()
    ]

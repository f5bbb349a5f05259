"""DCG, hits and their like from the places of test items, for many users at once, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .cases import IntArray
from .scale import FloatArray


class Order(Protocol):
    """Where test pairs stand in the list of their user."""

    def discounts(self, k: int) -> FloatArray:
        """1 / log2(place + 1) for places up to k, else 0: `[t]`; or its expectation."""

    def hits(self, k: int) -> FloatArray:
        """1 for places up to k, else 0: `[t]`; or its expectation."""


@dataclass(frozen=True)
class Ranked:
    """An order that a scorer made.  places: from 1, `[t]`."""

    places: IntArray

    def discounts(self, k: int) -> FloatArray:
        """See `Order`."""
        return self.hits(k) / np.log2(self.places + 1.0)

    def hits(self, k: int) -> FloatArray:
        """See `Order`."""
        return (self.places <= k).astype(np.float64)


@dataclass(frozen=True)
class AtRandom:
    """All orders with equal probability: the expectations, exact.  n: length of each pair's list, `[t]`."""

    n: IntArray

    def discounts(self, k: int) -> FloatArray:
        """See `Order`: the sum of the first min(k, n) discounts over n."""
        sums = np.cumsum(1 / np.log2(np.arange(k) + 2.0))
        return np.asarray(sums[np.minimum(k, self.n) - 1] / self.n, dtype=np.float64)

    def hits(self, k: int) -> FloatArray:
        """See `Order`: min(k, n) / n."""
        return np.asarray(np.minimum(k, self.n) / self.n, dtype=np.float64)


def per_user(owner: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sums by owner: `[t]` values of owners 0 to n - 1 to `[n]`."""
    return np.asarray(np.bincount(owner, weights=values, minlength=n), dtype=np.float64)


def ideal(owner: IntArray, gains: FloatArray, n: int, k: int | None) -> FloatArray:
    """The DCG of the best order of each owner's gains, cut at k (None: not cut), `[n]`."""
    order = np.lexsort((-gains, owner))
    sorted_owner = owner[order]
    first = np.searchsorted(sorted_owner, np.arange(n))
    place = np.arange(len(owner)) - first[sorted_owner] + 1
    weights = gains[order] / np.log2(place + 1.0)
    return per_user(sorted_owner, weights if k is None else weights * (place <= k), n)


def ndcg(
    owner: IntArray, gains: FloatArray, order: Order, n: int, k: int, *, full_ideal: bool = False
) -> FloatArray:
    """NDCG@k of n users, NaN for those without any gain.

    owner: whose pair it is, from 0, `[t]`.  gains: not negative, `[t]`; other candidates have none.
    full_ideal: divide by the ideal of all the user's pairs, not of the best k.
    """
    return _share(
        per_user(owner, gains * order.discounts(k), n), ideal(owner, gains, n, None if full_ideal else k)
    )


def recall(owner: IntArray, relevant: FloatArray, order: Order, n: int, k: int) -> FloatArray:
    """Recall@k of n users, NaN for those without a relevant pair.  relevant: 0 or 1, `[t]`."""
    return _share(per_user(owner, relevant * order.hits(k), n), per_user(owner, relevant, n))


def f1(owner: IntArray, relevant: FloatArray, order: Order, n: int, k: int) -> FloatArray:
    """F1@k of n users, NaN for those without a relevant pair.

    Precision is hits over k and recall hits over relevant pairs, so F1 = 2 hits / (k + relevant).
    """
    of = per_user(owner, relevant, n)
    return np.where(of > 0, 2 * per_user(owner, relevant * order.hits(k), n) / (k + of), np.nan)


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def check_cuts(ks: Sequence[int]) -> None:
    """Raise `ConfigurationError` unless all are whole numbers from 1."""
    from burnish.errors import ConfigurationError

    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigurationError(f"ks: {k!r} is not a length of a list; give whole numbers from 1")

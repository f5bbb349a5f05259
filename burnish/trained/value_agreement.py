"""How far two halves of the users agree on what interactions are worth: whether the data suffice to value them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import linalg, sparse
from torch import Tensor

from burnish.enhancers.shapley.objectives import standardised

#: Below this, more of the differences between such values within a user is chance than not.
ENOUGH = 0.5
#: Users with fewer interactions say nothing of an order among them.
LEAST = 4
#: How many users are valued, and how large a matrix is inverted, which takes its cube in time.
VALUED, LARGEST = 1000, 3000
#: As in `regression_values`.
RIDGE = 500.0
#: Numbers that are worked on at once.
_CELLS = 1 << 24


@dataclass(frozen=True)
class Agreement:
    """How far two halves of the users agree.

    half: the correlation, within users, of the values by one half and by the other.  times: how many times the users of
    a half all of them are.  users, items, interactions: of the data.
    """

    half: float
    times: float
    users: int
    items: int
    interactions: int

    @property
    def whole(self) -> float:
        """What all users together would have (Spearman, Brown): the share of differences that is no chance, 0 to 1."""
        return self.times * self.half / (1 + (self.times - 1) * self.half) if self.half > 0 else 0.0

    @property
    def enough(self) -> bool:
        """Whether values mean much."""
        return self.whole >= ENOUGH

    def __str__(self) -> str:
        return (
            f"two halves of the users agree on what interactions are worth by {self.half:.2f} (correlation within "
            f"users), so that about {self.whole:.0%} of the differences between values by all of them are no chance"
        )

    def warning(self) -> str:
        """What to say where it is not enough."""
        return (
            f"{self.interactions:,} interactions of {self.users:,} users with {self.items:,} items are too few for "
            f"their values to mean much: {self}. Small standard errors do not help, as they speak of what is drawn "
            f"(docs/values.md)"
        )


def agreement(users: Tensor, items: Tensor, *, seed: int = 0) -> Agreement | None:
    """How far two halves of the users agree on the values of interactions.

    The users are dealt into two halves.  The regression of items on each other (`regression_values`) is fitted to each
    half alone, and both value the same interactions; the result is the correlation of the two, values standardised
    within users.  In data without any pattern it is 0, however small standard errors are.  No trained model takes part:
    it has seen both halves, and would agree with itself.

    Parameters
    ----------
    users, items
        `[n]`, numbers of the interactions' users and items; equal pairs count once.
    seed
        Decides the halves, and which users are valued.

    Returns
    -------
    Agreement or None
        None without two users who have `LEAST` different items.

    References
    ----------
    Split-half reliability, and what follows for the whole: Spearman (1910), Brown (1910).  As a judge of values: ours.
    """
    pairs = torch.unique(torch.stack([users.cpu(), items.cpu()]), dim=1)
    user, item = (torch.unique(side, return_inverse=True)[1].numpy() for side in pairs)
    known = sparse.csr_array((np.ones(len(user)), (user, item)))
    n_users, n_items = known.shape
    telling = np.flatnonzero(np.bincount(user) >= LEAST)
    if len(telling) < 2:
        return None
    draw = np.random.default_rng(seed)
    size = n_users // 2 if n_items <= LARGEST else min(n_users // 2, LARGEST)
    order = draw.permutation(n_users)
    valued = known[np.sort(draw.permutation(telling)[:VALUED])].tocsr()
    by_half = [
        values_by(known[np.sort(half)].tocsr(), valued) for half in (order[:size], order[size : 2 * size])
    ]
    whose = torch.from_numpy(np.repeat(np.arange(valued.shape[0]), np.diff(valued.indptr)))
    first, second = (standardised(torch.from_numpy(values), whose) for values in by_half)
    return Agreement(float((first * second).mean()), n_users / size, n_users, n_items, len(users))


def values_by(known: Any, valued: Any, ridge: float = RIDGE) -> np.ndarray:
    """The values `[n]` of `valued`'s interactions in the order of its rows, by the regression on `known`'s users.

    known, valued: sparse matrices of users by items with ones.  With P = (R'R + ridge)^-1 the weight from item j to
    item k is -P_jk / P_kk, and a value the sum of the weights to the user's other items.  The smaller of R'R and RR' is
    inverted: P = (1 - R' (RR' + ridge)^-1 R) / ridge.
    """
    n_users, n_items = known.shape
    if n_items <= n_users:
        inverse = _inverse(known.T @ known, ridge)
        diagonal = inverse.diagonal()
    else:
        inner = _inverse(known @ known.T, ridge)
        columns = known.T.tocsr()
        explained = np.zeros(n_items)
        for block in _slices(n_items, n_users):
            part = columns[block]
            explained[block] = np.asarray(part.multiply(part @ inner).sum(axis=1)).ravel()
        diagonal = (1 - explained) / ridge
    scaled = valued.multiply(1 / diagonal).tocsr()
    values = np.empty(valued.nnz)
    for block in _slices(valued.shape[0], n_items):
        rows = scaled[block]
        if n_items <= n_users:
            product = rows @ inverse
        else:
            product = (rows.toarray() - ((rows @ known.T) @ inner) @ known) / ridge
        places = slice(valued.indptr[block.start], valued.indptr[block.stop])
        row = np.repeat(np.arange(rows.shape[0]), np.diff(valued.indptr[block.start : block.stop + 1]))
        values[places] = 1 - np.asarray(product)[row, valued.indices[places]]  # 1: the weight of itself
    return values


def _inverse(gram: Any, ridge: float) -> np.ndarray:
    matrix = gram.toarray()
    matrix[np.diag_indices_from(matrix)] += ridge
    factor = linalg.cho_factor(matrix, overwrite_a=True)
    return linalg.cho_solve(factor, np.eye(len(matrix)))


def _slices(n: int, width: int) -> list[slice]:
    step = max(1, _CELLS // max(width, 1))
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]

"""What stands on the items' side of scores: `scores = left @ side`, where the side is `[width, n_items]`.

The left is what a user is: the items that they know (`Sparse`, width `n_items`) or their row of a table.  Column 0,
padding, of every side is zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from .sparse import Sparse, blocks, blocks_by_cost


class Users(Protocol):
    """What users are made of, `[n_users, width]`: sparse or a table."""

    @property
    def n_users(self) -> int:
        """How many ids of users, padding included."""

    @property
    def device(self) -> torch.device:
        """Where products are computed."""

    @property
    def cost(self) -> int:
        """Entries."""

    def times(self, thin: Tensor, users: slice) -> Tensor:
        """Of a block of users, times `[width, k]`: `[b, k]`."""

    def transposed_times(self, thin: Tensor, users: slice) -> Tensor:
        """Of a block of users, transposed, times `[b, k]`: `[width, k]`."""


class KnownItems:
    """Users as the items that they know."""

    def __init__(self, known: Sparse) -> None:
        self.known = known
        self.n_users, self.device, self.cost = known.shape[0], known.device, int(known.matrix.nnz)
        self._weighted: tuple[Tensor, Sparse] | None = None

    def times(self, thin: Tensor, users: slice) -> Tensor:
        return self.known.times(thin, users)

    def transposed_times(self, thin: Tensor, users: slice) -> Tensor:
        return self.known.transposed_times(thin, users)

    def weighted(self, weights: Tensor) -> Sparse:
        """The same items, each counting as much as `weights` `[n_items, 1]` says."""
        if self._weighted is None or self._weighted[0] is not weights:
            self._weighted = weights, self.known.with_weights(weights[:, 0])
        return self._weighted[1]


class UserRows:
    """Users as rows `[n_users, d]` of a table."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.n_users, self.device, self.cost = len(table), table.device, table.numel()

    def times(self, thin: Tensor, users: slice) -> Tensor:
        return self.table[users] @ thin

    def transposed_times(self, thin: Tensor, users: slice) -> Tensor:
        return self.table[users].T @ thin


class ItemSide(Protocol):
    """`[width, n_items]`, by its products."""

    @property
    def cost(self) -> int:
        """Multiplications of a product with one column."""

    def times(self, thin: Tensor) -> Tensor:
        """Times `[n_items, k]`: `[width, k]`."""

    def transposed_times(self, thin: Tensor) -> Tensor:
        """Transposed, times `[width, k]`: `[n_items, k]`."""

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        """All users in blocks for which `sums` takes at most so much memory."""

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        """Means over items and sums of squared distances from them, of a block of users, in float64: `[b]` each."""


class ItemRows:
    """The rows `[n_items, d]` of a table, transposed; moments by the `d x d` covariance of the rows."""

    def __init__(self, table: Tensor) -> None:
        self.table, self.cost = table, table.numel()
        real = table[1:].double()
        self._mean = real.mean(0)
        centred = real - self._mean
        self._scatter = centred.T @ centred

    def times(self, thin: Tensor) -> Tensor:
        return self.table.T @ thin

    def transposed_times(self, thin: Tensor) -> Tensor:
        return self.table @ thin

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        return blocks(users.n_users, 24 * self.table.shape[1], budget_bytes)

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        assert isinstance(users, UserRows)
        rows = users.table[block].double()
        return rows @ self._mean, ((rows @ self._scatter) * rows).sum(1).clamp(min=0)


class WrittenOut:
    """Nothing: the users' rows are their scores."""

    def __init__(self, n_items: int) -> None:
        self.n_items, self.cost = n_items, 0

    def times(self, thin: Tensor) -> Tensor:
        return thin

    def transposed_times(self, thin: Tensor) -> Tensor:
        return thin

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        return blocks(users.n_users, 8 * self.n_items, budget_bytes)

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        assert isinstance(users, UserRows)
        return _sums(users.table[block].clone())


class Weights:
    """A dense matrix `[n_items, n_items]` of weights from items to items."""

    def __init__(self, weights: Tensor) -> None:
        self.weights, self.cost = weights, weights.numel()

    def times(self, thin: Tensor) -> Tensor:
        return self.weights @ thin

    def transposed_times(self, thin: Tensor) -> Tensor:
        return self.weights.T @ thin

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        return blocks(users.n_users, 16 * len(self.weights), budget_bytes)

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        return _sums(users.times(self.weights, block))


class SparseWeights:
    """A sparse matrix `[n_items, n_items]` of weights from items to items."""

    def __init__(self, weights: Sparse) -> None:
        self.weights, self.cost = weights, int(weights.matrix.nnz)

    def times(self, thin: Tensor) -> Tensor:
        return self.weights.times(thin)

    def transposed_times(self, thin: Tensor) -> Tensor:
        return self.weights.transposed_times(thin)

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        assert isinstance(users, KnownItems)
        # Of a user: as many scores as their items have weights, at most one an item.
        scored = users.known.matrix @ np.diff(self.weights.matrix.indptr)
        return blocks_by_cost(24 * (np.minimum(scored, self.weights.shape[1]) + 1), budget_bytes)

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        assert isinstance(users, KnownItems)
        scores = users.known.matrix[block] @ self.weights.matrix
        count = self.weights.shape[1] - 1
        mean = np.asarray(scores.sum(1, dtype=np.float64)).ravel() / count
        squares = np.asarray(scores.multiply(scores).sum(1, dtype=np.float64)).ravel()
        scatter = np.maximum(squares - count * mean**2, 0)
        return torch.from_numpy(mean).to(users.device), torch.from_numpy(scatter).to(users.device)


class LowRankWeights:
    """`factors @ factors.T / diagonal`, its diagonal taken away: weights from items to items of low rank.

    factors: `[n_items, r]`.  diagonal: `[n_items]`, above 0; column `i` is divided by `diagonal[i]`.
    """

    def __init__(self, factors: Tensor, diagonal: Tensor) -> None:
        self.factors, self.diagonal = factors, diagonal.unsqueeze(1)
        self.cost = 2 * factors.numel()
        self._own = factors.square().sum(1, keepdim=True) / self.diagonal
        self._own_share = self._own / self.diagonal

    def times(self, thin: Tensor) -> Tensor:
        return self.factors @ (self.factors.T @ (thin / self.diagonal)) - self._own * thin

    def transposed_times(self, thin: Tensor) -> Tensor:
        return self.factors @ (self.factors.T @ thin) / self.diagonal - self._own * thin

    def blocks(self, users: Users, budget_bytes: int) -> Iterable[slice]:
        return blocks(users.n_users, 24 * self.factors.shape[1], budget_bytes)

    @cached_property
    def _of_columns(self) -> tuple[Tensor, Tensor]:
        """Sum `[r, 1]` and Gram matrix `[r, r]` of the rows by which columns are made."""
        scaled = self.factors / self.diagonal
        return scaled.sum(0).unsqueeze(1), scaled.T @ scaled

    def sums(self, users: Users, block: slice) -> tuple[Tensor, Tensor]:
        # scores = rows @ (factors / diagonal).T - own, the last where a user knows the item
        assert isinstance(users, KnownItems)
        count = len(self.factors) - 1
        total, gram = self._of_columns
        rows = users.times(self.factors, block)
        own = users.times(torch.cat([self._own, self._own.square()], dim=1), block)
        meeting = users.weighted(self._own_share).times(self.factors, block)
        mean = ((rows @ total)[:, 0] - own[:, 0]).double() / count
        squares = ((rows @ gram) * rows).sum(1, dtype=torch.float64) + own[:, 1]
        squares -= 2 * (rows * meeting).sum(1, dtype=torch.float64)
        return mean, (squares - count * mean.square()).clamp(min=0)


def _sums(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scatter of rows of scores `[b, n_items]`, column 0 left out."""
    real = scores[:, 1:]
    mean = real.mean(1, keepdim=True)
    return mean[:, 0].double(), real.sub_(mean).square_().sum(1, dtype=torch.float64)

"""Scores of all users and items that are never formed: `[n_users, n_items]` by their products with thin matrices.

Id 0 is padding on both sides: its row and column are zero, and means and standard deviations leave it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError

from .item_sides import (
    ItemRows,
    ItemSide,
    KnownItems,
    SparseWeights,
    UserRows,
    Users,
    Weights,
    WrittenOut,
)
from .sparse import Sparse, blocks

#: Working memory of products, beyond what comes in and goes out.
BLOCK_BYTES = 64 * 2**20

#: From a block of users to the rows `[b, k]` of the product for them.
Product = Callable[[slice], Tensor]


class Gathering(Protocol):
    """A product of the transposed scores with `[n_users, k]`, which arrives block by block."""

    def add(self, users: slice, rows: Tensor) -> None:
        """One block, `[b, k]`."""

    def total(self) -> Tensor:
        """The product with all blocks so far: `[n_items, k]`."""


class Scores(Protocol):
    """A matrix `[n_users, n_items]` of scores."""

    n_users: int
    n_items: int
    #: Where products are computed.
    device: torch.device

    @property
    def cost(self) -> int:
        """Multiplications of a product with one column, about; the scores written out have one an entry."""

    def times(self, thin: Tensor) -> Product:
        """The scores times `thin`, `[n_items, k]`: rows `[b, k]` for each block of users that is asked for."""

    def gathering(self) -> Gathering:
        """The transposed scores times `[n_users, k]`, which is given block by block."""

    def rows(self, users: Tensor) -> Tensor:
        """The scores of some users, `[b]` ids, written out: `[b, n_items]`."""

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each user's scores over all items but 0, in float64: `[n_users]` each."""

    def for_users(self, known: Sparse) -> Scores:
        """The scores of other users, from the items that they know: `known` is `[m, n_items]`, no row of it padding.

        Raises `ConfigurationError` where a user is more than the items that they know.
        """

    def for_items(self, known: Sparse) -> Tensor:
        """The scores `[n_users, m]` of new items, from who knows them: `known` is `[m, n_users]`.

        Raises `ConfigurationError` where an item is more than the users who know it.
        """


class Bilinear:
    """Users times the items' side: the scores of two tables, or of weights from the items that a user knows.

    name: what the scores are, in messages.
    new_items: from how often each item is known together with new ones `[n_items, m]`, and how often these are known
        `[m]`, to the weights `[n_items, m]` towards them.
    """

    def __init__(
        self,
        users: Users,
        side: ItemSide,
        n_items: int,
        *,
        name: str,
        new_items: Callable[[Tensor, Tensor], Tensor] | None = None,
        budget_bytes: int = BLOCK_BYTES,
    ) -> None:
        self.users, self.side, self.name = users, side, name
        self.n_users, self.n_items, self.device = users.n_users, n_items, users.device
        self.budget_bytes = budget_bytes
        self._new_items = new_items

    @property
    def cost(self) -> int:
        return self.users.cost + self.side.cost

    def times(self, thin: Tensor) -> Product:
        inner = self.side.times(thin)
        return lambda users: self.users.times(inner, users)

    def gathering(self) -> Gathering:
        return _Gathered(self)

    def rows(self, users: Tensor) -> Tensor:
        if isinstance(self.users, UserRows):
            return self.side.transposed_times(self.users.table[users].T).T
        assert isinstance(self.users, KnownItems)
        theirs = self.users.known.matrix[users.cpu().numpy()]
        if isinstance(self.side, SparseWeights):
            weights = self.side.weights
            return Sparse(theirs @ weights.matrix, weights.device).dense(torch.arange(len(users)))
        if isinstance(self.side, Weights):  # a user knows few of the items
            return Sparse(theirs, self.device).times(self.side.weights)
        return self.side.transposed_times(self.users.known.dense(users).T).T

    @cached_property
    def moments(self) -> tuple[Tensor, Tensor]:
        parts = [
            self.side.sums(self.users, block) for block in self.side.blocks(self.users, self.budget_bytes)
        ]
        mean = torch.cat([part[0] for part in parts])
        deviation = (torch.cat([part[1] for part in parts]) / (self.n_items - 1)).sqrt()
        for moment in (mean, deviation):
            if not bool(torch.isfinite(moment).all()):
                bad = int((~torch.isfinite(moment)).nonzero()[0])
                raise DataError(
                    f"the scores of {self.name} for user {bad} (RecBole's number) are not finite; train that model anew"
                )
        return mean, deviation

    def for_users(self, known: Sparse) -> Bilinear:
        if not isinstance(self.users, KnownItems):
            raise ConfigurationError(
                f"{self.name} scores users by rows that it was trained with, so it has no scores for new users; mix "
                f"teachers that score from the items that a user knows (ease, itemknn)"
            )
        _fitting("known", known.shape[1], self.n_items, "items")
        return Bilinear(
            KnownItems(known),
            self.side,
            self.n_items,
            name=self.name,
            new_items=self._new_items,
            budget_bytes=self.budget_bytes,
        )

    def for_items(self, known: Sparse) -> Tensor:
        if self._new_items is None:
            raise ConfigurationError(
                f"{self.name} scores items by rows that it was trained with, so it has no scores for new items; mix "
                f"teachers that score from who knows an item (ease, itemknn)"
            )
        _fitting("known", known.shape[1], self.n_users, "users")
        who = known.dense(torch.arange(known.shape[0])).T
        everybody = slice(0, self.n_users)
        together = self.users.transposed_times(who, everybody)
        return self.users.times(self._new_items(together, who.sum(0)), everybody)


class _Gathered:
    def __init__(self, scores: Bilinear) -> None:
        self._scores = scores
        self._sum: Tensor | None = None

    def add(self, users: slice, rows: Tensor) -> None:
        part = self._scores.users.transposed_times(rows, users)
        self._sum = part if self._sum is None else self._sum.add_(part)

    def total(self) -> Tensor:
        assert self._sum is not None
        return self._scores.side.transposed_times(self._sum)


class Standardised:
    """Scores minus their user's mean, by their user's standard deviation, over all items but 0.

    So that teachers whose scores have other units can be mixed.  A user whose scores are all the same has zeros.
    """

    def __init__(self, scores: Scores) -> None:
        self.scores = scores
        self.n_users, self.n_items, self.device = scores.n_users, scores.n_items, scores.device

    @cached_property
    def _shift_and_scale(self) -> tuple[Tensor, Tensor]:
        mean, deviation = self.scores.moments
        told_apart = deviation > 1e-6 * mean.abs()
        scale = torch.where(told_apart, 1 / deviation, torch.zeros_like(deviation)).float()
        return mean.float(), scale

    @property
    def cost(self) -> int:
        return self.scores.cost

    def times(self, thin: Tensor) -> Product:
        product, total = self.scores.times(thin), thin[1:].sum(0)
        mean, scale = self._shift_and_scale
        return lambda users: (product(users) - mean[users, None] * total) * scale[users, None]

    def gathering(self) -> Gathering:
        return _StandardisedGathering(self.scores.gathering(), *self._shift_and_scale)

    def rows(self, users: Tensor) -> Tensor:
        mean, scale = self._shift_and_scale
        rows = (self.scores.rows(users) - mean[users, None]) * scale[users, None]
        rows[:, 0] = 0
        return rows

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        _, scale = self._shift_and_scale
        return torch.zeros_like(scale, dtype=torch.float64), (scale > 0).double()

    def for_users(self, known: Sparse) -> Standardised:
        return Standardised(self.scores.for_users(known))

    def for_items(self, known: Sparse) -> Tensor:
        """By the means and deviations over the items that there were."""
        mean, scale = self._shift_and_scale
        return (self.scores.for_items(known) - mean[:, None]) * scale[:, None]


class _StandardisedGathering:
    def __init__(self, inner: Gathering, mean: Tensor, scale: Tensor) -> None:
        self._inner, self._mean, self._scale = inner, mean, scale
        self._shift: Tensor | None = None

    def add(self, users: slice, rows: Tensor) -> None:
        scaled = rows * self._scale[users, None]
        self._inner.add(users, scaled)
        shift = self._mean[users] @ scaled
        self._shift = shift if self._shift is None else self._shift + shift

    def total(self) -> Tensor:
        total = self._inner.total()
        assert self._shift is not None
        total[1:] -= self._shift
        return total


class Mixture:
    """The sum of score matrices, each with its weight.

    Parameters
    ----------
    parts
        The scores, of the same users and items.
    weights
        A finite number each.

    Raises
    ------
    ConfigurationError
        For no parts, another number of weights, or parts of other users or items.
    """

    def __init__(self, parts: Sequence[Scores], weights: Sequence[float]) -> None:
        if not parts or len(parts) != len(weights) or not all(math.isfinite(weight) for weight in weights):
            raise ConfigurationError(
                f"a mixture of {len(parts)} score matrices with weights {list(weights)}; give one finite number each"
            )
        sizes = {(part.n_users, part.n_items) for part in parts}
        if len(sizes) > 1:
            raise ConfigurationError(
                f"a mixture of scores of other (users, items): {sorted(sizes)}; mix teachers of the same data"
            )
        ((self.n_users, self.n_items),) = sizes
        self.parts, self.weights, self.device = list(parts), list(weights), parts[0].device

    @property
    def cost(self) -> int:
        return sum(part.cost for part in self.parts)

    def cheaper(self, budget_bytes: int) -> Scores:
        """The same scores, written out where products then cost less and the memory allows."""
        size = self.n_users * self.n_items
        if size >= self.cost or 4 * size > budget_bytes:
            return self
        scores = torch.empty(self.n_users, self.n_items, device=self.device)
        for block in blocks(self.n_users, 16 * self.n_items, BLOCK_BYTES):
            scores[block] = self.rows(torch.arange(block.start, block.stop, device=self.device))
        return Bilinear(UserRows(scores), WrittenOut(self.n_items), self.n_items, name="the mixture")

    def times(self, thin: Tensor) -> Product:
        products = [part.times(thin) for part in self.parts]
        return lambda users: self._mixed([product(users) for product in products])

    def gathering(self) -> Gathering:
        return _MixedGathering([part.gathering() for part in self.parts], self._mixed)

    def rows(self, users: Tensor) -> Tensor:
        return self._mixed([part.rows(users) for part in self.parts])

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        parts = [
            _row_moments(self.rows(torch.arange(block.start, block.stop)))
            for block in blocks(self.n_users, 16 * self.n_items, BLOCK_BYTES)
        ]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def for_users(self, known: Sparse) -> Mixture:
        return Mixture([part.for_users(known) for part in self.parts], self.weights)

    def for_items(self, known: Sparse) -> Tensor:
        return self._mixed([part.for_items(known) for part in self.parts])

    def _mixed(self, tensors: Sequence[Tensor]) -> Tensor:
        total = self.weights[0] * tensors[0]
        for weight, tensor in zip(self.weights[1:], tensors[1:], strict=True):
            total.add_(tensor, alpha=weight)
        return total


class _MixedGathering:
    def __init__(self, parts: list[Gathering], mixed: Callable[[Sequence[Tensor]], Tensor]) -> None:
        self._parts, self._mixed = parts, mixed

    def add(self, users: slice, rows: Tensor) -> None:
        for part in self._parts:
            part.add(users, rows)

    def total(self) -> Tensor:
        return self._mixed([part.total() for part in self._parts])


def _fitting(name: str, given: int, wanted: int, what: str) -> None:
    if given != wanted:
        raise ConfigurationError(
            f"{name} has {given} columns, and there are {wanted} ids of {what}, padding included; give one column each"
        )


def _row_moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    real = rows[:, 1:].double()
    return real.mean(1), real.std(1, correction=0)


def table_scores(users: Tensor, items: Tensor, *, name: str = "the tables") -> Bilinear:
    """The products of rows of users `[n_users, d]` with rows of items `[n_items, d]`.

    Raises
    ------
    ConfigurationError
        For tables of other widths.
    DataError
        For numbers that are not finite.
    """
    if users.shape[1] != items.shape[1]:
        raise ConfigurationError(
            f"{name}: rows of users are {users.shape[1]} wide and rows of items {items.shape[1]}; give tables whose "
            f"product is the score"
        )
    for side, table in (("users", users), ("items", items)):
        if not bool(torch.isfinite(table).all()):
            raise DataError(
                f"{name}: the table of {side} holds NaN or infinite numbers; train that model anew"
            )
    return Bilinear(UserRows(_unpadded(users)), ItemRows(_unpadded(items)), len(items), name=name)


def _unpadded(table: Tensor) -> Tensor:
    """The table, with row 0 zero."""
    if not bool(table[0].any()):
        return table
    table = table.clone()
    table[0] = 0
    return table

"""The best tables of a width for a matrix of scores: its truncated singular value decomposition, by products alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.checks import whole_number
from burnish.enhancers.teachers.scores import BLOCK_BYTES, Scores
from burnish.enhancers.teachers.sparse import blocks
from burnish.errors import ConfigurationError

#: Passes over the scores, beside the last; and directions beyond those that are wanted.
PASSES = 5
_BEYOND = 32


@dataclass(frozen=True)
class Tables:
    """The leading part of scores as tables: `scores` is close to `users @ items.T`.

    users: `[n_users, d]`, U sqrt(s).  items: `[n_items, d]`, V sqrt(s).  values: `[d]`, s, the largest first.
    In every column the entry of `items` that is farthest from 0 is positive.
    """

    users: Tensor
    items: Tensor
    values: Tensor

    def cut(self, rank: int, width: int | None = None) -> Tables:
        """The best tables of a lower rank, with columns of zeros up to `width`.

        Raises
        ------
        ConfigurationError
            For a rank that is above the number of columns or above `width`.
        """
        width = rank if width is None else width
        if not 1 <= rank <= min(width, len(self.values)):
            raise ConfigurationError(
                f"rank = {rank}; give a whole number from 1 to {min(width, len(self.values))}"
            )
        return Tables(
            *(F.pad(part[..., :rank], (0, width - rank)) for part in (self.users, self.items, self.values))
        )

    def new_users(self, scores: Scores) -> Tensor:
        """Rows `[m, d]` of new users, by projection: `scores V / sqrt(s)`, where V sqrt(s) is `items`.

        scores: of them, made as those that the tables are from (`scores.for_users`): a user's history through the
            teacher's weights, EASE's B, standardised.  A user of the training data gets the row that they have.
        """
        product = scores.times(self.items * _inverse(self.values))
        return product(slice(0, scores.n_users))

    def new_items(self, scores: Tensor) -> Tensor:
        """Rows `[m, d]` of new items, by projection: `scores' U / sqrt(s)`, where U sqrt(s) is `users`.

        scores: `[n_users, m]`, made as those that the tables are from (`scores.for_items`).
        """
        return scores.T @ (self.users * _inverse(self.values))


def truncated_svd(
    scores: Scores,
    width: int,
    *,
    seed: int = 0,
    passes: int = PASSES,
    budget_bytes: int = BLOCK_BYTES,
) -> Tables:
    """The `width` leading singular vectors of scores that are never formed.

    Subspace iteration from random directions of items, on the scores times their transpose, user block by user block:
    what is held are thin matrices of the items' side and the two tables.  The seed decides the directions; a larger
    number of passes tells singular values that are close better apart.  Small matrices are in float64.

    Parameters
    ----------
    scores
        `[n_users, n_items]`; row and column 0, padding, are zero.
    width
        d of the tables, at most as many as there are users or items.
    seed
        Of the directions.
    passes
        Iterations, 1 or more.
    budget_bytes
        Memory of a block of users.

    Raises
    ------
    ConfigurationError
        For a width that the scores do not have.

    References
    ----------
    Halko, Martinsson and Tropp: Finding structure with randomness, SIAM Review 2011, arXiv 0909.4061, algorithm 4.4.
    """
    whole_number("width", width)
    whole_number("passes", passes)
    most = min(scores.n_users, scores.n_items) - 1
    if width > most:
        raise ConfigurationError(
            f"width = {width}, and scores of {scores.n_users - 1} users and {scores.n_items - 1} items have a rank of "
            f"{most} at most; give a width up to {most}"
        )
    size = min(width + max(_BEYOND, width // 2), most)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(scores.n_items, size, generator=generator, dtype=torch.float32).to(scores.device)
    basis[0] = 0
    users = list(blocks(scores.n_users, 16 * size, budget_bytes))
    for _ in range(passes):
        basis = torch.linalg.qr(_squared_times(scores, basis, users)).Q
    product = scores.times(basis)
    gram = torch.zeros(size, size, dtype=torch.float64, device=scores.device)
    for block in users:
        rows = product(block).double()
        gram += rows.T @ rows
    squares, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    squares, vectors = squares.flip(0)[:width], vectors.flip(1)[:, :width]
    values = squares.clamp(min=0).sqrt()
    values = torch.where(values > 1e-5 * values[0], values, torch.zeros_like(values))
    items = basis @ vectors.float()
    items = items * torch.sign(items.gather(0, items.abs().argmax(0, keepdim=True))) * (values > 0)
    items[0] = 0
    product = scores.times(items * _inverse(values.sqrt()))
    table = torch.empty(scores.n_users, width, dtype=torch.float32, device=scores.device)
    for block in users:
        table[block] = product(block)
    return Tables(table, items * values.sqrt().float(), values.float())


def _squared_times(scores: Scores, basis: Tensor, users: list[slice]) -> Tensor:
    """The transposed scores times the scores times `basis`: `[n_items, k]`."""
    product, gathering = scores.times(basis), scores.gathering()
    for block in users:
        gathering.add(block, product(block))
    return gathering.total()


def _inverse(values: Tensor) -> Tensor:
    """One over each, in float32; 0 of 0, so that directions which the scores do not have stay zero."""
    return torch.where(values > 0, 1 / values, torch.zeros_like(values)).float()

"""A factorization machine over the vectors of a user and of an item."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PairMachine(nn.Module):
    """w_0 + w . z + sum over i < j of (v_i . v_j) z_i z_j, where z = [user vector; item vector].

    size: width of each of the two vectors.  n_factors: width of the v.  base: w_0 at the start.

    The part of each side is a number and a vector of `n_factors`; the two vectors' inner product completes the sum, so
    that all pairs of many users and items cost one matrix product.
    Source: Rendle, "Factorization Machines", ICDM 2010.
    """

    def __init__(self, size: int, n_factors: int, base: float) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.tensor(base))
        self.linear = nn.Parameter(torch.zeros(2, size))
        self.factors = nn.Parameter(torch.empty(2, size, n_factors))
        nn.init.normal_(self.linear, std=0.1)
        nn.init.normal_(self.factors, std=0.1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Values of pairs, `[n]`, from vectors `[n, size]` and `[n, size]`."""
        own_user, of_user = self._side(0, users)
        own_item, of_item = self._side(1, items)
        return self.base + own_user + own_item + (of_user * of_item).sum(1)

    def all_pairs(self, users: Tensor, items: Tensor) -> Tensor:
        """Values of every user with every item, `[n, m]`, from vectors `[n, size]` and `[m, size]`."""
        own_user, of_user = self._side(0, users)
        own_item, of_item = self._side(1, items)
        return self.base + own_user.unsqueeze(1) + own_item + of_user @ of_item.T

    def _side(self, side: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
        sums = vectors @ self.factors[side]
        squares = vectors.square() @ self.factors[side].square()
        return vectors @ self.linear[side] + (sums.square() - squares).sum(1) / 2, sums

"""How much higher than the mean users rate, and items are rated, in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Rounds in which the biases of users and of items are each fitted to what the others leave.
ROUNDS = 50


@dataclass(frozen=True)
class Biases:
    """A rating is about mean + b_u + b_i, each b shrunk as if `shrinkage` more ratings had said nothing.

    users: `[n_users]`, items: `[n_items]`; 0 for ids without a rating.
    without_own: for each rating, b_u + b_i where both leave it out and the other side's biases are kept, `[n]`:
        what may be known of a training rating when it is predicted.

    The minimum of squared error plus `shrinkage` times the squared biases, by alternating sums.
    """

    users: Tensor
    items: Tensor
    without_own: Tensor

    @classmethod
    def of(
        cls, users: Tensor, items: Tensor, ratings: Tensor, n_users: int, n_items: int, shrinkage: float
    ) -> Biases:
        """From n ratings.  users, items: ids, `[n]`.  shrinkage: at least 0."""
        values = ratings.double() - ratings.double().mean()
        biases = {"user": values.new_zeros(n_users), "item": values.new_zeros(n_items)}
        sides = (("user", users, "item", items), ("item", items, "user", users))
        without = torch.zeros_like(values)
        for last in [False] * ROUNDS + [True]:
            for side, ids, other, others in sides:
                left = values - biases[other][others]
                sums = torch.zeros_like(biases[side]).index_add(0, ids, left)
                held = torch.bincount(ids, minlength=len(sums)) + shrinkage
                if last:
                    without += (sums[ids] - left) / (held[ids] - 1).clamp(min=1e-9)
                else:
                    biases[side] = sums / held.clamp(min=1e-9)
        return cls(biases["user"].float(), biases["item"].float(), without.float())

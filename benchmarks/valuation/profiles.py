"""The interactions of several users side by side, for what is computed of many users at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Profiles:
    """Interactions of some users.

    rows: `[users, length]`, numbers of interactions, ascending; a shorter user's row ends in zeros.
    real: bool of the same shape, False for those zeros.
    """

    rows: Tensor
    real: Tensor

    @property
    def sizes(self) -> Tensor:
        """How many interactions each user has, `[users]`."""
        return self.real.sum(1)


def profiles(users: Tensor, *, most_users: int, most_cells: int, power: int = 1) -> list[Profiles]:
    """All users in blocks, from few interactions to many, so that little is filled up.

    users: `[n]`, one interaction each, in any order.
    most_users, most_cells: of a block; a user of n interactions has max(n in the block) ** `power` cells.  A user with
        more cells than that is a block of their own.
    """
    order = torch.argsort(users, stable=True)
    counts = torch.unique_consecutive(users[order], return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    by_size = torch.argsort(counts, stable=True)
    sizes = counts[by_size].tolist()
    blocks, first = [], 0
    while first < len(sizes):
        end = first + 1
        while (
            end < len(sizes)
            and end - first < most_users
            and (end + 1 - first) * sizes[end] ** power <= most_cells
        ):
            end += 1
        own = by_size[first:end]
        place = torch.arange(sizes[end - 1], device=users.device)
        real = place < counts[own].unsqueeze(1)
        rows = order[(starts[own].unsqueeze(1) + place).clamp_max(len(order) - 1)]
        blocks.append(Profiles(torch.where(real, rows, 0), real))
        first = end
    return blocks


def in_random_order(real: Tensor, generator: torch.Generator) -> Tensor:
    """For every row its places in a random order, those that are not real last: `[..., length]`.

    Drawn on the CPU, so that a seed gives the same on any device.
    """
    keys = torch.rand(real.shape, generator=generator).to(real.device)
    return keys.masked_fill(~real, 2.0).argsort(dim=-1, stable=True)

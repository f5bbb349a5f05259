"""Controls: the same values, or the same weights, on other interactions."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from .summary import decile_by_item


def permuted_within(users: Tensor, seed: int) -> Tensor:
    """A permutation `[n]` of interactions that keeps each of them with its user, the same for equal seeds.

    `weights[permuted_within(users, seed)]` has the weights of each user, on others of their interactions: the control
    that shows whether values matter, or only that weights are uneven.
    """
    order = torch.argsort(users.cpu(), stable=True)
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(order), generator=generator)
    shuffled = shuffled[torch.argsort(users.cpu()[shuffled], stable=True)]
    permutation = torch.empty_like(order)
    permutation[order] = shuffled
    return permutation.to(users.device)


def matched_by_popularity(users: Tensor, items: Tensor, seed: int) -> Tensor:
    """A permutation `[n]` of interactions that keeps how popular their items are, the same for equal seeds.

    `values[matched_by_popularity(users, items, seed)]` has every value once, on another interaction of like
    popularity: the control that shows whether values say more than how popular an item is.  Bins of popularity are the
    deciles of `decile_by_item`, a tenth of the interactions each.  Where a user has several interactions in a bin,
    values move among these; those of users who have one there move among each other, from user to user.  Within such a
    group they move round in a random order, so that none stays, but for the only one of a bin.
    """
    who, what = users.cpu(), items.cpu()
    deciles = decile_by_item(pd.Series(what.numpy()))
    bins = torch.from_numpy(deciles.loc[what.numpy()].to_numpy().copy())
    most = int(bins.max()) + 1 if len(bins) else 0
    _, cell, sizes = torch.unique(who * most + bins, return_inverse=True, return_counts=True)
    group = torch.where(sizes[cell] > 1, cell, len(sizes) + bins)
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(group), generator=generator)
    order = shuffled[torch.argsort(group[shuffled], stable=True)]
    ends = torch.unique_consecutive(group[order], return_counts=True)[1].cumsum(0)
    following = torch.arange(1, len(order) + 1)
    following[ends - 1] = torch.cat([ends.new_zeros(1), ends])[
        :-1
    ]  # the last of a group is followed by its first
    permutation = torch.empty_like(order)
    permutation[order] = order[following]
    return permutation.to(users.device)

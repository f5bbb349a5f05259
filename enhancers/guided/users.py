"""Where users' attributes start: the shrunk mean of the items of their training history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Fields
from burnish.enhancers.interactions import training_pairs

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def training_items(dataset: Dataset, fields: Fields) -> tuple[Tensor, Tensor]:
    """(users, items), each `[n]`: every positive training interaction once.

    In sequential data a row is a prefix and its target; a user's first item is never a target, so it is taken from
    the prefix of length 1.
    """
    users, items = training_pairs(dataset, fields)
    feat = dataset.inter_feat
    if fields.sequence is None or fields.sequence_length is None or fields.sequence not in feat:
        return users, items
    first = feat[fields.sequence_length] == 1
    users = torch.cat([users, feat[fields.user][first]])
    return users, torch.cat([items, feat[fields.sequence][first][:, 0]])


def mean_of_items(users: Tensor, items: Tensor, guided: Tensor, n_users: int, shrinkage: float) -> Tensor:
    """`[n_users, m]`: sum of the guided rows of a user's items over (their number + shrinkage); 0 for none.

    users, items: `[n]` ids of training interactions.  guided: `[n_items, m]`, standardised, so 0 is an average item
    and shrinkage counts as so many average items.  The free alternative to scores by a language model (ours).
    """
    total = torch.zeros(n_users, guided.shape[1], dtype=torch.float64, device=guided.device)
    total.index_add_(0, users, guided[items].double())
    count = torch.bincount(users, minlength=n_users).double()
    return (total / (count + shrinkage).clamp_min(1e-12).unsqueeze(1)).to(guided.dtype)

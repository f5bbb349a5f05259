"""The training interactions as pairs of ids, for masks and sampling probabilities; and means over groups of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .anatomy.describe import Fields

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def training_pairs(dataset: Dataset, fields: Fields) -> tuple[Tensor, Tensor]:
    """(users, items), each `[n]`: the positive interactions of the training split, as they are drawn."""
    feat = dataset.inter_feat
    users, items = feat[fields.user], feat[fields.item]
    if fields.label is not None and fields.label in feat:
        liked = feat[fields.label] > 0
        users, items = users[liked], items[liked]
    return users, items


def with_first_items(dataset: Dataset, fields: Fields, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs and, for sequential data, those of items that only occur in histories.

    A sequence's first item is never a target; the item before each target covers it.
    """
    feat = dataset.inter_feat
    if fields.sequence is None or fields.sequence_length is None or fields.sequence not in feat:
        return users, items
    last = (feat[fields.sequence_length] - 1).clamp(min=0)
    before = feat[fields.sequence].gather(1, last.unsqueeze(1)).squeeze(1)
    return torch.cat([users, feat[fields.user]]), torch.cat([items, before])


def group_mean(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Means `[n_groups, ...]` of `values` `[n, ...]` by group number `[n]`; 0 for an empty group."""
    sums = values.new_zeros(n_groups, *values.shape[1:]).index_add(0, group, values)
    counts = torch.bincount(group, minlength=n_groups).clamp(min=1).to(values.dtype)
    return sums / counts.view(-1, *[1] * (values.dim() - 1))

"""The training interactions as pairs of ids, for masks, sampling probabilities and means."""

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
    sequences = _sequences(dataset, fields)
    if sequences is None:
        return users, items
    lists, lengths = sequences
    last = (lengths - 1).clamp(min=0)
    before = lists.gather(1, last.unsqueeze(1)).squeeze(1)
    return torch.cat([users, dataset.inter_feat[fields.user]]), torch.cat([items, before])


def training_items(dataset: Dataset, fields: Fields) -> tuple[Tensor, Tensor]:
    """(users, items), each `[n]`: every positive training interaction once.

    In sequential data a row is a prefix and its target; a user's first item is never a target, so it is taken from
    the prefix of length 1.
    """
    users, items = training_pairs(dataset, fields)
    sequences = _sequences(dataset, fields)
    if sequences is None:
        return users, items
    lists, lengths = sequences
    first = lengths == 1
    return torch.cat([users, dataset.inter_feat[fields.user][first]]), torch.cat([items, lists[first][:, 0]])


def _sequences(dataset: Dataset, fields: Fields) -> tuple[Tensor, Tensor] | None:
    """Histories `[n, longest]` and their lengths `[n]` of sequential data; None of other data."""
    feat = dataset.inter_feat
    if fields.sequence is None or fields.sequence_length is None or fields.sequence not in feat:
        return None
    return feat[fields.sequence], feat[fields.sequence_length]

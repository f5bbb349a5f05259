"""The training interactions as pairs of ids, for masks, sampling probabilities and means over groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .anatomy.describe import Fields

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def moved_on(
    columns: Mapping[str, Tensor], *, suffix: str, length_field: str, longest: int
) -> dict[str, Tensor]:
    """Histories with each row's own target at their end: what is known of a user once it has happened.

    Parameters
    ----------
    columns
        Of a sequential data set: the targets `NAME` `[n, ...]`, the histories before them, `NAME` + `suffix`,
        `[n, longest, ...]`, and how many entries of them count, `length_field` `[n]`.
    longest
        How many entries a history has at most; the oldest make room.

    Returns
    -------
    dict
        The histories and their lengths.
    """
    lengths = columns[length_field]
    at, full = torch.arange(len(lengths)), lengths >= longest
    histories = {}
    for name in [name for name in columns if f"{name}{suffix}" in columns]:
        before = columns[f"{name}{suffix}"]
        room = torch.cat([before, torch.zeros_like(before[:, :1])], dim=1)
        room[at, lengths] = columns[name].to(room.dtype)
        shape = (-1, *[1] * (before.dim() - 1))
        histories[f"{name}{suffix}"] = torch.where(full.view(shape), room[:, 1:], room[:, :-1])
    histories[length_field] = torch.clamp(lengths + 1, max=longest)
    return histories


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


def group_mean(values: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Means `[n_groups, ...]` of `values` `[n, ...]` by group number `[n]`; 0 for an empty group."""
    sums = values.new_zeros(n_groups, *values.shape[1:]).index_add(0, group, values)
    counts = torch.bincount(group, minlength=n_groups).clamp(min=1).to(values.dtype)
    return sums / counts.view(-1, *[1] * (values.dim() - 1))

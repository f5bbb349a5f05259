"""Rows of the training matrix of ratings, kept sparse, with the rating that is to be predicted left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RatingVectors(nn.Module):
    """What users gave to items (or items got from users), as input of a layer that has a weight for each of these.

    A rating r is entered as (r - mean) / (high - low), so that 0 says the same of an item that nobody rated and of
    one rated as the average is; the sum is divided by the square root of the number of ratings in it.

    owners, others: interactions, `[n_events]`; ratings: as they are entered.  n: number of owners.
    """

    def __init__(self, owners: Tensor, others: Tensor, values: Tensor, n: int) -> None:
        super().__init__()
        order = owners.argsort(stable=True)
        counts = torch.bincount(owners, minlength=n)
        tensors = {
            "others": others[order],
            "values": values[order],
            "counts": counts,
            "starts": counts.cumsum(0) - counts,
        }
        for name, value in tensors.items():
            # Of the data, not of the model's state.
            self.register_buffer(name, value, persistent=False)
        self.others: Tensor
        self.values: Tensor
        self.counts: Tensor
        self.starts: Tensor

    def forward(self, weight: Tensor, ids: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Products of the vectors of `ids` with a matrix `[n_others, k]`: `[len(ids), k]`.

        hidden: for each id the item (user) whose ratings are left out.
        """
        counts = self.counts[ids]
        starts = counts.cumsum(0) - counts
        row = torch.repeat_interleave(torch.arange(len(ids), device=ids.device), counts)
        at = torch.arange(len(row), device=ids.device) - (starts - self.starts[ids])[row]
        others, values = self.others[at], self.values[at]
        kept = counts
        if hidden is not None:
            keep = others != hidden[row]
            values = values * keep
            kept = torch.zeros_like(counts).index_add(0, row, keep.long())
        sums = nn.functional.embedding_bag(others, weight, starts, mode="sum", per_sample_weights=values)
        return sums / kept.clamp(min=1).sqrt().unsqueeze(1)

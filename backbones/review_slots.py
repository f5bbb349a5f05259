"""Which reviews stand for a user or an item: the newest few of each, as places that a batch can look up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReviewSlots:
    """The newest reviews of every user (item), at most R of each; rows 0 to n - 1, newest first, empty places last.

    events: numbers of the interactions, `[n, R]`, -1 for an empty place.
    others: of a user's reviews the items that they are about, of an item's the users who wrote them, `[n, R]`, 0 for
        an empty place.
    texts: numbers of the texts, `[n, R]`, -1 for an empty place.
    """

    events: Tensor
    others: Tensor
    texts: Tensor

    def kept(self, ids: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Which places of these rows may be read, `[len(ids), R]`.

        hidden: for each row the item (user) whose reviews must not be read: that of the rating to be predicted.
        """
        keep = self.texts[ids] >= 0
        return keep if hidden is None else keep & (self.others[ids] != hidden.unsqueeze(1))


def fill_slots(owners: Tensor, others: Tensor, texts: Tensor, n: int, most: int) -> ReviewSlots:
    """The newest `most` readable reviews of each of `n` owners.

    owners, others, texts: one entry an interaction, in the order of time, `[n_events]`; a text of -1 cannot be read.
    """
    events = (texts >= 0).nonzero()[:, 0]
    # Newest first, then together by owner: a stable sort keeps the order of time within each.
    events = events.flip(0)
    events = events[owners[events].argsort(stable=True)]
    owned = owners[events]
    counts = torch.bincount(owned, minlength=n)
    rank = torch.arange(len(events), device=events.device) - (counts.cumsum(0) - counts)[owned]
    fits = rank < most
    events, at = events[fits], (owned[fits], rank[fits])

    def placed(values: Tensor, empty: int) -> Tensor:
        return torch.full((n, most), empty, device=events.device).index_put(at, values)

    return ReviewSlots(placed(events, -1), placed(others[events], 0), placed(texts[events], -1))

"""Features of the reviews that stand for users or items in a batch, and their mean by attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .review_slots import ReviewSlots
from .text_cnn import TextCNN


@dataclass(frozen=True)
class Reading:
    """The reviews of n users (items), R places each, as features of m different texts.

    features: `[m + 1, filters]`, row 0 zeros.  at: the row of each place, `[n, R]`, 0 for one that is not read.
    others: the item that a user's review is about, the user who wrote an item's, `[n, R]`.
    factors: how much of each place's weight counts, `[n, R]`, from 0 (as if it were not read) to 1; None: all of it.
    """

    features: Tensor
    at: Tensor
    others: Tensor
    factors: Tensor | None = None

    def placed(self, values: Tensor) -> Tensor:
        """Rows of values of the texts, `[m + 1, k]`, at their places, `[n, R, k]`."""
        return functional.embedding(self.at, values)

    def weights(self, logits: Tensor) -> Tensor:
        """The softmax over the places that are read, `[n, R]`; zeros for who has none."""
        read = self.at > 0
        logits = logits.masked_fill(~read, torch.finfo(logits.dtype).min)
        weights = torch.softmax(logits, dim=1) * read
        if self.factors is None:
            return weights
        weights = weights * self.factors
        return weights / weights.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)

    def pooled(self, weights: Tensor) -> Tensor:
        """Features weighted by `[n, R]` and added, `[n, filters]`."""
        return torch.bmm(weights.unsqueeze(1), self.placed(self.features)).squeeze(1)


def read_slots(
    slots: ReviewSlots,
    tokens: Tensor,
    cnn: TextCNN,
    ids: Tensor,
    hidden: Tensor | None = None,
    factors: Tensor | None = None,
) -> Reading:
    """Read the reviews of users (items) `ids`; a text that occurs many times goes through the network once.

    tokens: word pieces of all texts, `[n_texts, length]`.  hidden: see `ReviewSlots.kept`.  factors: see `Reading`.
    """
    keep = slots.kept(ids, hidden)
    distinct, which = slots.texts[ids][keep].unique(return_inverse=True)
    features = cnn(tokens[distinct])
    at = torch.zeros(keep.shape, dtype=torch.long, device=ids.device)
    at[keep] = which + 1
    return Reading(functional.pad(features, (0, 0, 1, 0)), at, slots.others[ids], factors)

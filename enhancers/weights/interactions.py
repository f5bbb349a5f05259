"""Weights of training interactions, carried from rows of the data set to the batches that a loader makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from burnish.enhancers.interactions import group_mean
from burnish.errors import ConfigurationError, UnsupportedError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

#: The column of row numbers that the training interactions get; no feature, so no model reads it.
ROW_FIELD = "burnish_interaction_row"


class TrainingInteractions:
    """The training interactions of one data set, with a number each that loaders bring along.

    Adds the column `ROW_FIELD` to `dataset.inter_feat`, once.  RecBole's models list their features when they are
    built, from the data set's fields, in which the column does not appear.  Sampled negatives keep the number of
    the interaction they were sampled for.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        features = dataset.inter_feat
        self.count = len(features)
        self.device = device
        self.user_field, self.item_field = dataset.uid_field, dataset.iid_field
        self.n_users, self.n_items = int(dataset.user_num), int(dataset.item_num)
        numbers = torch.arange(self.count)
        present = features.interaction.get(ROW_FIELD)
        if present is None or not torch.equal(present, numbers):
            features.interaction[ROW_FIELD] = numbers
        self.users = features[self.user_field].numpy()
        self.items = features[self.item_field].numpy()
        self._owner: Tensor | None = None
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}
        self._history: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def rows(self, batch: Interaction) -> Tensor | None:
        """Row numbers `[B]` of the interactions of a batch; None for a batch of users.

        Raises `UnsupportedError` for a batch of interactions that did not come from this data set.
        """
        if ROW_FIELD in batch.interaction:
            return batch[ROW_FIELD]
        if self.item_field in batch.interaction:
            raise UnsupportedError(
                f"an enhancer weighs training interactions, and this batch has no column {ROW_FIELD!r} that says which "
                f"they are; take batches from the training loader of the data set that the model was built with"
            )
        return None

    def cells(self, weights: Tensor, users: Tensor) -> Tensor:
        """`[B, n_items]`: the weight of each user's interaction with an item, 1 where there was none.

        weights: `[n]`; a changed tensor is a new one (as `Weigher.of_interactions` gives them).
        An item with which a user interacted several times has the mean of their weights.
        """
        items, pairs, filled, pair_of_row = self._lists()
        per_pair = self._mean_by("pair", weights, pair_of_row, len(weights))
        ones = torch.ones(len(users), self.n_items, device=weights.device, dtype=weights.dtype)
        values = torch.where(filled[users], per_pair[pairs[users]], torch.ones_like(per_pair[:1]))
        cells = ones.scatter(1, items[users], values)
        cells[:, 0] = 1.0  # the padding item, where unfilled places went
        return cells

    def of_users(self, weights: Tensor, users: Tensor) -> Tensor:
        """`[B]`: the mean weight of each user's interactions, 1 for a user without any."""
        if self._owner is None:
            self._owner = torch.as_tensor(self.users, device=self.device)
        return self._mean_by("user", weights, self._owner.to(weights.device), self.n_users)[users]

    def _mean_by(self, what: str, weights: Tensor, group: Tensor, n: int) -> Tensor:
        """Means of groups of interactions, 1 for an empty one; kept until other weights come."""
        known = self._kept.get(what)
        if known is None or known[0] is not weights:
            occupied = torch.bincount(group, minlength=n) > 0
            means = torch.where(occupied, group_mean(weights, group, n), 1.0)
            known = self._kept[what] = (weights, means)
        return known[1]

    def _lists(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Each user's distinct items `[n_users, n]`, the numbers of those pairs, and which places are filled."""
        if self._history is None:
            keys = self.users.astype(np.int64) * self.n_items + self.items
            distinct, pair_of_row = np.unique(keys, return_inverse=True)
            owner, item = distinct // self.n_items, distinct % self.n_items
            starts = np.searchsorted(owner, np.arange(self.n_users + 1))
            place = np.arange(len(distinct)) - starts[owner]
            shape = (self.n_users, int(place.max(initial=0)) + 1)
            items, pairs, filled = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool)
            items[owner, place], pairs[owner, place], filled[owner, place] = (
                item,
                np.arange(len(distinct)),
                True,
            )
            self._history = tuple(  # type: ignore[assignment]
                torch.as_tensor(array, device=self.device) for array in (items, pairs, filled, pair_of_row)
            )
        assert self._history is not None
        return self._history


def check_weights(weights: Tensor, count: int, name: str) -> Tensor:
    """The weights `[count]` of training interactions, checked.

    Raises `ConfigurationError` for a wrong shape, a value that is negative or not finite, or a mean far from 1.
    """
    if weights.shape != (count,):
        raise ConfigurationError(
            f"enhancer {name!r}: interaction_weights gave shape {tuple(weights.shape)}; it needs one weight for each "
            f"of the {count} training interactions, in the order of dataset.inter_feat"
        )
    low, mean = float(weights.min()), float(weights.mean())
    if not np.isfinite(low) or not np.isfinite(mean) or low < 0:
        raise ConfigurationError(
            f"enhancer {name!r}: interaction_weights holds a value that is negative or not finite (smallest {low}, "
            f"mean {mean}); give weights of at least 0"
        )
    if abs(mean - 1.0) > 1e-3:
        raise ConfigurationError(
            f"enhancer {name!r}: interaction_weights has mean {mean:.6g}; divide the weights by their mean, so that "
            f"the learning rate keeps its meaning"
        )
    return weights.detach()

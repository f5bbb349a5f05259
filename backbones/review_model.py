"""What review-based models share: the training interactions in the order of time, with their texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from burnish.errors import DataError

from .checks import checked_share
from .rating_model import RatingModel, training_ratings
from .reviews import INTERACTION_ROW, ReviewDataset


class ReviewModel(RatingModel):
    """A `RatingModel` that reads the reviews of the training split, and no other.

    Tensors of the training interactions, called events, in the order of time; n of them, on the model's device:
    event_users, event_items: ids, `[n]`.  event_ratings: `[n]`.
    event_texts: which of `texts` is the event's, -1 for none, `[n]`.
    shown: which events show their text, `[n]`; see `hide_reviews`.
    texts: the different texts of the training split (equal ones once).

    What a batch says of its own ratings and reviews is never read for predictions.
    """

    dataset_class = ReviewDataset

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        if INTERACTION_ROW not in dataset.inter_feat:
            raise DataError(
                f"{type(self).__name__} reads reviews and needs burnish's ReviewDataset; build the data with "
                f"recbole.data.create_dataset or burnish.run, after `import burnish`"
            )
        rows = torch.as_tensor(np.asarray(dataset.inter_feat[INTERACTION_ROW])).long()
        order = torch.from_numpy(np.argsort(dataset.time_rank[rows.numpy()], kind="stable"))
        numbers: dict[str, int] = {}
        every = dataset.training_texts()
        mine = [numbers.setdefault(text, len(numbers)) if text.strip() else -1 for text in every]
        self.texts = list(numbers)
        # Attributes, not parts of the state: they belong to the data, and a checkpoint must not carry them.
        tensors = {
            "event_users": torch.as_tensor(np.asarray(dataset.inter_feat[self.USER_ID])).long()[order],
            "event_items": torch.as_tensor(np.asarray(dataset.inter_feat[self.ITEM_ID])).long()[order],
            "event_ratings": training_ratings(config, dataset)[order],
            "event_texts": torch.tensor(mine, dtype=torch.long)[order],
            "shown": torch.ones(len(rows), dtype=torch.bool),
            "event_of_row": _inverse(rows[order], len(dataset.time_rank)),
        }
        for name, value in tensors.items():
            self.register_buffer(name, value, persistent=False)
        self.event_users: Tensor
        self.event_items: Tensor
        self.event_ratings: Tensor
        self.event_texts: Tensor
        self.shown: Tensor
        self.event_of_row: Tensor

    @property
    def n_events(self) -> int:
        """How many training interactions there are."""
        return len(self.event_users)

    def events_of(self, interaction: Any) -> Tensor:
        """The events that the rows of a training batch are, `[n]`; -1 for a row that is none."""
        if INTERACTION_ROW not in interaction:
            raise DataError(
                f"{type(self).__name__}: the batch has no column {INTERACTION_ROW!r}; train on the loader that RecBole "
                f"makes of its training split"
            )
        return self.event_of_row[interaction[INTERACTION_ROW]]

    def hide_reviews(self, share: float, seed: int = 0) -> None:
        """Go on as if this share of the events with a text had none; 0 shows all again.

        For measuring what missing reviews cost a trained model.
        """
        checked_share("share", share)
        have = (self.event_texts >= 0).nonzero()[:, 0].cpu().numpy()
        hidden = np.random.default_rng([seed, 21]).permutation(have)[: round(share * len(have))]
        self.shown.fill_(True)
        self.shown[torch.from_numpy(hidden).to(self.shown.device)] = False
        self.forget()

    def forget(self) -> None:
        """Drop whatever was computed from parameters and reviews and is kept for predictions."""

    def train(self, mode: bool = True) -> Any:
        """As in torch; what was kept for predictions belongs to former parameters."""
        self.forget()
        return super().train(mode)


def _inverse(rows: Tensor, n: int) -> Tensor:
    """Where each number below `n` stands in `rows`, -1 for those that do not."""
    places = torch.full((n,), -1, dtype=torch.long)
    places[rows] = torch.arange(len(rows))
    return places

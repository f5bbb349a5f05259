"""HRDR: ratings from what the ratings, the reviews and the id of a user and of an item say of them together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checks import whole_number
from .review_attention import Reading
from .slot_model import Side, SlotModel, small_layer

PROPERTIES = Path(__file__).parent / "properties"


class HRDR(SlotModel):
    """Hybrid recommendation with joint deep representations of ratings and reviews, as a native RecBole model.

    A network over the user's rating vector gives m_u.  Each review by the user goes through a convolution (`TextCNN`)
    to features o; its weight is the softmax of `h . relu(W (o * m_u) + b) + c`, m_u being the query.  The weighted sum
    goes through a dense layer to n_u.  [m_u; n_u; e_u], with an embedding e_u of the user's id, meets the item's in
    `w . (P_u * Q_i) + b_u + b_i + mean`.

    Source: Liu, Wang, Peng, Wu, Gan, Pan, Jiao, "Hybrid neural recommendation with joint deep representation learning
    of ratings and reviews", Neurocomputing 374 (2020): the encoder of ratings, the attention with its result as the
    query, the joining with ids.  Ours: the pair's own rating and reviews are left out in training; how ratings are
    entered (`RatingVectors`); two layers for the ratings, the last without ReLU and no batch normalisation; at most
    `max_reviews` newest reviews; the penalties; w starts at ones and the biases where they would end alone; word
    vectors, see `SlotModel`.
    """

    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("rating", "reviews", "encoder", "hrdr"))

    def __init__(self, config: Any, dataset: Any) -> None:
        size = whole_number(config, "embedding_size")
        super().__init__(config, dataset, width=2 * size + whole_number(config, "filters"))
        low, high = self.scale
        values = (self.event_ratings - self.mean) / ((high - low) or 1.0)
        users, items = self.event_users, self.event_items
        hidden, wide = whole_number(config, "rating_hidden_size"), whole_number(config, "attention_size")
        self.rated = nn.ModuleDict(
            {
                "user": RatedEncoder(
                    RatingVectors(users, items, values, self.n_users), self.n_items, hidden, self.filters
                ),
                "item": RatedEncoder(
                    RatingVectors(items, users, values, self.n_items), self.n_users, hidden, self.filters
                ),
            }
        )
        self.informative = nn.ModuleDict({side: Informative(self.filters, wide) for side in ("user", "item")})
        self.dense = nn.ModuleDict({side: small_layer(self.filters, size) for side in ("user", "item")})

    def weights(self, side: Side, ids: Tensor) -> Tensor:
        """The softmax of informativeness over the reviews of users or items, `[n, max_reviews]`."""
        reading = self.read(side, ids)
        return reading.weights(self.informative[side](reading, self.rated[side](ids)))

    def represent(
        self, side: Side, ids: Tensor, hidden: Tensor | None = None, factors: Tensor | None = None
    ) -> Tensor:
        """[m; n] of users or items, `[n, filters + embedding_size]`."""
        rated = self.rated[side](ids, hidden)
        reading = self.read(side, ids, hidden, factors)
        pooled = reading.pooled(reading.weights(self.informative[side](reading, rated)))
        return torch.cat([rated, self.dense[side](self.dropout(pooled))], dim=1)

    def join(self, side: Side, embedded: Tensor, represented: Tensor) -> Tensor:
        """[m; n; e]."""
        return torch.cat([represented, embedded], dim=1)


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


class RatedEncoder(nn.Module):
    """Two layers over rating vectors: `W_2 relu(W_1 r + b_1) + b_2`.

    n: how long the vectors are.
    """

    def __init__(self, vectors: RatingVectors, n: int, hidden: int, size: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.first = nn.Parameter(torch.randn(n, hidden) * 0.1)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.second = small_layer(hidden, size)

    def forward(self, ids: Tensor, hidden: Tensor | None = None) -> Tensor:
        """m of users or items, `[n, size]`; see `RatingVectors.forward`."""
        vectors: Tensor = self.second(torch.relu(self.vectors(self.first, ids, hidden) + self.bias))
        return vectors


class Informative(nn.Module):
    """`h . relu(W (o * m) + b) + c` of reviews, from their features o and the m of who they stand for."""

    def __init__(self, filters: int, wide: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(filters, wide)
        self.output = nn.Linear(wide, 1)

    def forward(self, reading: Reading, rated: Tensor) -> Tensor:
        """A number for each place, `[n, R]`; that of a place which is not read means nothing."""
        both = reading.placed(reading.features) * rated.unsqueeze(1)
        informativeness: Tensor = self.output(torch.relu(self.hidden(both))).squeeze(2)
        return informativeness

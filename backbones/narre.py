"""NARRE: ratings from latent factors and from reviews, each review weighed by how useful it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checks import whole_number
from .review_attention import Reading
from .slot_model import Side, SlotModel, small_layer

PROPERTIES = Path(__file__).parent / "properties"


class NARRE(SlotModel):
    """Neural attentional rating regression with review-level explanations, as a native RecBole model.

    Each review goes through a convolution over its words (`TextCNN`) to features O.  Its weight among the reviews of
    item i is the softmax of `h . relu(W_O O + W_u e + b_1) + b_2`, with e an embedding of the user who wrote it; a
    user's reviews are weighed with embeddings of the items that they are about.  The weighted sum goes through a
    dense layer to Y_i (X_u), and the rating is `W_1 . ((q_u + X_u) * (p_i + Y_i)) + b_u + b_i + mean`.

    Source: Chen, Zhang, Liu, Ma, "Neural attentional rating regression with review-level explanations", WWW 2018.
    Ours: the pair's own reviews are left out in training (the paper has them in); at most `max_reviews` newest ones a
    user and item; the mean rating is the training mean, not a parameter; the penalties; W_1 starts at ones and the
    biases where they would end alone; word vectors, see `SlotModel`.
    """

    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("rating", "reviews", "encoder", "narre"))

    def __init__(self, config: Any, dataset: Any) -> None:
        size = whole_number(config, "embedding_size")
        super().__init__(config, dataset, width=size)
        wide = whole_number(config, "attention_size")
        self.usefulness = nn.ModuleDict(
            {
                "user": Usefulness(self.filters, self.n_items, size, wide),
                "item": Usefulness(self.filters, self.n_users, size, wide),
            }
        )
        self.dense = nn.ModuleDict({side: small_layer(self.filters, size) for side in ("user", "item")})

    def weights(self, side: Side, ids: Tensor) -> Tensor:
        """The softmax of usefulness over the reviews of users or items, `[n, max_reviews]`."""
        reading = self.read(side, ids)
        return reading.weights(self.usefulness[side](reading))

    def represent(
        self, side: Side, ids: Tensor, hidden: Tensor | None = None, factors: Tensor | None = None
    ) -> Tensor:
        """X_u of users or Y_i of items, `[n, embedding_size]`."""
        reading = self.read(side, ids, hidden, factors)
        pooled = reading.pooled(reading.weights(self.usefulness[side](reading)))
        represented: Tensor = self.dense[side](self.dropout(pooled))
        return represented

    def join(self, side: Side, embedded: Tensor, represented: Tensor) -> Tensor:
        """q_u + X_u or p_i + Y_i."""
        return embedded + represented


class Usefulness(nn.Module):
    """`h . relu(W_O O + W_u e + b_1) + b_2` of reviews, from their features and who is at their other end.

    others: how many items (for users' reviews) or users (for items').
    """

    def __init__(self, filters: int, others: int, size: int, wide: int) -> None:
        super().__init__()
        self.other_embedding = nn.Embedding(others, size)
        nn.init.normal_(self.other_embedding.weight, std=0.1)
        self.of_text = nn.Linear(filters, wide)
        self.of_other = nn.Linear(size, wide, bias=False)
        self.output = nn.Linear(wide, 1)

    def forward(self, reading: Reading) -> Tensor:
        """A number for each place, `[n, R]`; that of a place which is not read means nothing."""
        hidden = reading.placed(self.of_text(reading.features))
        hidden = hidden + self.of_other(self.other_embedding(reading.others))
        usefulness: Tensor = self.output(torch.relu(hidden)).squeeze(2)
        return usefulness

"""What an interaction is made of: its review, its rating, and whatever else is known of its user and item.

Every modality gives `[n, size]` vectors of events and says which events it knows nothing of; those are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .pooling import AttentionPooling

if TYPE_CHECKING:
    from burnish.backbones.text.store import TokenStore


class Modality(nn.Module):
    """One part of an interaction.  A subclass gives `forward`."""

    def forward(self, model: Any, events: Tensor) -> Tensor:
        """Vectors of events, `[n, size]`, zero where there is nothing.

        model: the `ReviewModel` whose events they are.  events: numbers of training interactions, `[n]`.
        """
        raise TypeError(f"{type(self).__name__} must define forward(model, events)")


class ReviewModality(Modality):
    """Equations (2) and (3) over the token embeddings of the event's review."""

    def __init__(self, store: TokenStore, size: int) -> None:
        super().__init__()
        self.pooling = AttentionPooling(store.width, size)
        self.size = size
        self._store = (store,)  # in a tuple: data, not a part of the module

    @property
    def store(self) -> TokenStore:
        """The token embeddings of the model's texts."""
        return self._store[0]

    def forward(self, model: Any, events: Tensor) -> Tensor:
        """See `Modality.forward`."""
        texts = torch.where(model.shown[events], model.event_texts[events], -1)
        return pooled(self.pooling, self.store, texts, self.size)


class RatingModality(Modality):
    """A linear map of the one-hot rating.

    levels: upper ends of the classes, see `rating_levels`.
    """

    def __init__(self, levels: Tensor, size: int) -> None:
        super().__init__()
        self.register_buffer("levels", levels, persistent=False)
        self.levels: Tensor
        self.vectors = nn.Embedding(len(levels), size)  # a row a class is the linear map of a one-hot vector
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, model: Any, events: Tensor) -> Tensor:
        """See `Modality.forward`."""
        classes = torch.bucketize(model.event_ratings[events], self.levels).clamp(max=len(self.levels) - 1)
        return self.vectors(classes) + self.bias


class TextOfItems(Modality):
    """Attention over the tokens of what the item file says of the event's item.

    store: token embeddings of one text an item.  texts: which text an item has, -1 for none, `[n_items]`.
    """

    def __init__(self, store: TokenStore, texts: Sequence[int], size: int) -> None:
        super().__init__()
        self.pooling = AttentionPooling(store.width, size)
        self.size = size
        self._store = (store,)
        self.register_buffer("texts", torch.tensor(list(texts), dtype=torch.long), persistent=False)
        self.texts: Tensor

    def forward(self, model: Any, events: Tensor) -> Tensor:
        """See `Modality.forward`."""
        items, back = model.event_items[events].unique(return_inverse=True)
        return pooled(self.pooling, self._store[0], self.texts[items], self.size)[back]


class DenseFeatures(Modality):
    """A linear map of the vectors that are known of the event's user or item, an image's for example.

    vectors: `[n_users or n_items, width]`; a row of zeros is one that nothing is known of.
    """

    def __init__(self, vectors: Tensor, side: str, size: int) -> None:
        super().__init__()
        spread = vectors.std().clamp(min=1e-6)
        self.register_buffer("values", vectors.float() / spread, persistent=False)
        self.values: Tensor
        self.side = side
        self.project = nn.Linear(vectors.shape[1], size)

    def forward(self, model: Any, events: Tensor) -> Tensor:
        """See `Modality.forward`."""
        owners = model.event_items[events] if self.side == "item" else model.event_users[events]
        values = self.values[owners].to(self.project.weight.dtype)
        return self.project(values) * values.any(dim=1, keepdim=True)


def pooled(pooling: AttentionPooling, store: TokenStore, texts: Tensor, size: int) -> Tensor:
    """What attention makes of texts, `[n, size]`; zeros for -1.  texts: numbers of the store's texts, `[n]`."""
    known = (texts >= 0).nonzero()[:, 0]
    summaries = torch.zeros(len(texts), size, device=texts.device, dtype=pooling.attention.dtype)
    if len(known):
        wanted = texts[known]
        if wanted.device.type != "cpu":
            store.hold_where_it_fits(wanted.device)
        vectors = pooling(
            store.take(wanted).to(texts.device, pooling.attention.dtype),
            store.counts(wanted).to(texts.device),
        )
        summaries = summaries.index_copy(0, known, vectors.to(summaries.dtype))
    return summaries

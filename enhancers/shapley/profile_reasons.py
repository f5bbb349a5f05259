"""Which of a user's training items speak for a recommendation, by the closed form of a mean profile's score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.guided.vector_parts import AttributeParts, attribute_evidence
from burnish.enhancers.guided.wording import spoken_words
from burnish.enhancers.interactions import Positives, training_pairs, with_first_items
from burnish.explanation import Reason

from .cross_fit import factors

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


class TrainingHistory(nn.Module):
    """Every user's training items, with their tokens, to explain scores by.

    Of sequential data also the first item of a sequence, which is never a target.
    """

    def __init__(self, dataset: Dataset, anatomy: Anatomy, liked: Positives) -> None:
        super().__init__()
        pairs = training_pairs(dataset, anatomy.fields, liked)
        users, items = with_first_items(dataset, anatomy.fields, *pairs)
        self.register_buffer("users", users, persistent=False)
        self.register_buffer("items", items, persistent=False)
        self.tokens = tuple(str(token) for token in dataset.field2id_token[anatomy.fields.item])

    def items_of(self, user: int, without: int) -> Tensor:
        """The distinct training items of a user, `[n]`, padding and item `without` left out."""
        own = self._buffers["items"][self._buffers["users"] == user]  # type: ignore[index]
        own = own.unique()
        return own[(own != 0) & (own != without)]

    def reasons(
        self, vectors: Tensor, user: int, item: int, by_attribute: AttributeParts | None = None
    ) -> list[Reason] | None:
        """One reason a training item, largest contribution first; None for a user without any.

        vectors: `[n_items, d]`.  Contributions are the exact Shapley values of v(S) = mean of the vectors in S · the
        vector of `item`, v(∅) = 0, and sum to the score by the whole history.  by_attribute: what of the vectors is
        what items are scored on; then each contribution has its parts by attribute in its evidence.
        """
        own = self.items_of(user, without=item)
        if len(own) == 0:
            return None
        target = vectors[item].double()
        values = contributions(vectors[own].double(), target)
        parts = None
        if by_attribute is not None:
            towards = target @ by_attribute.directions
            parts = shares(by_attribute.amounts[own] * towards).tolist()
        score = float(values.sum())
        reasons = []
        for place in values.argsort(descending=True).tolist():
            other, adds = int(own[place]), float(values[place])
            evidence = {"item": self.tokens[other], "item_id": other, "profile_score": score}
            if by_attribute is not None and parts is not None:
                evidence |= attribute_evidence(by_attribute.names, parts[place], adds)
            about = spoken_words(evidence, adds)
            text = (
                f"You chose item {self.tokens[other]}, which speaks {'for' if adds >= 0 else 'against'} "
                f"item {self.tokens[item]}{', ' if about else ''}{about}."
            )
            error = 0.0  # a closed form
            reasons.append(Reason("interaction", text, adds, evidence, error))
        return reasons


def contributions(vectors: Tensor, target: Tensor) -> Tensor:
    """Exact Shapley values `[n]` of vectors `[n, d]` in the score of their mean with `target` `[d]`.

    The vectors are the players, v(S) = mean of x over S with x_i = vector_i · target; see `cross_fit.factors`.
    """
    return shares(vectors @ target)


def shares(scores: Tensor) -> Tensor:
    """Exact Shapley values of the players of v(S) = mean of their scores over S, v(∅) = 0: `[n]`, or by column."""
    own, rest = factors(torch.tensor(len(scores), device=scores.device), dtype=scores.dtype)
    return own * scores - rest * scores.sum(dim=0)

"""EMF: matrix factorization that puts a user near the items which similar users have rated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from burnish.errors import DataError
from burnish.explanation import Reason

from .checks import not_negative, number, whole_number
from .neighbours import mean_of_neighbours, nearest_rows, rating_matrix
from .rating_model import RatingModel, training_ratings

PROPERTIES = Path(__file__).parent / "properties"


class EMF(RatingModel):
    """Explainable matrix factorization, as a native RecBole model: needs ratings and nothing else.

    r = p_u . q_i, learned by J = sum over training ratings of
    (r - p_u . q_i)^2 + beta / 2 (|p_u|^2 + |q_i|^2) + lambda / 2 |p_u - q_i|^2 W_ui.
    W_ui is the mean rating of item i by the k users whose training ratings are most like user u's (cosine), 0 standing
    for those who did not rate it; where it is not above theta, W_ui = 0.

    explainability: W before the threshold is applied, for the pairs of the training split, ascending by
        `user * n_items + item`, `[n_pairs]`.

    Source: Abdollahi and Nasraoui, "Explainable Matrix Factorization for Collaborative Filtering", WWW 2016.
    Ours: embeddings that begin with products near the mean rating (so that their lengths act as biases), the option
    `centre` (r = mean + p_u . q_i), J as a mean over the ratings of a batch, and fewer than k neighbours where fewer
    have a positive similarity (W is then the mean over those).
    """

    options_files = tuple(PROPERTIES / f"{name}.yaml" for name in ("rating", "emf"))

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        size = whole_number(config, "embedding_size")
        self.reg_weight = not_negative(config, "reg_weight")
        self.explain_weight = not_negative(config, "explain_weight")
        self.centre = self.mean if config["centre"] else 0.0
        self.user_embedding = nn.Embedding(self.n_users, size)
        self.item_embedding = nn.Embedding(self.n_items, size)
        # Where nothing is taken off the ratings, every product begins at their mean.
        start = math.sqrt(max(0.0, self.mean - self.centre) / size)
        for table in (self.user_embedding, self.item_embedding):
            nn.init.normal_(table.weight, mean=start, std=0.02)
        self._find_neighbours(config, dataset)

    def _find_neighbours(self, config: Any, dataset: Any) -> None:
        users, items = (np.asarray(dataset.inter_feat[field]) for field in (self.USER_ID, self.ITEM_ID))
        ratings = training_ratings(config, dataset)
        rated = rating_matrix(users, items, ratings, (self.n_users, self.n_items))
        self._near = nearest_rows(rated, whole_number(config, "n_neighbours"))
        self._raters = rated.tocsc()
        self._tokens = [dataset.field2id_token[field] for field in (self.USER_ID, self.ITEM_ID)]
        pairs = np.unique(users * self.n_items + items)
        means = mean_of_neighbours(self._near, rated, pairs // self.n_items, pairs % self.n_items)
        weights = np.where(means > number(config, "explain_threshold"), means, 0)
        # Of the data, not learned: a checkpoint must not carry them.
        for name, value in (("pairs", pairs), ("explainability", means), ("closeness", weights)):
            tensor = torch.from_numpy(value)
            self.register_buffer(name, tensor if name == "pairs" else tensor.float(), persistent=False)
        self.pairs: Tensor
        self.explainability: Tensor
        self.closeness: Tensor

    # ------------------------------------------------------------------ ratings

    def closeness_of(self, users: Tensor, items: Tensor) -> Tensor:
        """W of training pairs, `[n]`; 0 for other pairs."""
        wanted = users * self.n_items + items
        at = torch.searchsorted(self.pairs, wanted).clamp(max=len(self.pairs) - 1)
        return self.closeness[at] * (self.pairs[at] == wanted)

    def calculate_loss(self, interaction: Any) -> Tensor:
        """J, as a mean over the training rows of the batch."""
        users, items = interaction[self.USER_ID], interaction[self.ITEM_ID]
        p, q = self.user_embedding(users), self.item_embedding(items)
        loss = self.rating_error(self.centre + (p * q).sum(1), interaction[self.RATING].float())
        sizes = p.square().sum(1) + q.square().sum(1)
        apart = (p - q).square().sum(1) * self.closeness_of(users, items)
        return loss + self.reg_weight / 2 * sizes.mean() + self.explain_weight / 2 * apart.mean()

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`."""
        return self.centre + (self.user_embedding(users) * self.item_embedding(items)).sum(1)

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`."""
        return self.centre + self.user_embedding(users) @ self.item_embedding.weight.T

    # ------------------------------------------------------------------ reasons

    #: What the numbers of its reasons are, for readers.
    reasons_about = (
        "A reason is how many users of similar ratings gave the item which rating; its number is their share."
    )

    def explain(self, user: int, item: int) -> list[Reason]:
        """How the user's neighbours rated the item in the training split: a `Reason` for each rating that occurs.

        user, item: internal ids.  contribution: the share of the user's neighbours that gave this rating.  evidence:
        `rating`, `neighbours` (original ids, the most similar first), `similarities`, `n_neighbours`, and
        `expected_rating`, which is W before the threshold.  No reasons where no neighbour rated the item.
        Raises `DataError` for ids that are none.
        """
        for name, id_, n in (("user", user, self.n_users), ("item", item, self.n_items)):
            if not 0 < id_ < n:
                raise DataError(f"{name} {id_!r}: internal ids of {name}s go from 1 to {n - 1}")
        first, last = self._near.indptr[user : user + 2]
        near, similar = self._near.indices[first:last], self._near.data[first:last]
        first, last = self._raters.indptr[item : item + 2]
        raters, ratings = self._raters.indices[first:last], self._raters.data[first:last]
        at = np.searchsorted(raters, near).clip(max=max(0, len(raters) - 1))
        rated = raters[at] == near if len(raters) else np.zeros(len(near), dtype=bool)
        given = ratings[at[rated]]
        common = {"n_neighbours": len(near), "expected_rating": float(given.sum() / max(1, len(near)))}
        reasons = [
            self._reason(
                user, item, value, near[rated][given == value], similar[rated][given == value], common
            )
            for value in np.unique(given)[::-1]
        ]
        return sorted(reasons, key=lambda reason: -reason.contribution)

    def no_reason(self, user: int, item: int) -> str | None:
        """Why `explain` gives no reason for a pair, in words; None where it gives one."""
        if self.explain(user, item):
            return None
        first, last = self._near.indptr[user : user + 2]
        if first == last:
            return "no other user has rated what this user has rated"
        return f"none of the {last - first} users whose ratings are most like this user's has rated the item"

    def _reason(
        self,
        user: int,
        item: int,
        rating: float,
        neighbours: np.ndarray,
        similar: np.ndarray,
        common: dict[str, Any],
    ) -> Reason:
        user_tokens, item_tokens = self._tokens
        n, of = len(neighbours), common["n_neighbours"]
        text = f"{n} of the {of} people whose ratings are most like yours rated item {item_tokens[item]} {rating:g}."
        evidence = {
            "rating": float(rating),
            "neighbours": [str(token) for token in user_tokens[neighbours]],
            "similarities": similar.tolist(),
            **common,
        }
        return Reason(kind="neighbour", text=text, contribution=n / of, evidence=evidence)

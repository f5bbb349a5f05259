"""A trained RecBole model as a scorer of catalogues and a rater of pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ModelScorer:
    """Scores by `full_sort_predict`, or pair by pair where a model has none, and ratings by `predict`.

    The model sees ids, and the columns of user and item files that RecBole's own evaluation joins to them; never the
    rating, the review or the time of a test row.
    """

    def __init__(self, model: Any, dataset: Any, *, pairs_at_once: int = 1 << 17) -> None:
        """model: in evaluation mode afterwards.  dataset: any part of its data."""
        self.model = model.eval()
        self.dataset = dataset
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.pairs_at_once = pairs_at_once

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """`[b]` users to `[b, n_items]`."""
        from recbole.data.interaction import Interaction

        asked = self.dataset.join(Interaction({self.dataset.uid_field: users.cpu()})).to(self.device)
        try:
            found = self.model.full_sort_predict(asked)
        except NotImplementedError:  # RecBole's sign that a model has none
            items = torch.arange(self.dataset.item_num, device=users.device)
            pairs = self.ratings(users.repeat_interleave(len(items)), items.repeat(len(users)))
            return pairs.view(len(users), -1)
        return found.detach().view(len(users), -1)

    @torch.no_grad()
    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """`[b]` users and items to `[b]`."""
        from recbole.data.interaction import Interaction

        parts = []
        fields = self.dataset.uid_field, self.dataset.iid_field
        for some, others in zip(
            users.split(self.pairs_at_once), items.split(self.pairs_at_once), strict=True
        ):
            pairs = Interaction(dict(zip(fields, (some.cpu(), others.cpu()), strict=True)))
            parts.append(self.model.predict(self.dataset.join(pairs).to(self.device)).detach().view(-1))
        return torch.cat(parts)

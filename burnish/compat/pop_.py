"""Pop counts an item once a batch, however often it occurs there, and drawn negatives as if somebody had taken them."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mend import mend


@mend(
    "pop-counts",
    library="recbole",
    versions="1.2.1",
    symptom="silent: Pop counts an item once a batch, and drawn negatives too, so it ranks by something else than "
    "popularity (pop.py:42)",
    modules=("recbole.model.general_recommender.pop",),
    applies=lambda: True,
)
def count_interactions(pop: ModuleType) -> None:
    """Replace `Pop.calculate_loss`: each positive row of a batch counts."""
    construct = pop.Pop.__init__
    if hasattr(construct, "__wrapped__"):
        return

    @functools.wraps(construct)
    def construct_with_label(self: Any, config: Any, dataset: Any) -> None:
        construct(self, config, dataset)
        sampled = (config["train_neg_sample_args"] or {}).get("distribution", "none") != "none"
        self.drawn_label = config["LABEL_FIELD"] if sampled else None

    pop.Pop.__init__ = construct_with_label
    pop.Pop.calculate_loss = _calculate_loss


def _calculate_loss(self: Any, interaction: Any) -> Any:
    import torch

    items = interaction[self.ITEM_ID]
    # Negatives are drawn with label 0.  Without drawing, labels are ratings, and each row somebody's interaction.
    counted = torch.ones_like(items) if self.drawn_label is None else interaction[self.drawn_label] > 0
    self.item_cnt.index_add_(0, items, counted.to(self.item_cnt.dtype).unsqueeze(1))
    self.max_cnt = torch.max(self.item_cnt, dim=0)[0]
    return torch.nn.Parameter(torch.zeros(1)).to(self.device)

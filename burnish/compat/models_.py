"""Models of RecBole's that compute, or keep, something else than they should."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mend import mend


@mend(
    "popularity-counts",
    library="recbole",
    versions="1.2.1",
    symptom="silent: Pop counts an item once a batch, however often it occurs there, and the drawn negatives with it "
    "(pop.py:45), so its ranking depends on the batch size: NDCG@10 on ml-100k is .106 where popularity has .141",
    modules=("recbole.model.general_recommender.pop",),
    applies=lambda: True,
)
def count_each_interaction(module: ModuleType) -> None:
    """Let `Pop` know which rows of a batch were drawn, and count each of the others once."""
    build = module.Pop.__init__

    @functools.wraps(build)
    def build_and_note(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        drawn = config["train_neg_sample_args"]["distribution"] != "none"
        self._label_of_drawn = config["LABEL_FIELD"] if drawn else None

    module.Pop.__init__ = build_and_note
    module.Pop.calculate_loss = _count


def _count(self: Any, interaction: Any) -> Any:
    import torch

    items = interaction[self.ITEM_ID]
    if self._label_of_drawn is not None:
        items = items[interaction[self._label_of_drawn] > 0]
    self.item_cnt += torch.bincount(items, minlength=self.n_items).to(self.item_cnt).unsqueeze(1)
    self.max_cnt = torch.max(self.item_cnt, dim=0)[0]
    return torch.nn.Parameter(torch.zeros(1)).to(self.device)


@mend(
    "item-knn-lists",
    library="recbole",
    versions="1.2.1",
    symptom="ItemKNN keeps its scores as lists of Python numbers, 69 bytes each, and pickles and reads them one by "
    "one: gigabytes and minutes for 6,500 users and 12,500 items",
    modules=("recbole.model.general_recommender.itemknn",),
    applies=lambda: True,
)
def keep_scores_in_rows(module: ModuleType) -> None:
    """Keep `ItemKNN.pred_mat` as compressed rows: the same numbers, 8 bytes each."""
    build = module.ItemKNN.__init__

    @functools.wraps(build)
    def build_and_pack(self: Any, config: Any, dataset: Any) -> None:
        build(self, config, dataset)
        self.pred_mat = self.pred_mat.tocsr()

    module.ItemKNN.__init__ = build_and_pack

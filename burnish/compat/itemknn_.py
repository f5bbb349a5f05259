"""ItemKNN keeps its scores as lists of Python numbers."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mend import mend


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

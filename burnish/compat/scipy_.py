"""scipy removed a private method of its dictionary matrices that seven RecBole models call."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from .mend import mend


def _lacks_update() -> bool:
    import scipy.sparse

    return not hasattr(scipy.sparse.dok_matrix, "_update") or scipy.sparse.dok_matrix._update is _update


@mend(
    "scipy-dok-update",
    library="scipy",
    versions="scipy >= 1.13",
    symptom="LightGCN, NGCF, GCMC, SpectralCF, NCL, KGIN and MCCLK fail: dok_matrix._update is gone",
    modules=(
        "recbole.model.general_recommender.gcmc",
        "recbole.model.general_recommender.lightgcn",
        "recbole.model.general_recommender.ncl",
        "recbole.model.general_recommender.ngcf",
        "recbole.model.general_recommender.spectralcf",
        "recbole.model.knowledge_aware_recommender.kgin",
        "recbole.model.knowledge_aware_recommender.mcclk",
    ),
    applies=_lacks_update,
)
def restore_dok_update(_model: ModuleType) -> None:
    """Give `scipy.sparse.dok_matrix` its `_update` back: entries set without checking, many at a time."""
    import scipy.sparse

    scipy.sparse.dok_matrix._update = _update


def _update(self: Any, data: Mapping[tuple[int, int], float]) -> None:
    self._dict.update(data)

"""Which way a metric points, and how it is written."""

from __future__ import annotations

#: RecBole's metrics whose smaller values are better (`smaller = True` on its classes; a test compares).
LOWER_IS_BETTER = frozenset({"averagepopularity", "giniindex", "logloss", "mae", "rmse"})


def sign(metric: str) -> int:
    """1 when a larger value of the metric ("ndcg@10") is better, -1 when a smaller one is."""
    return -1 if metric.lower().split("@")[0] in LOWER_IS_BETTER else 1


#: Names as people write them; others begin with a capital letter.
_WRITTEN = {
    **{name: name.upper() for name in ("ndcg", "mrr", "map", "auc", "gauc", "mae", "rmse")},
    "itemcoverage": "Coverage",
    "giniindex": "Gini",
    "averagepopularity": "Popularity",
    "logloss": "LogLoss",
}


def written(metric: str) -> str:
    """A metric as a table's head has it: "NDCG@10", "cold NDCG@10"."""
    where, _, name = metric.rpartition(".")
    kind, at, k = name.partition("@")
    return f"{where} {_WRITTEN.get(kind, kind.capitalize())}{at}{k}".strip()

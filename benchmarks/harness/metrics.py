"""Which way a metric points."""

from __future__ import annotations

#: RecBole's metrics whose smaller values are better (`smaller = True` on its classes; a test compares).
LOWER_IS_BETTER = frozenset({"averagepopularity", "giniindex", "logloss", "mae", "rmse"})


def sign(metric: str) -> int:
    """1 when a larger value of the metric ("ndcg@10") is better, -1 when a smaller one is."""
    return -1 if metric.lower().split("@")[0] in LOWER_IS_BETTER else 1

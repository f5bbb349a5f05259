"""Unrounded metrics, and one value a test row, from what RecBole's trainer collects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd


class Capture:
    """Stands where a trainer's evaluator stood: same results, and what was collected stays in `last`."""

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self.last: Any = None

    def evaluate(self, struct: Any) -> Any:
        self.last = struct
        return self._evaluator.evaluate(struct)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._evaluator, name)


@contextmanager
def captured(trainer: Any) -> Iterator[Capture]:
    """Keep what the trainer collects at each evaluation while this is open."""
    before = trainer.evaluator
    trainer.evaluator = capture = Capture(before)
    try:
        yield capture
    finally:
        trainer.evaluator = before


def top_k_values(config: Any, struct: Any) -> dict[str, np.ndarray]:
    """Each top-k metric of the config, one float64 value a test row: {"ndcg@10": [n_rows], ...}.

    Computed by RecBole's own metric classes from its own hit matrix, before it averages and rounds.
    """
    import inspect

    from recbole.evaluator.base_metric import TopkMetric
    from recbole.evaluator.register import metrics_dict

    values: dict[str, np.ndarray] = {}
    for name in _metric_names(config):
        kind = metrics_dict[name]
        # AveragePopularity and TailPercentage also have @k, but count popularity, not hits.
        if not issubclass(kind, TopkMetric) or kind.metric_need != ["rec.topk"]:
            continue
        metric = kind(config)
        hits, n_positive = metric.used_info(struct)
        takes_length = "pos_len" in inspect.signature(metric.metric_info).parameters
        rows = metric.metric_info(hits, n_positive) if takes_length else metric.metric_info(hits)
        for k in config["topk"]:
            values[f"{name}@{k}"] = np.asarray(rows[:, k - 1], dtype=np.float64)
    return values


def rating_errors(config: Any, struct: Any) -> dict[str, np.ndarray]:
    """{"rating": [n_rows], "error": [n_rows]} in float64 where the config asks for MAE or RMSE; else nothing."""
    if not set(ERRORS) & set(_metric_names(config)):
        return {}
    predicted, rated = (
        struct.get(name).double().reshape(-1).cpu().numpy() for name in ("rec.score", "data.label")
    )
    return {"rating": rated, "error": predicted - rated}


def unrounded_result(config: Any, struct: Any, rounded: dict[str, Any] | None) -> dict[str, float]:
    """RecBole's result dictionary without its rounding to `metric_decimal_place`.

    Top-k metrics are means of `top_k_values`; every other metric is asked again with 15 decimals.
    """
    if struct is None or rounded is None:
        return {}
    from recbole.evaluator.register import metrics_dict

    result = {name: float(column.mean()) for name, column in top_k_values(config, struct).items()}
    for name in _metric_names(config):
        if any(key.split("@")[0] == name for key in result):
            continue
        metric = metrics_dict[name](config)
        metric.decimal_place = 15
        result.update({key: float(value) for key, value in metric.calculate_metric(struct).items()})
    return {key: result[key] for key in rounded if key in result}


def per_user_frame(config: Any, struct: Any, loader: Any) -> pd.DataFrame | None:
    """One line a test row: `user` (token), `row` (position in the test set), one float64 column a metric.

    A row is a user under a ratio split and a test case under leave-one-out of sequential models.  Where errors of
    ratings are measured (MAE, RMSE) it is a rated pair, with the columns `rating` and `error`, prediction minus rating.
    None where neither is (AUC, LogLoss, ...): these have no value a row.
    """
    values = {**top_k_values(config, struct), **rating_errors(config, struct)}
    users = row_users(loader)
    if not values or users is None:
        return None
    tokens = loader._dataset.id2token(loader._dataset.uid_field, users)
    frame = pd.DataFrame({"user": np.asarray(tokens, dtype=object).astype(str), "row": np.arange(len(users))})
    for name, column in values.items():
        if len(column) != len(users):
            raise RuntimeError(f"{name}: {len(column)} values for {len(users)} test rows")
        frame[name] = column
    return frame


def row_users(loader: Any) -> np.ndarray | None:
    """Internal user id of each evaluated row, in evaluation order."""
    data = loader._dataset
    if data.uid_field is None:
        return None
    listed = getattr(loader, "uid_list", None)
    if listed is not None:
        return np.asarray(listed)
    return data.inter_feat[data.uid_field].numpy()


def _metric_names(config: Any) -> list[str]:
    return [name.lower() for name in config["metrics"]]


#: Metrics that are made of one error a test row.
ERRORS = ("mae", "rmse")

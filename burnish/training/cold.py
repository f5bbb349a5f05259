"""The same metrics for items that training hardly saw: ranks among all candidates, counted for cold items alone.

Candidates are the whole catalogue, or those that were drawn where the test draws some (`mode: uni100`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from burnish.checks import whole_number

#: burnish's own option: items with fewer training interactions than this are cold; not given: no such metrics.
OPTION = "cold_below"
PREFIX = "cold."
_METRICS = ("ndcg", "recall", "hit", "mrr")


def cold_limit(config: Any) -> int | None:
    """`cold_below` of a config.  Raises `ConfigurationError` for anything but a whole number, 1 or more."""
    value = config[OPTION]
    return None if value is None else whole_number(OPTION, value, more=", such as 5")


def collect_items(trainer: Any) -> None:
    """Let the trainer's collector keep which items are recommended, which no metric of hits asks for."""
    setattr(trainer.eval_collector.register, "rec.items", True)


def cold_values(config: Any, struct: Any, loader: Any, training: Any) -> dict[str, np.ndarray]:
    """Each of NDCG, recall, hit and MRR that the config asks for: {"cold.ndcg@10": [n_rows], ...}.

    A row counts its cold positives only, at their ranks among all candidates; NaN for a row without any.
    training: the training split, whose interactions are counted.
    """
    limit = cold_limit(config)
    names = [name.lower() for name in config["metrics"] if name.lower() in _METRICS]
    if limit is None or not names or "rec.items" not in struct:
        return {}
    seen = training.inter_feat[training.iid_field].numpy()
    cold = np.bincount(seen, minlength=training.item_num) < limit
    items = np.asarray(struct.get("rec.items").cpu())
    positives = positives_of(loader)
    values = {f"{PREFIX}{name}@{k}": np.full(len(items), np.nan) for name in names for k in config["topk"]}
    for row, own in enumerate(positives):
        wanted = own[cold[own]]
        if len(wanted) == 0:
            continue
        ranks = np.flatnonzero(np.isin(items[row], wanted)) + 1
        for name in names:
            for k in config["topk"]:
                values[f"{PREFIX}{name}@{k}"][row] = _value(name, ranks[ranks <= k], len(wanted), k)
    return values


def _value(name: str, ranks: np.ndarray, wanted: int, k: int) -> float:
    if name == "recall":
        return len(ranks) / wanted
    if name == "hit":
        return float(len(ranks) > 0)
    if name == "mrr":
        return 1.0 / ranks[0] if len(ranks) else 0.0
    ideal = (1 / np.log2(np.arange(2, min(wanted, k) + 2))).sum()
    return float((1 / np.log2(ranks + 1)).sum() / ideal)


def positives_of(loader: Any) -> list[np.ndarray]:
    """The items asked for in each evaluated row, in evaluation order."""
    data = loader._dataset
    rows = getattr(loader, "uid2index", None)
    if rows is not None:  # candidates are drawn: a row is a user, whatever the model
        items = data.inter_feat[data.iid_field].numpy()
        return [items[rows[int(user)]] for user in loader.uid_list]
    if getattr(loader, "uid_list", None) is None or getattr(loader, "is_sequential", False):
        return [np.array([item]) for item in data.inter_feat[data.iid_field].tolist()]
    return [np.asarray(loader.uid2positive_item[int(user)]) for user in loader.uid_list]

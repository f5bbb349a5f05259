"""Users' histories by array operations: who knows what, and the padded matrices that autoencoders read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

from burnish.compat import after_import

from .switches import replace_method


def install() -> None:
    """Register the changes to RecBole's data set and its sampler."""
    after_import("recbole.data.dataset.dataset", _change_dataset)
    after_import("recbole.sampler.sampler", _change_sampler)


def _change_dataset(module: ModuleType) -> None:
    replace_method("histories", module.Dataset, "_history_matrix", history_matrix)
    replace_method("histories", module.Dataset, "_grouped_index", grouped_index)


def _change_sampler(module: ModuleType) -> None:
    replace_method("histories", module.Sampler, "get_used_ids", used_ids)


def grouped_index(original: Callable[..., Any], self: Any, group_by_list: Any) -> Any:
    """Positions of equal values: a list of lists, groups in the order in which their value first appears."""
    import numpy as np

    keys = np.asarray(group_by_list)
    if keys.ndim != 1 or keys.dtype.kind not in "iu" or not len(keys):
        return original(self, group_by_list)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return [parts[place].tolist() for place in np.argsort(first)]


def used_ids(original: Callable[..., Any], self: Any) -> Any:
    """Items of each user up to and with each phase: {phase: `[n_users]` array of sets}.

    Raises RecBole's `ValueError` when a user knows every item.
    """
    import numpy as np

    used: dict[Any, Any] = {}
    last: Any = [set() for _ in range(self.user_num)]
    for phase, dataset in zip(self.phases, self.datasets, strict=True):
        users = dataset.inter_feat[self.uid_field].numpy()
        items = dataset.inter_feat[self.iid_field].numpy()
        current = [set(one) for one in last]
        order = np.argsort(users, kind="stable")
        present, starts = np.unique(users[order], return_index=True)
        if len(present) and (present[0] < 0 or present[-1] >= self.user_num):
            return original(self)
        parts = np.split(items[order], starts[1:])
        for user, part in zip(present.tolist(), parts, strict=False):
            current[user].update(part.tolist())
        last = used[phase] = np.array(current, dtype=object)
    if any(len(one) + 1 == self.item_num for one in last):
        return original(self)  # raises, in RecBole's words
    return used


def history_matrix(
    original: Callable[..., Any],
    self: Any,
    row: str,
    value_field: str | None = None,
    max_history_len: int | None = None,
) -> Any:
    """(ids `[n, longest]`, values `[n, longest]`, lengths `[n]`) of each user's or item's history, padded with 0.

    Interactions are shuffled first, as in RecBole and with the same random numbers.
    """
    import numpy as np
    import torch

    self._check_field("uid_field", "iid_field")
    interactions = copy.copy(self.inter_feat)
    interactions.interaction = dict(self.inter_feat.interaction)
    if value_field is not None and value_field not in interactions:
        return original(self, row, value_field, max_history_len)
    interactions.shuffle()
    ids = {
        side: interactions[field].numpy()
        for side, field in (("user", self.uid_field), ("item", self.iid_field))
    }
    sizes = {"user": self.user_num, "item": self.item_num}
    own, other = ("user", "item") if row == "user" else ("item", "user")
    values = np.ones(len(interactions)) if value_field is None else interactions[value_field].numpy()

    lengths = np.bincount(ids[own], minlength=sizes[own])
    width = int(lengths.max())
    if max_history_len is not None:
        width = min(max_history_len, width)
    if width > sizes[other] * 0.2:
        self.logger.warning(
            f"Max value of {row}'s history interaction records has reached "
            f"{width / sizes[other] * 100}% of the total."
        )
    order = np.argsort(ids[own], kind="stable")
    rows = ids[own][order]
    places = np.arange(len(order)) - (np.cumsum(lengths) - lengths)[rows]
    kept = places < width
    matrix = np.zeros((sizes[own], width), dtype=np.int64)
    held = np.zeros((sizes[own], width))
    matrix[rows[kept], places[kept]] = ids[other][order][kept]
    held[rows[kept], places[kept]] = values[order][kept]
    return (
        torch.LongTensor(matrix),
        torch.FloatTensor(held),
        torch.LongTensor(np.minimum(lengths, width)),
    )

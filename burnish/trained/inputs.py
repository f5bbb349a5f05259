"""What a model is asked with: for each user the columns of one prediction, and what the user already knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from .source import Source

#: `latest`: after everything known of a user.  `test`: as RecBole's evaluation on the test set sees the user.
STATES = ("latest", "test")


def known_items(source: Source, state: str) -> scipy.sparse.csr_matrix:
    """Who interacted with what, `[n_users, n_items]` of booleans.

    latest: in training, validation and test data.  test: in training and validation data, without what is asked
    for in the test data (as RecBole's test evaluation masks it).
    """
    shape = (source.dataset.user_num, source.dataset.item_num)
    found = scipy.sparse.csr_matrix(shape, dtype=bool)
    parts = (source.train, source.valid, source.test) if state == "latest" else (source.train, source.valid)
    for part in parts:
        found = found + interactions(part, shape)
    if state == "test":
        asked = found.multiply(interactions(source.test, shape))
        found = (found.astype(np.int8) - asked.astype(np.int8)).astype(bool)
        found.eliminate_zeros()
    return found.tocsr()


def interactions(part: Any, shape: tuple[int, int]) -> scipy.sparse.csr_matrix:
    """The interactions of one part of the data, `[n_users, n_items]` of booleans."""
    if part is None or len(part.inter_feat) == 0:
        return scipy.sparse.csr_matrix(shape, dtype=bool)
    return part.inter_matrix(form="csr").astype(bool)


class Inputs:
    """The columns that a model needs to predict for a user."""

    def __init__(self, source: Source, state: str) -> None:
        self.source = source
        self.state = state
        self._row_of = self._rows() if source.sequential else None

    def available(self, users: np.ndarray) -> np.ndarray:
        """Which of these users there is an input for: `[n]` of booleans."""
        return np.ones(len(users), dtype=bool) if self._row_of is None else self._row_of[users] >= 0

    def batch(self, users: np.ndarray) -> Any:
        """RecBole's interaction of these users (internal ids, all available), on the CPU."""
        from recbole.data.interaction import Interaction

        data = self.source.dataset
        if self._row_of is None:
            return data.join(Interaction({data.uid_field: torch.from_numpy(users)}))
        part = self.source.test if self.state == "test" else data
        rows = part.inter_feat[torch.from_numpy(self._row_of[users])]
        if self.state == "latest":
            rows = Interaction(self._moved_on(dict(rows.interaction)))
        return self._transformed(part, part.join(rows))

    def _rows(self) -> np.ndarray:
        """The row that a user's sequence is taken from, -1 where there is none: `[n_users]`.

        latest: the last one (RecBole keeps a user's rows in the order of time).  test: the first of the test data.
        """
        data = self.source.dataset
        found = np.full(data.user_num, -1, dtype=np.int64)
        part = self.source.test if self.state == "test" else data
        if part is None:
            return found
        users = part.inter_feat[data.uid_field].numpy()
        order = np.arange(len(users))
        if self.state == "test":
            users, order = users[::-1], order[::-1]
        found[users] = order  # of several rows of a user the last assignment stays
        return found

    def _moved_on(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sequence columns with what the row asks for at their end: what is known once it has happened."""
        config, data = self.source.config, self.source.dataset
        suffix, length_field = config["LIST_SUFFIX"], data.item_list_length_field
        lengths = columns[length_field]
        longest = config["MAX_ITEM_LIST_LENGTH"]
        at = torch.arange(len(lengths))
        full = lengths >= longest
        for name in [name for name in columns if f"{name}{suffix}" in columns]:
            before = columns[f"{name}{suffix}"]
            room = torch.cat([before, torch.zeros_like(before[:, :1])], dim=1)
            room[at, lengths] = columns[name].to(room.dtype)
            shape = (-1, *([1] * (before.dim() - 1)))
            columns[f"{name}{suffix}"] = torch.where(full.view(shape), room[:, 1:], room[:, :-1])
        columns[length_field] = torch.clamp(lengths + 1, max=longest)
        return columns

    def _transformed(self, part: Any, rows: Any) -> Any:
        # The other transforms only add columns for training, at random.
        if self.source.config["transform"] not in ("inverse_itemseq", "user_defined"):
            return rows
        from recbole.data.transform import construct_transform

        return construct_transform(self.source.config)(part, rows)

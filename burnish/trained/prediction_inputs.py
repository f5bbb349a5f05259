"""What a model predicts from: for each user the columns of one prediction, and the items that they know already."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from burnish.enhancers.interactions import moved_on, transformed
from burnish.training.trained_model import TrainedModel

#: `latest`: after everything known of a user.  `test`: as RecBole's evaluation on the test set sees the user.
STATES = ("latest", "test")


def known_items(trained: TrainedModel, state: str) -> scipy.sparse.csr_matrix:
    """Who interacted with what, `[n_users, n_items]` of booleans.

    latest: in training, validation and test data.  test: in training and validation data, without the targets of
    the test data (as RecBole's test evaluation masks it).
    """
    shape = (trained.dataset.user_num, trained.dataset.item_num)
    training, validation, test = trained.splits
    known = scipy.sparse.csr_matrix(shape, dtype=bool)
    for part in (training, validation, test) if state == "latest" else (training, validation):
        known = known + interactions(part, shape)
    if state == "test":
        targets = known.multiply(interactions(test, shape))
        known = (known.astype(np.int8) - targets.astype(np.int8)).astype(bool)
        known.eliminate_zeros()
    return known.tocsr()


def interactions(part: Any, shape: tuple[int, int]) -> scipy.sparse.csr_matrix:
    """The interactions of one part of the data, `[n_users, n_items]` of booleans."""
    if part is None or len(part.inter_feat) == 0:
        return scipy.sparse.csr_matrix(shape, dtype=bool)
    return part.inter_matrix(form="csr").astype(bool)


class PredictionInputs:
    """The columns that a model needs to predict for a user."""

    def __init__(self, trained: TrainedModel, state: str) -> None:
        self.trained = trained
        self.state = state
        # Where sequences are taken from: the test rows, or all rows.
        self._part = trained.splits.test if state == "test" else trained.dataset
        self._row_of = self._rows() if trained.sequential else None

    def available(self, users: np.ndarray) -> np.ndarray:
        """Which of these users there is an input for: `[n]` of booleans."""
        return np.ones(len(users), dtype=bool) if self._row_of is None else self._row_of[users] >= 0

    def batch(self, users: np.ndarray) -> Any:
        """RecBole's interaction of these users (internal ids, all available), on the CPU."""
        return self.transformed(self.rows(users))

    def rows(self, users: np.ndarray) -> Any:
        """The same before what RecBole's option `transform` makes of it: lists begin with the oldest item."""
        from recbole.data.interaction import Interaction

        data = self.trained.dataset
        if self._row_of is None:
            return data.join(Interaction({data.uid_field: torch.from_numpy(users)}))
        rows = self._part.inter_feat[torch.from_numpy(self._row_of[users])]
        if self.state == "latest":
            rows = Interaction({**rows.interaction, **self._histories_after(rows.interaction)})
        return self._part.join(rows)

    def _rows(self) -> np.ndarray:
        """The row that a user's sequence is taken from, -1 where there is none: `[n_users]`.

        latest: the last one (RecBole keeps a user's rows in the order of time).  test: the first of the test data.
        """
        data = self.trained.dataset
        row_of = np.full(data.user_num, -1, dtype=np.int64)
        if self._part is None:
            return row_of
        users = self._part.inter_feat[data.uid_field].numpy()
        order = np.arange(len(users))
        if self.state == "test":
            users, order = users[::-1], order[::-1]
        row_of[users] = order  # of several rows of a user the last assignment stays
        return row_of

    def _histories_after(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        config = self.trained.config
        return moved_on(
            columns,
            suffix=config["LIST_SUFFIX"],
            length_field=self.trained.dataset.item_list_length_field,
            longest=config["MAX_ITEM_LIST_LENGTH"],
        )

    def transformed(self, rows: Any) -> Any:
        """What a model that is trained on transformed rows predicts from; rows as they are of others."""
        if self._row_of is None:
            return rows
        return transformed(self._part, rows)

"""The rows of a split as arrays: what models were trained on, what they are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import DataError

from .scale import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Interactions: internal user and item ids and ratings, each `[n]`."""

    users: IntArray
    items: IntArray
    ratings: FloatArray

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def empty(cls) -> Rows:
        """No interaction."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class Cases:
    """A split, sorted by user and item within each part.

    n_users, n_items: rows of the id spaces, the padding id 0 included.
    user_tokens, item_tokens: original ids by internal id, `[n_users]` and `[n_items]`.
    """

    train: Rows
    valid: Rows
    test: Rows
    n_users: int
    n_items: int
    user_tokens: NDArray[np.object_]
    item_tokens: NDArray[np.object_]

    @classmethod
    def of(cls, splits: Sequence[Any], rating_field: str = "rating") -> Cases:
        """The cases of RecBole's data sets (training, validation or None, test).

        Raises `DataError` without test rows, or where ratings are missing.
        """
        train, valid, test = splits
        if test is None or not len(test.inter_feat):
            raise DataError(
                "there are no test rows to evaluate on; split with eval_args.split, e.g. RS: [.8, .1, .1]"
            )
        users, items = train.uid_field, train.iid_field
        return cls(
            _rows(train, rating_field),
            Rows.empty() if valid is None else _rows(valid, rating_field),
            _rows(test, rating_field),
            int(train.num(users)),
            int(train.num(items)),
            np.asarray(train.field2id_token[users], dtype=object),
            np.asarray(train.field2id_token[items], dtype=object),
        )

    @cached_property
    def tested(self) -> Rows:
        """Each pair of the test rows once, sorted by user and item; the rating of several rows is their mean."""
        rows = self.test
        pairs, place = np.unique(rows.users * self.n_items + rows.items, return_inverse=True)
        total = np.bincount(place, weights=rows.ratings, minlength=len(pairs))
        return Rows(pairs // self.n_items, pairs % self.n_items, total / np.bincount(place))

    @cached_property
    def known(self) -> Rows:
        """Pairs of training and validation that are not test pairs, once each, sorted; ratings are left out (0)."""
        parts = (self.train, self.valid)
        pairs = np.unique(np.concatenate([part.users * self.n_items + part.items for part in parts]))
        pairs = np.setdiff1d(pairs, self.tested.users * self.n_items + self.tested.items, assume_unique=True)
        return Rows(pairs // self.n_items, pairs % self.n_items, np.zeros(len(pairs)))

    @cached_property
    def test_users(self) -> IntArray:
        """Users with a test row, ascending."""
        return np.unique(self.test.users)

    @property
    def all_ratings(self) -> FloatArray:
        """The ratings of all parts."""
        return np.concatenate([self.train.ratings, self.valid.ratings, self.test.ratings])


def _rows(dataset: Any, rating_field: str) -> Rows:
    feat = dataset.inter_feat
    if rating_field not in feat:
        raise DataError(
            f"data set {dataset.dataset_name!r} has no column {rating_field!r} of ratings; RATING_FIELD names it, and "
            f"load_col.inter must list it, for models that only rank too: what they are judged by is a rating"
        )
    users = np.asarray(feat[dataset.uid_field]).astype(np.int64)
    items = np.asarray(feat[dataset.iid_field]).astype(np.int64)
    ratings = np.asarray(feat[rating_field]).astype(np.float64)
    if not np.isfinite(ratings).all():
        raise DataError(
            f"data set {dataset.dataset_name!r}: column {rating_field!r} has missing or infinite ratings; "
            f"remove those rows"
        )
    # RecBole leaves the rows of a split in an order that depends on the mode of evaluation.
    order = np.lexsort((ratings, items, users))
    return Rows(users[order], items[order], ratings[order])

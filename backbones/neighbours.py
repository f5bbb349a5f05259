"""Users like a user, by the ratings that they gave."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

#: So many similarities are looked at a time.
PART = 1 << 23


def rating_matrix(users: ArrayLike, items: ArrayLike, ratings: ArrayLike, shape: tuple[int, int]) -> Any:
    """Ratings as a sparse matrix `[n_users, n_items]` (CSR, float64); the mean where a pair was rated several times.

    A rating of 0 is an entry too.
    """
    at = np.asarray(users), np.asarray(items)
    values = np.asarray(ratings, dtype=np.float64)
    sums, counts = (
        sparse.coo_matrix((data, at), shape=shape).tocsr() for data in (values, np.ones_like(values))
    )
    for matrix in (sums, counts):
        matrix.sum_duplicates()
    sums.data /= counts.data
    return sums


def nearest_rows(matrix: Any, most: int) -> Any:
    """The rows most like each row: cosine similarities, a sparse matrix `[n, n]` (CSR) of up to `most` entries a row.

    matrix: `[n, m]`, sparse.  Only positive similarities count, and no row is its own neighbour; of equal similarities
    (to 12 places) the lower row number goes first.  The entries of a row are in that order.

    By products of sparse parts: of all `n * n` similarities no more than `PART` (or one row) are there at a time.
    """
    n = matrix.shape[0]
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    unit = sparse.diags(1 / np.where(norms > 0, norms, 1)) @ matrix
    transposed = unit.T.tocsr()
    some = max(1, PART // max(1, n))
    columns, values, counts = [], [], []
    for start in range(0, n, some):
        similarities = (unit[start : start + some] @ transposed).tocsr()
        for row, (first, last) in enumerate(pairwise(similarities.indptr), start=start):
            near, similar = _largest(
                similarities.indices[first:last], similarities.data[first:last], row, most
            )
            columns.append(near)
            values.append(similar)
            counts.append(len(near))
    ends = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=(n, n))


def _largest(
    columns: NDArray[np.int64], values: NDArray[np.float64], own: int, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The columns with the largest positive values but for the row's own, largest first, and the values."""
    values = np.round(values, 12)
    # A full sort of every row is most of the work; one more than `most`, as the row itself may be among them.
    least = np.partition(values, len(values) - most - 1)[len(values) - most - 1] if len(values) > most else 0
    keep = (values > 0) & (values >= least) & (columns != own)
    columns, values = columns[keep], values[keep]
    order = np.lexsort((columns, -values))[:most]
    return columns[order], values[order]


def mean_of_neighbours(near: Any, ratings: Any, users: ArrayLike, items: ArrayLike) -> NDArray[np.float64]:
    """The mean rating that a user's neighbours gave an item, 0 counting where they gave none; for pairs, `[n]`.

    near: of `nearest_rows`.  ratings: of `rating_matrix`.  0 for a user without neighbours.
    """
    users, items = np.asarray(users), np.asarray(items)
    sizes = np.diff(near.indptr)
    equal = near.copy()
    equal.data = np.repeat(1 / np.maximum(sizes, 1), sizes)
    mean_ratings = np.zeros(len(users))
    order = np.argsort(users, kind="stable")
    some = max(1, PART // max(1, ratings.shape[1]))
    for start in range(0, near.shape[0], some):
        first, last = np.searchsorted(users[order], [start, start + some])
        mine = order[first:last]
        if len(mine):
            means = equal[start : start + some] @ ratings
            mean_ratings[mine] = np.asarray(means[users[mine] - start, items[mine]]).ravel()
    return mean_ratings

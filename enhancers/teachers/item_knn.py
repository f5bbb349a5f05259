"""ItemKNN: an item's score is how like it the items are that a user knows."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from burnish.checks import finite_number, whole_number

from .item_sides import KnownItems, SparseWeights
from .scores import BLOCK_BYTES, Bilinear
from .sparse import Sparse, blocks_by_cost

_EPSILON = 1e-6
#: Of two items while they are compared: row, column, value, and their order.
_PAIR_BYTES = 48


def item_knn(known: Sparse, *, neighbours: int = 100, shrink: float = 0.0) -> Bilinear:
    """The scores `X W` of RecBole's ItemKNN: `W_ji` is the cosine of items j and i where j is among the most like i.

    The cosine is `n_ij / (sqrt(n_i n_j) + shrink + 1e-6)`, with n_ij users who know both.  Of items that are as like,
    the lower id counts.  A new item's neighbours are found in the same way, by who knows it.

    Parameters
    ----------
    known
        Which items users know, `[n_users, n_items]`.
    neighbours
        How many items speak for one.
    shrink
        Larger trusts items less that few know; 0 or more.

    References
    ----------
    Aiolli: Efficient top-N recommendation for very large scale binary rated datasets, RecSys 2013; RecBole's `ItemKNN`.
    """
    whole_number("neighbours", neighbours)
    finite_number("shrink", shrink, 0)
    matrix, by_item = known.matrix, known.matrix.T.tocsr()
    n_items = known.shape[1]
    roots = np.sqrt(np.diff(by_item.indptr)).astype(np.float32)
    parts = []
    # Of an item: as many pairs as those who know it know items, at most all items, itself among them.
    pairs = np.minimum(by_item @ np.diff(matrix.indptr), n_items) + 1
    for block in blocks_by_cost(_PAIR_BYTES * pairs, BLOCK_BYTES):
        together = (by_item[block] @ matrix).tocoo()
        item = together.row + block.start
        apart = item != together.col
        item, other = item[apart], together.col[apart]
        likeness = together.data[apart] / (roots[item] * roots[other] + np.float32(shrink + _EPSILON))
        order = np.lexsort((other, -likeness, item))
        item, other, likeness = item[order], other[order], likeness[order]
        rank = np.arange(len(item)) - np.searchsorted(item, item)
        near = rank < neighbours
        shape = (block.stop - block.start, n_items)
        parts.append(csr_matrix((likeness[near], (item[near] - block.start, other[near])), shape=shape))
    weights = vstack(parts).T.tocsr()

    def new_items(together: Tensor, known_by: Tensor) -> Tensor:
        scale = torch.from_numpy(roots).to(together)[:, None] * known_by.sqrt() + shrink + _EPSILON
        likeness = together / scale
        nearest = likeness.topk(min(neighbours, len(likeness)), dim=0)
        return torch.zeros_like(likeness).scatter_(0, nearest.indices, nearest.values)

    side = SparseWeights(Sparse(weights, known.device))
    return Bilinear(KnownItems(known), side, n_items, name="ItemKNN", new_items=new_items)

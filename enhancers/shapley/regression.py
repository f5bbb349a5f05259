"""Values in a game of items that predict each other: what an interaction says about the rest of a user's history."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.enhancers.teachers.ease import GramMatrix, ease
from burnish.enhancers.teachers.scores import BLOCK_BYTES
from burnish.enhancers.teachers.sparse import blocks, incidence
from burnish.errors import ConfigurationError, DataError

#: Items whose matrix is inverted in full, at most; with more, it is of low rank.
MOST_ITEMS = 20_000


@torch.no_grad()
def regression_values(
    users: Tensor, items: Tensor, n_items: int, *, ridge: float = 500.0, most_items: int = MOST_ITEMS
) -> Tensor:
    """Exact Shapley values `[n]`: how much each interaction adds to the predicted scores of its user's other items.

    The predictor is a ridge regression of every item on all others over all users, in closed form: with
    P = (R'R + ridge I)^-1 on the binary user-item matrix R, the weight from item j to item k is -P_jk / P_kk
    (EASE; Steck 2019, arXiv 1905.03375).  The game of user u is v(S) = the sum over their items k and over j in S,
    j != k, of weight(j -> k).  It is additive, so the value of j is the sum over their other items k of weight(j -> k),
    and values sum to v of the whole history.  Equal pairs count once and share a value.  Needs no trained backbone.

    users, items: `[n]`, items from 0 to n_items - 1.  ridge: above 0; larger trusts rare items less.
    most_items: in full this takes n_items^2 numbers of memory twice and n_items^3 time; with more items than this,
        R'R is of low rank beside its diagonal (`teachers.ease`), and values are those of that regression.

    Raises `ConfigurationError` and `DataError` for values that cannot be used.
    """
    return regression_both(users, items, n_items, ridge=ridge, most_items=most_items)[0]


@torch.no_grad()
def regression_scores(
    users: Tensor, items: Tensor, n_items: int, *, ridge: float = 500.0, most_items: int = MOST_ITEMS
) -> Tensor:
    """EASE's scores `[n]` of the interactions themselves: the sum over their user's other items k of weight(k -> j).

    What the regression of `regression_values` says of a pair, from the items beside it, where that one asks what the
    pair says of the items beside it.  Weights by it show whether a gain is no more than a stronger model's opinion.

    The rest is as in `regression_values`.
    """
    return regression_both(users, items, n_items, ridge=ridge, most_items=most_items)[1]


@torch.no_grad()
def regression_both(
    users: Tensor, items: Tensor, n_items: int, *, ridge: float = 500.0, most_items: int = MOST_ITEMS
) -> tuple[Tensor, Tensor]:
    """`regression_values` and `regression_scores`, from one regression: `[n]` each, on the device of `items`."""
    if not ridge > 0:
        raise ConfigurationError(f"ridge = {ridge}; give a number above 0")
    if len(items) and not 0 <= int(items.min()) <= int(items.max()) < n_items:
        raise DataError(f"items run from {int(items.min())} to {int(items.max())}; n_items is {n_items}")
    device = items.device
    gives, receives = (torch.zeros(len(users), dtype=torch.float32, device=device) for _ in range(2))
    if not len(users):
        return gives, receives
    distinct, user = torch.unique(users, return_inverse=True)
    # Number 0 is padding there.
    user, item = user.long() + 1, items.long() + 1
    known = incidence(user, item, (len(distinct) + 1, n_items + 1), device)
    regression = ease(GramMatrix(known, 8 * (most_items + 1) ** 2), ridge)
    order = torch.argsort(user, stable=True)
    starts = torch.searchsorted(user[order], torch.arange(len(distinct) + 2, device=device))
    for block in blocks(known.shape[0], 16 * known.shape[1], BLOCK_BYTES):
        rows = order[starts[block.start] : starts[block.stop]]
        if not len(rows):
            continue
        these = torch.arange(block.start, block.stop, device=device)
        local = user[rows] - block.start
        receives[rows] = regression.rows(these)[local, item[rows]]
        gives[rows] = regression.side.times(known.dense(these).T)[item[rows], local]
    return gives, receives

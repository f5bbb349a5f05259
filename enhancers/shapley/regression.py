"""Values in a game of items that predict each other: what an interaction says about the rest of a user's history."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.errors import ConfigurationError, DataError

#: Items whose matrix is inverted, at most.
MOST_ITEMS = 20_000
#: Users whose rows are multiplied at once.
_USERS = 1024


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
    most_items: takes n_items^2 numbers of memory twice and n_items^3 time, so more items than this are refused.

    Raises `ConfigurationError` and `DataError` for values that cannot be used.
    """
    return _summed(users, items, n_items, ridge, most_items, given=True)


@torch.no_grad()
def regression_scores(
    users: Tensor, items: Tensor, n_items: int, *, ridge: float = 500.0, most_items: int = MOST_ITEMS
) -> Tensor:
    """EASE's scores `[n]` of the interactions themselves: the sum over their user's other items k of weight(k -> j).

    What the regression of `regression_values` says of a pair, from the items beside it, where that one asks what the
    pair says of the items beside it.  Weights by it show whether a gain is no more than a stronger model's opinion.

    The rest is as in `regression_values`.
    """
    return _summed(users, items, n_items, ridge, most_items, given=False)


def _summed(
    users: Tensor, items: Tensor, n_items: int, ridge: float, most_items: int, *, given: bool
) -> Tensor:
    """For each pair the sum of weights between its item and its user's others: those that it gives, or receives."""
    if not ridge > 0:
        raise ConfigurationError(f"ridge = {ridge}; give a number above 0")
    if n_items > most_items:
        raise ConfigurationError(
            f"regression_values: {n_items} items need a matrix of {n_items}^2 numbers; the limit is most_items = "
            f"{most_items}; raise it where there is memory, or leave this judge out"
        )
    if len(items) and not 0 <= int(items.min()) <= int(items.max()) < n_items:
        raise DataError(f"items run from {int(items.min())} to {int(items.max())}; n_items is {n_items}")
    distinct, user = torch.unique(users, return_inverse=True)
    blocks = [slice(start, start + _USERS) for start in range(0, len(distinct), _USERS)]
    gram = torch.zeros(n_items, n_items, device=items.device)
    order = torch.argsort(user)
    bounds = torch.searchsorted(
        user[order], torch.arange(0, len(distinct) + _USERS, _USERS, device=user.device)
    )
    places = [order[bounds[number] : bounds[number + 1]] for number in range(len(blocks))]
    for block, rows in zip(blocks, places, strict=True):
        known = _histories(user[rows] - block.start, items[rows], n_items)
        gram.addmm_(known.T, known)
    gram.diagonal().add_(ridge)
    weights = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights.div_(-weights.diagonal().clone())  # column k by P_kk: the weights towards k
    weights.fill_diagonal_(0.0)
    values = torch.zeros(len(users), device=items.device)
    for block, rows in zip(blocks, places, strict=True):
        local = user[rows] - block.start
        known = _histories(local, items[rows], n_items)
        values[rows] = (known @ (weights.T if given else weights))[local, items[rows]]
    return values


def _histories(users: Tensor, items: Tensor, n_items: int) -> Tensor:
    """Ones where a user has an item: `[users, n_items]`."""
    known = torch.zeros(int(users.max()) + 1, n_items, device=items.device)
    known[users, items] = 1.0
    return known

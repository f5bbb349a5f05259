"""Whether weights by suspicion are any good: held-out interactions must be ranked better with them than without.

In sparse data real interactions look like noise, and a share that "can be at most" is far above the true one.  What is
taken for noise then is taste, and a model that minds it less ranks worse.  So some interactions are held out; the rest
is judged anew; and EASE, with the rest as it is and with the rest weighed, ranks what was held out.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from burnish.enhancers.teachers.ease import GramMatrix, ease
from burnish.enhancers.teachers.scores import BLOCK_BYTES
from burnish.enhancers.teachers.sparse import Sparse, blocks, incidence

from .signs import IN_FULL

#: Interactions that are held out, as a share; at most, as each of them is ranked among all items.
HELD_OUT, MOST_HELD_OUT = 0.1, 100_000
#: Of EASE: less than what ranks best, so that it minds single interactions, as models do whose embeddings are trained.
RIDGE = 100.0
#: Standard errors that the gain has to be above none: 5% of useless weights pass.
BEYOND = 1.645


def held_out(n: int, seed: int) -> NDArray[np.bool_]:
    """`[n]`: which interactions are held out."""
    return np.random.default_rng(seed).random(n) < min(HELD_OUT, MOST_HELD_OUT / n)


@torch.no_grad()
def gain(
    users: Tensor, items: Tensor, sizes: tuple[int, int], held: NDArray[np.bool_], weights: Tensor
) -> tuple[float, float]:
    """By how much weights lower the logarithm (base 2) of the ranks of held-out items, and the standard error.

    The mean over users; ranks are among the items that a user does not have among the rest.  Of a single user the error
    is infinite.

    Parameters
    ----------
    users, items
        `[n]` ids from 1, of all interactions.
    sizes
        Numbers of ids, padding included.
    held
        `[n]`: those that are held out.
    weights
        Of the rest, in their order, 0 to 1: entries of the matrix that EASE learns from and scores by.
    """
    users, items = users.cpu().long(), items.cpu().long()
    rest, out = torch.from_numpy(~held), torch.from_numpy(held)
    known = incidence(users[rest], items[rest], sizes)
    weighed = _weighed(users[rest], items[rest], sizes, weights)
    asked_users, asked_items = users[out], items[out]
    gains = _log_ranks(known, known, asked_users, asked_items) - _log_ranks(
        known, weighed, asked_users, asked_items
    )
    _, index = torch.unique(asked_users, return_inverse=True)
    means = torch.bincount(index, weights=gains) / torch.bincount(index)
    error = float(means.std() / math.sqrt(len(means))) if len(means) > 1 else math.inf
    return float(means.mean()), error


def _weighed(users: Tensor, items: Tensor, sizes: tuple[int, int], weights: Tensor) -> Sparse:
    """The matrix of interactions with their weights; of a pair that is there several times the largest."""
    pairs, place = np.unique((users * sizes[1] + items).numpy(), return_inverse=True)
    entries = np.zeros(len(pairs), np.float32)
    np.maximum.at(entries, place, weights.cpu().numpy().astype(np.float32))
    return Sparse(csr_matrix((entries, (pairs // sizes[1], pairs % sizes[1])), shape=sizes))


def _log_ranks(known: Sparse, learnt: Sparse, users: Tensor, items: Tensor) -> Tensor:
    """Base-2 logarithms of the ranks `[m]` of items for users, by EASE on `learnt`, among those not in `known`.

    Of equal scores half are taken to be before.
    """
    n_items = known.shape[1]
    scores = ease(GramMatrix(learnt, 8 * (IN_FULL + 1) ** 2), RIDGE)
    ranks = torch.empty(len(users), dtype=torch.float64)
    for block in blocks(len(users), 32 * n_items, BLOCK_BYTES):
        rows = scores.rows(users[block])
        free = known.dense(users[block]) == 0
        free[:, 0] = False
        own = items[block][:, None]
        free.scatter_(1, own, False)
        value = rows.gather(1, own)
        before = ((rows > value) & free).sum(1).double() + 0.5 * ((rows == value) & free).sum(1)
        ranks[block] = torch.log2(1 + before)
    return ranks

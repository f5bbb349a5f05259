"""Values in a game of ranking: what an interaction adds to telling the user's other items from items as popular."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.errors import ConfigurationError

from .cross_fit import cross_fitted

#: Groups of items by how often they occur, within which negatives are.
BINS = 10


def ranking_values(
    users: Tensor, items: Tensor, vectors: Tensor, *, bins: int = BINS, **options: Any
) -> Tensor:
    """Exact Shapley values `[n]` for ranking held-out training items above others that are as popular.

    A user's interactions are dealt into folds.  Of a fold that is held out, every item p is to be ranked above
    negatives q of like popularity, by the mean vector m(S) of a part S of the interactions of the other folds; S is
    worth the mean margin

        v(S) = mean over p, and over all q of p's popularity, of m(S) . (e_p - e_q)

    The mean over q is taken in full, not by drawing: e_q is the mean of the vectors there (`of_like_popularity`), so
    v is a mean profile's and has the closed form of `cross_fitted`, in O(n d).  Neither a popular item nor a rare one
    is worth more for that.  Nothing but the rows given is read.

    users, items: `[n]`, training interactions.  vectors: `[n_items, d]`, of a trained backbone's items.
    bins: groups of equal numbers of items, by how often they occur, within which negatives are.
    options: `folds`, `seed`, `repeats` and `progress` of `cross_fitted`.

    Raises what `cross_fitted` raises, and `ConfigurationError` for a number of bins that cannot be.

    Source: ours (a completion of RVRec, arXiv 2509.03130, whose game is not public; its loss, BPR, compares pairs).
    """
    unit = F.normalize(vectors.detach(), dim=1)
    return cross_fitted(users, items, unit, centre=of_like_popularity(items, unit, bins), **options)


def of_like_popularity(items: Tensor, vectors: Tensor, bins: int = BINS) -> Tensor:
    """For every item the mean vector `[n_items, d]` of the other items of its popularity bin; 0 where there is none.

    The items that occur in `items` are sorted by how often they do and cut into `bins` groups of equal size, give or
    take one.  Items that do not occur have 0.
    """
    if bins < 1:
        raise ConfigurationError(f"bins = {bins}; give at least 1")
    items = items.to(vectors.device)
    counts = torch.bincount(items, minlength=len(vectors))
    occurring = counts.nonzero()[:, 0]
    order = occurring[torch.argsort(counts[occurring], stable=True)]
    group = torch.arange(len(order), device=vectors.device) * bins // max(len(order), 1)
    sums = vectors.new_zeros(bins, vectors.shape[1]).index_add_(0, group, vectors[order])
    sizes = torch.bincount(group, minlength=bins)
    others = (sizes - 1).clamp_min(1).to(vectors.dtype)[group].unsqueeze(1)
    means = torch.zeros_like(vectors)
    means[order] = (sums[group] - vectors[order]) / others
    return means

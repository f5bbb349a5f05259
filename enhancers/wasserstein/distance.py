"""The 2-Wasserstein distance between Gaussians with diagonal covariance.

    W2^2( N(m, diag s^2), N(n, diag t^2) ) = |m - n|^2 + |s - t|^2 = | [m; s] - [n; t] |^2

So it is the Euclidean distance of the rows `[mean; spread]` in twice the width (Dowson and Landau, 1982, for
commuting covariances), and nearest-neighbour indexes work on those rows as they are.  For matrices too large
to hold, see `contrast`; for full covariances, see `covariance`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.errors import ConfigurationError


def embed(mean: Tensor, spread: Tensor) -> Tensor:
    """Rows `[..., 2 d]` whose Euclidean distance is W2, from means and spreads `[..., d]`."""
    if mean.shape != spread.shape:
        raise ConfigurationError(
            f"mean has shape {tuple(mean.shape)} and spread {tuple(spread.shape)}: give equal shapes"
        )
    return torch.cat([mean, spread], dim=-1)


def w2_paired(left: Tensor, right: Tensor, *, squared: bool = True) -> Tensor:
    """W2 (squared, or not) of every row of `left` `[n, D]` with the same row of `right` `[n, D]`: `[n]`.

    Rows are those of `embed`.  The gradient of the root is 0 where the distance is 0.
    """
    if left.dim() != 2 or left.shape != right.shape:
        raise ConfigurationError(
            f"left has shape {tuple(left.shape)} and right {tuple(right.shape)}: give [n, D] twice"
        )
    difference = left - right
    result = (difference * difference).sum(dim=1)
    return result if squared else safe_sqrt(result)


def w2_pairwise(queries: Tensor, keys: Tensor, *, squared: bool = True) -> Tensor:
    """W2 (squared, or not) of every query `[n, D]` with every key `[m, D]`: `[n, m]`, at least 0.

    One matrix product.  The mean key is subtracted from both sides first, which changes no distance and keeps
    |q|^2 - 2 q.k + |k|^2 from cancelling away from the origin; what rounds below 0 is 0.  The gradient of the
    root is 0 where the distance is 0.
    """
    if queries.dim() != 2 or keys.dim() != 2 or queries.shape[1] != keys.shape[1]:
        raise ConfigurationError(
            f"queries has shape {tuple(queries.shape)} and keys {tuple(keys.shape)}: give [n, D] and [m, D]"
        )
    if len(keys):
        centre = keys.detach().mean(dim=0)
        queries, keys = queries - centre, keys - centre
    norms = (queries * queries).sum(dim=1, keepdim=True) + (keys * keys).sum(dim=1)
    result = torch.addmm(norms, queries, keys.t(), alpha=-2.0).clamp_min(0.0)
    return result if squared else safe_sqrt(result)


def safe_sqrt(values: Tensor) -> Tensor:
    """The square root of values that are at least 0, with gradient 0, not infinity, at 0."""
    zero = values <= 0.0
    return torch.where(zero, torch.ones_like(values), values).sqrt().masked_fill(zero, 0.0)

"""The 2-Wasserstein distance between Gaussians with diagonal covariance, and a divergence that guards their spreads.

    W2^2( N(m, diag s^2), N(n, diag t^2) ) = |m - n|^2 + |s - t|^2 = | [m; s] - [n; t] |^2

So it is the Euclidean distance of the rows `[mean; spread]` in twice the width (Dowson and Landau, 1982, for
commuting covariances), and nearest-neighbour indexes work on those rows as they are.  For matrices too large
to hold, see `contrast`; for full covariances, see `covariance`.
"""

from __future__ import annotations

import math

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


def spread_guard(spread: Tensor, n_interactions: Tensor, sigma_base: float | Tensor = 1.0) -> Tensor:
    """Divergence of every Gaussian from the spread that its evidence calls for, `[B]`, 0 or more.

        KL( N(mean, diag spread^2) || N(mean, sigma_0^2 I) ),   sigma_0 = sigma_base * n_interactions^(-1/2)

    averaged over dimensions, so that its size does not depend on the width.  It is 0 where every spread is
    sigma_0, grows like -log(spread) towards collapse and like spread^2 towards explosion.  sigma_0 shrinks
    with the number of interactions as the standard error of a mean does.  Ours: RVRec (arXiv 2509.03130) has
    no guard that we know of.

    spread: `[B, d]`, positive standard deviations.
    n_interactions: `[B]`, any numeric type, how often each id occurs in training; 0 counts as 1.
    sigma_base: the spread of an id seen once, positive, in the units of the rows.
    Raises `ConfigurationError` for shapes and values that do not fit.
    """
    if spread.dim() != 2 or n_interactions.shape != spread.shape[:1]:
        raise ConfigurationError(
            f"spread has shape {tuple(spread.shape)} and n_interactions {tuple(n_interactions.shape)}: "
            "give [B, d] and [B]"
        )
    if not isinstance(sigma_base, Tensor) and not 0.0 < sigma_base < math.inf:
        raise ConfigurationError(f"sigma_base={sigma_base}: give a positive finite number")
    target = sigma_base * n_interactions.clamp_min(1).to(spread.dtype).rsqrt()
    ratio = spread / target.unsqueeze(1)
    return (0.5 * (ratio.square() - 1.0) - torch.log(ratio)).mean(dim=1)

"""A guard against collapsing or exploding spreads, which gives a spread the meaning "uncertainty"."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from burnish.errors import ConfigurationError


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

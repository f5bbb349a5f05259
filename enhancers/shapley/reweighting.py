"""From values of interactions to weights: higher values count more, and every user counts as before."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from burnish.enhancers.interactions import group_mean
from burnish.errors import ConfigurationError, NonFiniteError

from .objectives import standardised


def weights_from(
    values: Tensor,
    users: Tensor,
    *,
    beta: float = 0.5,
    low: float = 0.2,
    high: float = 5.0,
    popularity: Tensor | None = None,
    beta_popularity: float = 0.0,
) -> Tensor:
    """Weights `[n]` of interactions: clip(exp(beta z), low, high), divided by its mean over the user's interactions.

    values: `[n]`, higher for more valuable; z is their z-score within the user (0 where all of theirs are equal).
    users: `[n]` ids, from 0.  beta: how far weights follow values; 0 gives ones, a negative one turns values round.
    low, high: bounds of exp(beta z) before the division, 0 < low <= 1 <= high.
    popularity, beta_popularity: a second component, so that weights are exp(beta z + beta_popularity z(popularity));
        `residualised` takes popularity out of values, so that each component says what the other does not.

    Every user's weights have mean one, so how much they count stays as it was and all weights have mean one.  The map
    and its constants are ours (the paper, arXiv 2509.03130, could not be read there).

    Raises `ConfigurationError` for bounds or shapes that do not fit, and `NonFiniteError` for values that are not
    finite.
    """
    check_bounds(beta, low, high)
    if not math.isfinite(beta_popularity):
        raise ConfigurationError(f"beta_popularity = {beta_popularity}; give a finite number, such as 0.2")
    if values.dim() != 1 or values.shape != users.shape:
        raise ConfigurationError(
            f"weights_from: values have shape {tuple(values.shape)} and users {tuple(users.shape)}; give one value and "
            f"one user an interaction"
        )
    if not bool(torch.isfinite(values).all()):
        row = int((~torch.isfinite(values)).nonzero()[0, 0])
        raise NonFiniteError(
            f"weights_from: the value of interaction {row} is {float(values[row])}; look for NaN in the vectors or "
            f"losses that it was computed from"
        )
    if len(values) == 0:
        return values if values.is_floating_point() else values.float()
    exponent = beta * standardised(values, users)
    if popularity is not None and beta_popularity != 0:
        exponent = exponent + beta_popularity * standardised(popularity, users)
    weights = exponent.exp().clamp(low, high)
    distinct, index = torch.unique(users, return_inverse=True)
    return weights / group_mean(weights, index, len(distinct))[index]


def check_bounds(beta: float, low: float, high: float) -> None:
    """Raises `ConfigurationError` unless beta is finite and 0 < low <= 1 <= high < infinity."""
    if not math.isfinite(beta):
        raise ConfigurationError(f"beta = {beta}; give a finite number, such as 0.5")
    if not 0 < low <= 1 <= high < math.inf:
        raise ConfigurationError(
            f"low = {low} and high = {high}; give bounds with 0 < low <= 1 <= high, such as 0.2 and 5"
        )

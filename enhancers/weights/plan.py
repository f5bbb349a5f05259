"""What is to be weighted in one computation of a loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .rules import Layout


@dataclass
class LossPlan:
    """Weights for one batch.

    rows: `[B]`, one a row of the batch, or None.  cells: `[B, n_items]`, for batches of users: one a user and item,
    1 where they did not interact, or None.  history: `[B, n]`, the same for the model's own padded lists, or None.
    """

    rows: Tensor | None = None
    cells: Tensor | None = None
    history: Tensor | None = None


def spread(weights: Tensor, n: int, layout: Layout) -> Tensor | None:
    """The weights `[B]` of a batch for the `n` rows of a loss, `[n]`; None where they do not fit the layout."""
    batch = len(weights)
    if n == batch:
        return weights
    if layout == "tiled" and n > batch and n % batch == 0:
        return weights.repeat(n // batch)
    if layout == "interleaved" and n > batch and n % batch == 0:
        return weights.repeat_interleave(n // batch)
    if layout == "first" and n > batch:
        return torch.cat([weights, weights.new_ones(n - batch)])
    if layout == "part" and 0 < n < batch:
        return weights[:n]
    return None


def scaled(tensor: Tensor, weights: Tensor) -> Tensor:
    """`tensor` `[n, …]` times `weights` `[n]` or of the tensor's own shape."""
    weights = weights.to(tensor.dtype)
    if weights.dim() < tensor.dim():
        weights = weights.reshape(-1, *[1] * (tensor.dim() - 1))
    return tensor * weights

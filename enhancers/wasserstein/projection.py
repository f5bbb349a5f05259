"""Gaussians of one width, seen in another: what makes users and items of unequal widths comparable."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Projection(nn.Module):
    """A learned linear map A of diagonal Gaussians, `[..., inputs]` to `[..., outputs]`.

    The mean becomes A mean.  The covariance A diag(spread^2) A^T has the diagonal (A * A) spread^2, whose roots
    are the new spreads; what is beside the diagonal is left out, as everywhere with diagonal Gaussians.
    For plain points (`gaussian=False`) the second half is mapped as the first.  A starts semi-orthogonal, so
    that distances keep their size.
    """

    def __init__(self, inputs: int, outputs: int, *, gaussian: bool = True) -> None:
        super().__init__()
        self.gaussian = gaussian
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.orthogonal_(self.weight)

    def forward(self, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        projected = nn.functional.linear(mean, self.weight)
        if not self.gaussian:
            return projected, nn.functional.linear(spread, self.weight)
        variance = nn.functional.linear(spread.square(), self.weight.square())
        # A root has no finite slope at 0, where users without items are.
        return projected, (variance + torch.finfo(variance.dtype).eps ** 2).sqrt()

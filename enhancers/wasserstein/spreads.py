"""Spreads of Gaussians with unit means: a learned vector a row, or tied to how often an id was seen."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Deviation of the logarithm of spreads at the start.  Equal ones would have no gradient: that of a distance between
#: spreads is their difference.
START_NOISE = 0.1


class RowSpreads(nn.Module):
    """A learned vector of spreads `[d]` for each id; they are held as logarithms.

    `gaussian=False` is the control: plain numbers of any sign, with the same start to first order.
    """

    #: Which of its tensors has a row for each id.
    by_row = "weight"

    def __init__(self, count: int, width: int, start: float, *, gaussian: bool = True) -> None:
        """count: ids, padding included.  start: the spread at the start, in the units of unit rows."""
        super().__init__()
        self.gaussian = gaussian
        noise = START_NOISE * torch.randn(count, width)
        self.weight = nn.Parameter(math.log(start) + noise if gaussian else start * (1.0 + noise))

    def forward(self, ids: Tensor | None) -> Tensor:
        """Spreads `[n, d]` of ids `[n]`; of all by default."""
        rows = self.weight if ids is None else nn.functional.embedding(ids, self.weight)
        return rows.exp() if self.gaussian else rows

    def log_deviation(self) -> Tensor:
        """The logarithm of each id's spread `[count]`: the mean over its dimensions."""
        return self.weight.mean(dim=1) if self.gaussian else self.weight.abs().log().mean(dim=1)

    def log_ratios(self) -> Tensor:
        """The same, up to a number that all share."""
        return self.log_deviation()


class CountSpreads(nn.Module):
    """One spread an id, `s0 (n + 1)^-a`, of the id's n training interactions; s0 and a are learned.

    An isotropic Gaussian's spreads are d equal numbers, whose squared distance is that of one number, sqrt(d) times as
    large.  So one column stands for them.
    """

    log_counts: Tensor
    by_row = "log_counts"

    def __init__(self, counts: Tensor, width: int, start: float) -> None:
        """counts: `[count]`, training interactions of each id.  start: the spread at their median."""
        super().__init__()
        self.width = width
        # Saved with the model, whose scores depend on them: other data may have other counts.
        self.register_buffer("log_counts", counts.float().log1p())
        seen = counts[counts > 0].float()
        median = float(seen.median()) if len(seen) else 0.0
        # As the standard error of a mean.
        self.decay = nn.Parameter(torch.tensor(0.5))
        self.log_start = nn.Parameter(torch.tensor(math.log(start) + 0.5 * math.log1p(median)))

    def forward(self, ids: Tensor | None) -> Tensor:
        """sqrt(d) times the spreads of ids `[n]`, `[n, 1]`; of all by default."""
        logs = self.log_deviation()
        chosen = logs if ids is None else logs[ids]
        return math.sqrt(self.width) * chosen.exp().unsqueeze(1)

    def log_deviation(self) -> Tensor:
        """The logarithm of each id's spread `[count]`."""
        return self.log_start + self.log_ratios()

    def log_ratios(self) -> Tensor:
        """The same, up to a number that all share."""
        return -self.decay * self.log_counts

    def extra_repr(self) -> str:
        return f"ids={len(self.log_counts)}, width={self.width}"


def negative_weights(log_ratios: Tensor, beta: float) -> Tensor:
    """The logarithm of what each item counts as a negative, `[n]`, without gradient: `sigma^-beta`, with mean 1.

    log_ratios: logarithms of spreads, up to a number that all share.

    The mean is over the catalogue, without the padding id 0.  Without a gradient, since spreads would else grow for the
    sake of the loss: a sum over negatives that count less is smaller, however wrong the scores.
    """
    logs = -beta * log_ratios.detach()
    return logs - (torch.logsumexp(logs[1:], dim=0) - math.log(max(1, len(logs) - 1)))

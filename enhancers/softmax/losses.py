"""Softmax losses of users with all of their items, and of single rows."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Activation = Literal["tanh", "atan", "relu"]


def row_losses(positives: Tensor, negatives: Tensor) -> Tensor:
    """How well each positive is told from its negatives, `[n]`: `-log(e^p / (e^p + e^negatives))`.

    The sampled softmax loss of Wu et al. (SSM, TOIS 2024), InfoNCE, over as many negatives as are given.

    positives: scores `[n]`, divided by the temperature.  negatives: log-sum-exp `[n]` of the negatives' scores.
    """
    return functional.softplus(negatives - positives)


def without_own(positives: Tensor, negatives: Tensor, counted: Tensor | float = 0.0) -> Tensor:
    """Log-sum-exp `[n]` of negatives that a positive was summed up with, once the positive is taken away.

    positives: scores `[n]`.  negatives: log-sum-exp `[n]`.  counted: the logarithm of what each positive counted there,
    `[n]`; -inf for one that was not among them.
    """
    share = (positives + counted - negatives).exp().clamp(max=1.0 - 1e-6)
    return negatives + torch.log1p(-share)


def user_means(rows: Tensor, owner: Tensor, n: int, weights: Tensor | None = None) -> Tensor:
    """The mean `[n]` of each user's rows `[r]`, by `owner` `[r]`; 0 for a user without rows.

    weights: `[r]`, how much a row counts beside the user's others; a user's own sum of them does not matter.
    """
    sums = rows.new_zeros(n).index_add(0, owner, rows if weights is None else rows * weights)
    shares = torch.ones_like(rows) if weights is None else weights.to(rows.dtype)
    counts = rows.new_zeros(n).index_add(0, owner, shares)
    return sums / torch.where(counts > 0, counts, torch.ones_like(counts))


def bilateral(
    positives: Tensor,
    negatives: Tensor,
    owner: Tensor,
    n_negatives: Tensor,
    weights: Tensor | None = None,
    *,
    ratio: float,
) -> Tensor:
    """The bilateral softmax loss of every user, `[n]`.

    `-t1 log mean e^(f/t1) + t2 log mean e^(f/t2)`, over the user's positives and negatives, divided by t2.

    BSL (Wu et al., ICDE 2024).  As t1 grows, positives count alike, as in the softmax loss.

    positives: scores `[r]` divided by t2.  owner: `[r]`, which user each is of.  negatives: log-sum-exp `[n]`.
    n_negatives: `[n]`.  weights: `[r]`, what a positive counts in the mean.  ratio: t1 / t2.
    """
    n = len(negatives)
    some = torch.isfinite(negatives)  # not of a user who knows every item
    negatives = torch.where(some, negatives, torch.zeros_like(negatives))
    scaled = positives / ratio
    peak = scaled.new_full((n,), -math.inf).scatter_reduce(0, owner, scaled.detach(), "amax")
    peak = torch.where(torch.isfinite(peak), peak, torch.zeros_like(peak))
    shares = torch.ones_like(scaled) if weights is None else weights.to(scaled.dtype)
    sums = scaled.new_zeros(n).index_add(0, owner, shares * (scaled - peak[owner]).exp())
    counts = scaled.new_zeros(n).index_add(0, owner, shares)
    known = counts > 0
    mean = peak + torch.where(known, sums, 1.0).log() - torch.where(known, counts, 1.0).log()
    rows = negatives - n_negatives.to(scaled.dtype).clamp(min=1).log() - ratio * mean
    return torch.where(known & some, rows, 0.0)


def pairwise(
    positives: Tensor,
    scores: Tensor,
    owner: Tensor,
    masked: Tensor | None,
    *,
    temperature: float,
    activation: Activation,
    budget_bytes: int,
    targets: Tensor | None = None,
) -> Tensor:
    """Loss of every positive against all negatives of its user, `[r]`: `log mean_j a(f_j - f_i)^(1/t)`; 0 without any.

    PSL (Yang et al., NeurIPS 2024): a is an activation in the place of exp.

    positives: scores `[r]`, not divided.  scores: `[n, n_items]`, of all items for every user.  masked: bool
    `[n, n_items]`, True where an item is no negative.  budget_bytes: of a block of differences.
    targets: the positive items `[r]` themselves, where the mask does not leave them out.
    """
    rows_a_block = max(1, budget_bytes // max(1, 4 * scores.element_size() * scores.shape[1]))

    def block(own: Tensor, others: Tensor, users: Tensor, target: Tensor | None) -> Tensor:
        differences = others[users] - own.unsqueeze(1)
        logs = _log_activation(differences, activation) / temperature
        left_out = torch.zeros_like(logs, dtype=torch.bool) if masked is None else masked[users]
        if target is not None:
            left_out = left_out.scatter(1, target.unsqueeze(1), True)
        counts = (~left_out).sum(1)
        none = counts == 0
        logs = logs.masked_fill(left_out & ~none.unsqueeze(1), -math.inf)
        found = torch.logsumexp(logs, dim=1) - counts.clamp(min=1).to(logs.dtype).log()
        return torch.where(none, torch.zeros_like(found), found)

    parts = [
        checkpoint(
            block,
            positives[lo : lo + rows_a_block],
            scores,
            owner[lo : lo + rows_a_block],
            None if targets is None else targets[lo : lo + rows_a_block],
            use_reentrant=False,
        )
        for lo in range(0, len(positives), rows_a_block)
    ]
    return torch.cat(parts) if parts else positives


def _log_activation(differences: Tensor, activation: Activation) -> Tensor:
    """The logarithm of an activation that is 1 at 0; bounded away from log 0."""
    if activation == "tanh":  # tanh(x) + 1 = 2 sigmoid(2 x)
        return functional.logsigmoid(2.0 * differences) + math.log(2.0)
    values = torch.atan(differences) + 1.0 if activation == "atan" else functional.relu(differences + 1.0)
    return values.clamp(min=1e-6).log()


def quantile_weights(positives: Tensor, quantiles: Tensor, owner: Tensor, temperature: float) -> Tensor:
    """How much each positive counts, `[r]`: `sigmoid((f_i - b_u) / t)`, without gradient.

    SL@K (Yang et al., KDD 2025): b_u is the user's K-th largest score, so positives count that are among the first K
    or could come there.

    positives: scores `[r]`.  quantiles: b_u `[n]`.
    """
    return torch.sigmoid((positives.detach() - quantiles[owner]) / temperature)

"""The contrast of rvrec with full covariances: the same loss, with the distance of `covariance`."""

from __future__ import annotations

import torch
from torch import Tensor

from .blocks import Similarity
from .covariance import CovarianceHead, full_w2_paired, full_w2_pairwise
from .network import ProbabilityNetwork


class FullNetwork(ProbabilityNetwork):
    """A probability network whose spread is a Cholesky factor, flattened: `[n, width * width]`.

    At the start every factor is the initial spread times the identity, as `ProbabilityNetwork` starts.
    """

    def _start(self, spread: float) -> None:
        head = CovarianceHead(
            self.shared.out_features, self.width, initial_spread=spread, epsilon=self.epsilon
        )
        self.widen = head.to(self.shared.weight.device)  # type: ignore[assignment]

    def _spread(self, state: Tensor) -> Tensor:
        return self.widen(state).flatten(1)


def deviations(factors: Tensor, width: int) -> Tensor:
    """Standard deviations of every dimension, `[n, width]`, of flattened factors `[n, width * width]`."""
    return factors.unflatten(1, (width, width)).norm(dim=2)


def full_contrast(
    queries: Tensor,
    positives: Tensor,
    keys: Tensor,
    *,
    scale: Tensor,
    log_q_keys: Tensor | None,
    log_q_positives: Tensor | None,
    mask: Tensor | None,
    similarity: Similarity,
    budget_bytes: int,
) -> Tensor:
    """Rows of the loss of `contrast`, `[B]`, for rows `[mean; flattened factor]` of width d + d².

    Arguments and meaning are those of `contrast`; the mask is a tensor `[B, N]`.
    Raises `ConfigurationError` where the pairs would take more than `budget_bytes`.
    """
    squared = similarity == "squared"
    query, own, key = _split(queries), _split(positives), _split(keys)
    logits = -scale * full_w2_pairwise(*query, *key, squared=squared, budget_bytes=budget_bytes)
    if log_q_keys is not None:
        logits = logits - log_q_keys
    if mask is not None:
        logits = logits.masked_fill(mask, -torch.inf)
    positive = -scale * full_w2_paired(*query, *own, squared=squared, budget_bytes=budget_bytes)
    if log_q_positives is not None:
        positive = positive - log_q_positives
    return torch.logsumexp(torch.cat([positive.unsqueeze(1), logits], dim=1), dim=1) - positive


def _split(rows: Tensor) -> tuple[Tensor, Tensor]:
    width = round(((1 + 4 * rows.shape[1]) ** 0.5 - 1) / 2)  # d + d² columns
    return rows[:, :width], rows[:, width:].unflatten(1, (width, width))

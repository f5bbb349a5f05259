"""Games with known Shapley values that stand near a game on histories: what they tell need not be sampled.  Ours.

A score by a history is about a sum over its items, a function of how many there are (models normalise by it), and in
sequential models a word of the item that is the last one left.  Each of these parts has its Shapley values in closed
form; a combination of them is fitted to some coalitions, and only what it leaves over is estimated from others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Penalties that generalised cross-validation chooses from, times the number of coalitions.
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Surrogate:
    """features: of masks `[n_masks, n]` (bool) to `[n_masks, m]`.  values: `[m, n]`, the Shapley values of each."""

    features: Callable[[Tensor], Tensor]
    values: Tensor


def of_history(n: int, *, ordered: bool) -> Surrogate:
    """Sums over the items, functions of their number, and (ordered) which item is the last one left.

    Of "item i is the last one left", with k items after it, i gets 1 / (k + 1) and each of the k gets
    -1 / (k (k + 1)): it is worth 1 with i alone before all of them, and nothing with everybody there.
    """
    single = torch.eye(n, dtype=torch.float64)
    sizes = _sizes(torch.tensor([0, n]), n)
    by_size = ((sizes[1] - sizes[0]) / n).unsqueeze(1).expand(-1, n)
    parts = [single, by_size]
    if ordered:
        after = torch.arange(n - 1, -1, -1, dtype=torch.float64)
        later = torch.triu(torch.ones(n, n, dtype=torch.float64), diagonal=1)
        loses = 1 / (after * (after + 1)).clamp_min(1)
        parts.append(torch.diag(1 / (after + 1)) - later * loses.unsqueeze(1))

    def features(masks: Tensor) -> Tensor:
        there = masks.double()
        found = [there, _sizes(masks.sum(1), n)]
        if ordered:
            left = there.flip(1).cumsum(1).flip(1)  # of the item and those after it
            found.append(there * (left == 1))
        return torch.cat(found, dim=1)

    return Surrogate(features, torch.cat(parts))


def _sizes(size: Tensor, n: int) -> Tensor:
    """Functions of how many items are left, `[n_masks, 5]`."""
    share = size.double() / n
    root = share.sqrt()
    return torch.stack(
        [size == 0, root, share.square(), share * root, (1 + size.double()).log()], dim=1
    ).double()


def fitted(features: Tensor, wanted: Tensor) -> Tensor:
    """Coefficients `[m, n_outputs]` of a ridge regression, its penalty by generalised cross-validation."""
    rows = len(features)
    left, scale, right = torch.linalg.svd(features, full_matrices=False)
    turned = left.T @ wanted
    best, chosen = torch.inf, None
    for ridge in _RIDGES:
        shrunk = scale.square() / (scale.square() + ridge * rows)
        residual = wanted - left @ (shrunk.unsqueeze(1) * turned)
        off = float(residual.square().sum() / max(1 - float(shrunk.sum()) / rows, 1e-3) ** 2)
        if off < best:
            best, chosen = off, right.T @ ((shrunk / scale.clamp_min(1e-12)).unsqueeze(1) * turned)
    assert chosen is not None
    return chosen

"""The divergence from a path model's distribution over all items to the backbone's."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .lists import Pairs


def divergence_of_columns(probabilities: Tensor, scores: Tensor, left_out: Pairs | None) -> Tensor:
    """`KL(probabilities || softmax(scores))` over the items that are not left out, of each user: `[b]`.

    As `distil`'s `divergence` of logarithms, in the layout of walks and in few passes.

    probabilities: `[n_items, b]`; what is left of a column is made to sum to 1.  scores: `[n_items, b]`.
    left_out: items by column; None for none.  Padding, item 0, always is.  A column of which nothing is left has 0.
    """
    divergence: Tensor = _Divergence.apply(probabilities, scores, left_out)
    return divergence


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probabilities: Tensor, scores: Tensor, left_out: Pairs | None) -> Tensor:
        chances, logits = probabilities.clone(), scores.clone()
        for values, nothing in ((chances, 0.0), (logits, -math.inf)):
            values[0] = nothing
            if left_out is not None:
                values[left_out.items, left_out.rows] = nothing
        tiny = torch.finfo(chances.dtype).tiny
        totals = chances.sum(0)
        told = totals > 0
        totals = totals.clamp_min(tiny)
        chances /= totals
        normaliser = logits.logsumexp(0)
        normaliser = torch.where(told, normaliser, torch.zeros_like(normaliser))
        # Where nothing is left, whether of the item or by rounding, the difference counts nothing and must be finite.
        differences = torch.where(chances > 0, chances.clamp_min(tiny).log_() - logits, 0.0)
        divergence = (chances * differences).sum(0) + normaliser
        ctx.save_for_backward(chances, differences, logits, normaliser, divergence, totals, told)
        return torch.where(told, divergence, torch.zeros_like(divergence))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        chances, differences, logits, normaliser, divergence, totals, told = ctx.saved_tensors
        gradient = torch.where(told, gradients[0], torch.zeros_like(gradients[0]))
        of_chances = of_scores = None
        if ctx.needs_input_grad[0]:
            of_chances = (differences - (divergence - normaliser)).mul_(gradient / totals)
            of_chances.masked_fill_(chances == 0, 0.0)
        if ctx.needs_input_grad[1]:
            of_scores = (logits - normaliser).exp_().sub_(chances).mul_(gradient)
        return of_chances, of_scores, None

"""The divergence from a path model's distribution over all items to that of a backbone whose scores are products."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .lists import Pairs

#: Scores that are looked at together on a processor: few enough to stay in its cache from one operation to the next.
_BLOCK = 2**17


def divergence_of_walks(probabilities: Tensor, users: Tensor, keys: Tensor, left_out: Pairs | None) -> Tensor:
    """`KL(probabilities || softmax(keys @ users))` over the items that are not left out, of each user: `[b]`.

    As `distil`'s `divergence` of logarithms, in the layout of walks and block after block.

    probabilities: `[n_items, b]`, above 0 but for padding's; what is left of a column is made to sum to 1.
    users: `[b, d]`.  keys: `[n_items, d]`.
    left_out: items by column; None for none.  Padding, item 0, always is.  A column of which nothing is left has 0.
    """
    divergence: Tensor = _Divergence.apply(probabilities, users, keys, left_out)
    return divergence


class _Divergence(torch.autograd.Function):
    """With y the probabilities, s the scores and Y the sum of y: KL = sum(y (log y - s)) / Y - log Y + logsumexp(s)."""

    @staticmethod
    def forward(
        ctx: Any, probabilities: Tensor, users: Tensor, keys: Tensor, left_out: Pairs | None
    ) -> Tensor:
        b, tiny = len(users), torch.finfo(probabilities.dtype).tiny
        nothing = users.new_zeros(b)
        totals, products, sums, highest = (
            nothing.clone(),
            nothing.clone(),
            nothing.clone(),
            nothing - math.inf,
        )
        kept = any(ctx.needs_input_grad)
        scores, differences = (torch.empty_like(probabilities) if kept else None for _ in range(2))
        n_items, _ = probabilities.shape
        blocks = _Blocks(left_out, n_items, b, probabilities.device)
        for here, leave_out in blocks:
            chances = probabilities[here] if left_out is None else leave_out(probabilities[here].clone())
            logits = torch.mm(keys[here], users.t(), out=None if scores is None else scores[here])
            difference = torch.clamp(
                chances, min=tiny, out=None if differences is None else differences[here]
            )
            difference.log_().sub_(logits)
            totals += chances.sum(0)
            products += (chances * difference).sum(0)
            # Relative to the highest so far, as in any log-sum-exp.
            counted = logits if left_out is None and here.start else leave_out(logits.clone(), -math.inf)
            before, highest = highest, torch.maximum(highest, counted.amax(0))
            finite = highest.clamp_min(torch.finfo(highest.dtype).min)
            shares = leave_out((logits - finite).mul_(math.log2(math.e)).exp2_())
            sums = sums * (before - finite).exp() + shares.sum(0)
        told = totals > 0
        totals.clamp_min_(tiny)
        normaliser = torch.where(told, highest + sums.log(), nothing)
        mean = products / totals
        ctx.blocks = blocks
        ctx.save_for_backward(probabilities, users, keys, scores, differences, totals, mean, normaliser, told)
        return torch.where(told, mean - totals.log() + normaliser, nothing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        probabilities, users, keys, scores, differences, totals, mean, normaliser, told = ctx.saved_tensors
        gradient = torch.where(told, gradients[0], torch.zeros_like(totals))
        of_chances, of_users, of_keys = (
            torch.empty_like(one) if needed else None
            for one, needed in zip((probabilities, users, keys), ctx.needs_input_grad, strict=False)
        )
        if of_users is not None:
            of_users.zero_()
        each = gradient / totals
        for here, leave_out in ctx.blocks:
            if of_chances is not None:
                torch.sub(differences[here], mean, out=of_chances[here])
                leave_out(of_chances[here].mul_(each))
            if of_users is None and of_keys is None:
                continue
            shares = (scores[here] - normaliser).mul_(math.log2(math.e)).exp2_().mul_(gradient)
            of_scores = leave_out(shares.addcmul_(probabilities[here], each, value=-1.0))
            if of_users is not None:
                of_users.addmm_(of_scores.t(), keys[here])
            if of_keys is not None:
                torch.mm(of_scores, users, out=of_keys[here])
        return of_chances, of_users, of_keys, None


class _Blocks:
    """Blocks of items, each as a slice with a function that sets what is left out of the block, in place."""

    def __init__(self, left_out: Pairs | None, n_items: int, b: int, device: torch.device) -> None:
        self.n_items, self.some = n_items, max(_BLOCK // max(b, 1), 1)
        if device.type != "cpu":  # one block: it has no such cache, and the host waits for nothing
            self.some = n_items
        self.left_out: tuple[Tensor, Tensor, list[int]] | None = None
        if left_out is not None and self.some >= n_items:
            self.left_out = left_out.items, left_out.rows, [0, len(left_out.items)]
        elif left_out is not None:
            order = left_out.items.argsort(stable=True)
            items, rows = left_out.items[order], left_out.rows[order]
            bounds = torch.arange(0, n_items + self.some, self.some, device=items.device)
            self.left_out = items, rows, torch.searchsorted(items, bounds).tolist()

    def __iter__(self) -> Iterator[tuple[slice, Any]]:
        for number, lo in enumerate(range(0, self.n_items, self.some)):

            def leave_out(block: Tensor, value: float = 0.0, number: int = number, lo: int = lo) -> Tensor:
                if lo == 0:
                    block[0] = value
                if self.left_out is not None:
                    items, rows, bounds = self.left_out
                    these = slice(bounds[number], bounds[number + 1])
                    block[items[these] - lo, rows[these]] = value
                return block

            yield slice(lo, min(lo + self.some, self.n_items)), leave_out

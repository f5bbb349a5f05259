"""Attention over the tokens of a text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class AttentionPooling(nn.Module):
    """DReX equations (2) and (3): t = W b + c for each token, weights softmax(a . t) in a text, their weighted sum.

    width: of the token embeddings b.  size: of the result.

    Both equations are linear in t, so tokens are never projected one by one: a . t differs from (W' a) . b by a
    constant of the text, which softmax ignores, and the sum of weighted t is W times the sum of weighted b, plus c.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, size)
        self.attention = nn.Parameter(torch.empty(size))
        nn.init.normal_(self.attention, std=1 / math.sqrt(size))

    def forward(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """A vector a text, `[n, size]`; a zero vector for one without tokens.

        tokens: `[T, width]`, text after text.  counts: tokens of each text, `[n]`.
        """
        weights = self.weights(tokens, counts).to(tokens.dtype)  # autocast computes them in half precision
        offsets = counts.cumsum(0) - counts
        places = torch.arange(len(tokens), device=tokens.device)
        summed = functional.embedding_bag(places, tokens, offsets, mode="sum", per_sample_weights=weights)
        return self.project(summed) * (counts > 0).unsqueeze(1)

    def weights(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """The weight of each token in its text, `[T]`, summing to one in every text (equation 2)."""
        logits = tokens @ (self.attention @ self.project.weight)
        text = torch.repeat_interleave(torch.arange(len(counts), device=tokens.device), counts)
        # Softmax is the same whatever is taken off; the largest keeps exp from overflowing.
        top = (
            logits.detach()
            .new_full((len(counts),), -math.inf)
            .scatter_reduce(0, text, logits.detach(), "amax")
        )
        raised = (logits - top[text]).exp()
        return raised / raised.new_zeros(len(counts)).index_add(0, text, raised)[text]

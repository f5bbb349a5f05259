"""Walks of a batch of users over all nodes: states `[n, b]`, a column for each user, along meta-paths that share hops.

With x a state, every hop is `x' = (x A + little) / its sum`, or without the division where nodes share what they have.
The sum does not depend on the size of x, so that its gradient is that of what arrives, less what is the same for all.

What makes it cheap: a user's first hop reaches few nodes, and is a list of entries until it is needed as a state; the
last hops of all meta-paths are one hop of the mixture of what they begin from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .graph import Adjacency, Graph, JoinedSteps, Step
from .propagation import (
    divide,
    edge_products,
    edges_of,
    picked,
    row_sums,
    summed,
    summed_at_grad,
    undivided,
)


@dataclass(frozen=True)
class Entries:
    """A state of which few entries are known: of walks `[m]` at nodes `[m]` the values `[m]`.

    little: `[b]`, what each walk has beside that at all nodes (but padding); None for nothing.
    """

    walks: Tensor
    nodes: Tensor
    values: Tensor
    little: Tensor | None
    shape: tuple[int, int]
    padded: bool

    def dense(self) -> Tensor:
        """`[n, b]`."""
        n, b = self.shape
        found = self.values.new_zeros(n, b)
        if self.little is not None:
            found = self.little.expand(n, b)
            if self.padded:
                found = torch.cat([torch.zeros_like(found[:1]), found[1:]])
        return found.index_put((self.nodes, self.walks), self.values, accumulate=True)

    def less(self, left: Tensor) -> Entries:
        """Without the entries that are not left (bool `[m]`)."""
        kept = left.nonzero().squeeze(1)
        return Entries(
            self.walks[kept],
            self.nodes[kept],
            picked(self.values, kept),
            self.little,
            self.shape,
            self.padded,
        )

    def divided(self, little: float) -> Entries:
        """With a little at all nodes, so that each walk's sum is 1."""
        n, b = self.shape
        totals = little * (n - self.padded) + summed_at_grad(self.walks, self.values, b)
        return Entries(
            self.walks,
            self.nodes,
            self.values / picked(totals, self.walks),
            little / totals,
            self.shape,
            self.padded,
        )


def from_users(users: Tensor, weights: Tensor, there: Adjacency, *, padded: bool) -> Entries:
    """The first hop of each user's walk."""
    walks, targets, edges = edges_of(users, there)
    shape = (there.n_columns, len(users))
    return Entries(walks, targets, picked(weights, edges), None, shape, padded)


def divided(state: Tensor, little: float) -> Tensor:
    """What arrives at items `[n_items, b]`, with a little at each but padding, so that each column has the sum 1."""
    found: Tensor = _Divided.apply(state, little)
    return found


class _Divided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, state: Tensor, little: float) -> Tensor:
        found = state.clone()
        ctx.save_for_backward(divide(found, None, little, True), found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return undivided(gradients[0], None, *ctx.saved_tensors), None


def last_hop(
    states: Sequence[Tensor],
    steps: Sequence[Step],
    shares: Tensor,
    weights: Mapping[Step, Tensor],
    graph: Graph,
    little: float,
) -> Tensor:
    """The mixture of what arrives at the items from several states, each made to sum to 1: `[n_items, b]`.

    By one hop, of the states' mixture.  What arrives of each in all is the product of it and what leaves each node.

    states: `[n_from, b]` each.  steps: of each its last.  shares: `[b, n_states]`.  weights: by step.
    little: added first to what arrives, at every item but 0, which is padding.
    """
    joined = graph.joined(list(dict.fromkeys(steps)))
    parts = []
    for step in joined.steps:
        there = graph.adjacency(step)
        parts.append(weights[step] if there.in_order else picked(weights[step], there.edges))
    places = [joined.places[step] for step in steps]
    mixed: Tensor = _LastHop.apply(shares, torch.cat(parts), joined, places, little, *states)
    return mixed


class _LastHop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        shares: Tensor,
        weights: Tensor,
        joined: JoinedSteps,
        places: Sequence[slice],
        little: float,
        *states: Tensor,
    ) -> Tensor:
        there = joined.there
        leaving = row_sums(weights, there)
        totals = torch.stack([leaving[here] @ state for here, state in zip(places, states, strict=True)])
        totals += little * (there.n_columns - 1)
        factors = shares.t() / totals  # [n_states, b]
        merged = states[0].new_empty(there.n_rows, states[0].shape[1])
        begun: set[tuple[int, int]] = set()  # of a type without nodes another step's begin at the same place
        for here, state, factor in zip(places, states, factors, strict=True):
            if (here.start, here.stop) in begun:
                merged[here].addcmul_(state, factor)
            else:
                torch.mul(state, factor, out=merged[here])
            begun.add((here.start, here.stop))
        mixed = summed(joined.back, merged, weights)
        mixed[1:] += little * factors.sum(0)
        ctx.joined, ctx.places, ctx.little = joined, places, little
        ctx.save_for_backward(weights, leaving, factors, totals, merged, *states)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weights, leaving, factors, totals, merged, *states = ctx.saved_tensors
        joined, places, gradient = ctx.joined, ctx.places, gradients[0].contiguous()
        returned = summed(joined.there, gradient, weights)
        of_factors = torch.stack(
            [(state * returned[here]).sum(0) for here, state in zip(places, states, strict=True)]
        )
        of_factors += ctx.little * gradient[1:].sum(0)
        of_totals = -of_factors * factors / totals
        of_weights = None
        if ctx.needs_input_grad[1]:
            of_leaving = torch.zeros_like(leaving)
            for here, state, one in zip(places, states, of_totals, strict=True):
                of_leaving[here] += state @ one
            of_weights = edge_products(joined.there, joined.back, merged, gradient)
            of_weights += of_leaving.index_select(0, joined.begins)
        needed = ctx.needs_input_grad[5:]
        of_states = [
            (returned[here] * factor).addcmul_(leaving[here].unsqueeze(1), one) if wanted else None
            for here, factor, one, wanted in zip(places, factors, of_totals, needed, strict=True)
        ]
        return (of_factors / totals).t(), of_weights, None, None, None, *of_states

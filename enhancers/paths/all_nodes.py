"""Walks of a batch of users over all nodes: states `[n, b]`, a column for each user, along meta-paths that share hops.

With x a state, every hop is `x' = (x A + little) / its sum`, or without the division where nodes share what they have.
The sum does not depend on the size of x, so that its gradient is that of what arrives, less what is the same for all.

What makes it cheap: a user's first hop, and often the second, reaches few nodes, and such a state is a list of entries;
the last hops along the same edges are one hop of the mixture of what they begin from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .graph import Adjacency
from .propagation import edge_products, edges_of, hop, picked, row_sums, summed, summed_at_grad

#: How many entries of a hop over all nodes take the time of one that is added by itself.
_CHEAPER = 8


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

    def hop(self, weights: Tensor, there: Adjacency, back: Adjacency) -> Tensor:
        """As `hop` of the dense state: `[n_to, b]`."""
        if self.values.device.type != "cpu":
            return hop(self.dense(), weights, there, back)
        degrees = there.starts[self.nodes + 1] - there.starts[self.nodes]
        if int(degrees.sum()) * _CHEAPER > len(there.neighbours) * self.shape[1]:
            return hop(self.dense(), weights, there, back)
        which, targets, edges = edges_of(self.nodes, there)
        b = self.shape[1]
        values = picked(self.values, which) * picked(weights, edges)
        arrived = summed_at_grad(targets * b + self.walks[which], values, there.n_columns * b)
        arrived = arrived.view(there.n_columns, b)
        if self.little is None:
            return arrived
        # Edges that begin at padding do not exist, so that all of a node's have the little.
        everywhere = hop(weights.new_ones(there.n_rows, 1), weights, there, back)
        return torch.addmm(arrived, everywhere, self.little.unsqueeze(0))


def from_users(users: Tensor, weights: Tensor, there: Adjacency, *, padded: bool) -> Entries:
    """The first hop of each user's walk."""
    walks, targets, edges = edges_of(users, there)
    shape = (there.n_columns, len(users))
    return Entries(walks, targets, picked(weights, edges), None, shape, padded)


def finished(
    arrived: Tensor, little: float | None, *, padded: bool, own: Tensor | None
) -> Tensor:
    """What arrived `[n, b]` as the next state.

    little: added at each node (but padding, where the type has it), before each column is divided by its sum; None for
    neither.  own: nodes `[b]` where the walk of each column ends.
    """
    if little is None and own is None:
        return arrived
    state: Tensor = _Finished.apply(arrived, little, padded, own)
    return state


class _Finished(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, arrived: Tensor, little: float | None, padded: bool, own: Tensor | None) -> Tensor:
        state = arrived.clone()
        if own is not None:
            state[own, torch.arange(len(own), device=own.device)] = 0.0
        totals = None
        if little is not None:
            state[int(padded) :] += little
            totals = state.sum(0)
            state /= totals
        ctx.save_for_backward(state, totals, own)
        return state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        state, totals, own = ctx.saved_tensors
        (gradient,) = gradients
        if totals is None:
            gradient = gradient.clone()
        else:
            gradient = (gradient - (gradient * state).sum(0)).div_(totals)
        if own is not None:
            gradient[own, torch.arange(len(own), device=own.device)] = 0.0
        return gradient, None, None, None


def last_hop(
    states: Sequence[Tensor],
    shares: Tensor,
    weights: Tensor,
    there: Adjacency,
    back: Adjacency,
    begins: Tensor,
    little: float,
) -> Tensor:
    """The mixture of what arrives from several states along one step, each made to sum to 1: `[n_to, b]`.

    By one hop: that of the states' mixture.  What arrives of each in all is the sum of its product with what leaves each
    node.

    states: `[n_from, b]` each.  shares: `[b, n_states]`.  begins: where edges begin, in the relation's order.
    little: added first to what arrives, at every node but 0, which is padding.
    """
    mixed: Tensor = _LastHop.apply(shares, weights, there, back, begins, little, *states)
    return mixed


class _LastHop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        shares: Tensor,
        weights: Tensor,
        there: Adjacency,
        back: Adjacency,
        begins: Tensor,
        little: float,
        *states: Tensor,
    ) -> Tensor:
        leaving = row_sums(weights, there)
        totals = torch.stack([leaving @ state for state in states], 1) + little * (there.n_columns - 1)
        factors = shares / totals
        merged = states[0] * factors[:, 0]
        for number, state in enumerate(states[1:], start=1):
            merged.addcmul_(state, factors[:, number])
        mixed = summed(back, merged, weights)
        mixed[1:] += little * factors.sum(1)
        ctx.there, ctx.back, ctx.little = there, back, little
        ctx.save_for_backward(weights, begins, leaving, factors, totals, merged, *states)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weights, begins, leaving, factors, totals, merged, *states = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        returned = summed(ctx.there, gradient, weights)
        everywhere = ctx.little * gradient[1:].sum(0)
        of_factors = torch.stack([(state * returned).sum(0) + everywhere for state in states], 1)
        of_totals = -of_factors * factors / totals
        of_weights = None
        if ctx.needs_input_grad[1]:
            of_weights = edge_products(ctx.there, ctx.back, merged, gradient)
            of_leaving = sum(state @ of_totals[:, number] for number, state in enumerate(states))
            of_weights += of_leaving[begins]
        of_states = [
            (returned * factors[:, number]).addcmul_(leaving.unsqueeze(1), of_totals[:, number])
            if needed
            else None
            for number, needed in enumerate(ctx.needs_input_grad[6:])
        ]
        return of_factors / totals, of_weights, None, None, None, None, *of_states


def mixed_states(states: Sequence[Tensor], shares: Tensor, little: float) -> Tensor:
    """The mixture of states, each made to sum to 1: `[n, b]`.

    states: `[n, b]` each.  shares: `[b, n_states]`.  little: added first, at every node but 0, which is padding.
    """
    mixed = torch.zeros_like(states[0])
    for number, state in enumerate(states):
        mixed = mixed + finished(state, little, padded=True, own=None) * shares[:, number]
    return mixed

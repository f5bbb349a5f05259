"""One hop of a propagation over weighted edges: dense states of all nodes, or a list of the largest ones.

Both are differentiable in the state and in the edges' weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .graph import Adjacency


class _GradientOfState(torch.autograd.Function):
    """Hands on what a hop gave; backwards, gives the gradient of the state that it came from.

    `embedding_bag` has a gradient for the state, too, and makes it by adding row after row; the product with the edges
    the other way round is many times faster.
    """

    @staticmethod
    def forward(ctx: Any, given: Tensor, state: Tensor, weights: Tensor, there: Adjacency) -> Tensor:
        ctx.there = there
        ctx.save_for_backward(weights)
        return given.view_as(given)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        (weights,) = ctx.saved_tensors
        return gradient, _summed(ctx.there, gradient.contiguous(), weights), None, None


def _summed(adjacency: Adjacency, rows: Tensor, weights: Tensor) -> Tensor:
    """For each of `adjacency`'s rows the weighted sum of its neighbours' rows `[n_columns, b]`: `[n_rows, b]`."""
    return functional.embedding_bag(
        adjacency.neighbours,
        rows,
        adjacency.starts,
        mode="sum",
        per_sample_weights=weights[adjacency.edges],
        include_last_offset=True,
    )


def hop(state: Tensor, weights: Tensor, there: Adjacency, back: Adjacency) -> Tensor:
    """What arrives at the nodes behind a step: the sum over edges of the state at their beginning times their weight.

    state: `[n_from, b]`, a column for each walk.  weights: `[e]`, in the relation's order.  there, back: the step's
    edges by where they begin, and by where they end.  `[n_to, b]`.
    """
    given = _summed(back, state.detach(), weights)
    if state.requires_grad:
        given = _GradientOfState.apply(given, state, weights.detach(), there)
    return given


def first_hop(nodes: Tensor, weights: Tensor, there: Adjacency) -> Tensor:
    """As `hop`, from a single node for each walk `[b]`: `[n_to, b]`."""
    walks, targets, edges = edges_of(nodes, there)
    state = weights.new_zeros(there.n_columns, len(nodes))
    return state.index_put((targets, walks), weights[edges])


def edges_of(nodes: Tensor, there: Adjacency) -> tuple[Tensor, Tensor, Tensor]:
    """The edges that begin at some nodes `[b]`: which of the nodes, where they end, and their numbers, `[n]` each."""
    degrees = there.starts[nodes + 1] - there.starts[nodes]
    which = torch.arange(len(nodes), device=nodes.device).repeat_interleave(degrees)
    within = torch.arange(len(which), device=nodes.device) - (degrees.cumsum(0) - degrees)[which]
    places = there.starts[nodes][which] + within
    return which, there.neighbours[places], there.edges[places]


def listed_hop(
    nodes: Tensor, values: Tensor, weights: Tensor, there: Adjacency, most: int
) -> tuple[Tensor, Tensor]:
    """As `hop`, from a list of nodes to a list of those where most arrives; what goes elsewhere is lost.

    Memory and time go by the edges of the listed nodes, whatever the size of the graph.

    nodes, values: `[b, k]`; a value of 0 is an empty place.  most: length of the new lists, or less where fewer arrive.
    Values fall along a list; among equal ones the lower node comes first.
    """
    b, k = nodes.shape
    flat = values.flatten()
    full = flat.detach().ne(0).nonzero().squeeze(1)
    which, targets, edges = edges_of(nodes.flatten()[full], there)
    places = full[which]
    keys, arrived = torch.unique((places // k) * there.n_columns + targets, return_inverse=True)
    sums = values.new_zeros(len(keys)).index_add(0, arrived, flat[places] * weights[edges])
    walks, ends = keys // there.n_columns, keys % there.n_columns
    order = sums.detach().argsort(
        descending=True, stable=True
    )  # keys ascend, so lower nodes are first among equals
    order = order[walks[order].argsort(stable=True)]
    counts = torch.bincount(walks, minlength=b)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[walks[order]]
    kept = order[rank < most]
    width = int(counts.clamp(max=most).max()) if len(counts) else 0
    at = (walks[kept], rank[rank < most])
    new_nodes = nodes.new_zeros(b, width).index_put(at, ends[kept])
    return new_nodes, values.new_zeros(b, width).index_put(at, sums[kept])


class _Mixture(torch.autograd.Function):
    """What `mixed_states` says, with a gradient in as few passes over all nodes as can be."""

    @staticmethod
    def forward(ctx: Any, shares: Tensor, little: float, *states: Tensor) -> Tensor:
        totals = torch.stack([state.sum(0) for state in states], 1) + little * (len(states[0]) - 1)
        factors = shares / totals
        mixed = states[0] * factors[:, 0]
        for number, state in enumerate(states[1:], start=1):
            mixed.addcmul_(state, factors[:, number])
        if little:
            mixed[1:] += little * factors.sum(1)
        ctx.little = little
        ctx.save_for_backward(factors, totals, *states)
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        factors, totals, *states = ctx.saved_tensors
        everywhere = ctx.little * gradient[1:].sum(0) if ctx.little else 0.0
        products = torch.stack([(gradient * state).sum(0) + everywhere for state in states], 1)
        offsets = products * factors / totals
        of_states = [
            torch.addcmul(-offsets[:, number], gradient, factors[:, number]) if needed else None
            for number, needed in enumerate(ctx.needs_input_grad[2:])
        ]
        return products / totals, None, *of_states


def mixed_states(states: Sequence[Tensor], shares: Tensor, little: float) -> Tensor:
    """The mixture of states, each made to sum to 1: `[n, b]`.

    states: `[n, b]` each.  shares: `[b, n_states]`.  little: added first, at every node but 0, which is padding.
    """
    mixed: Tensor = _Mixture.apply(shares, little, *states)
    return mixed

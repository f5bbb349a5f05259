"""One hop of a propagation over weighted edges: of all nodes at once, or from single ones.

Everything is differentiable in the states and in the edges' weights, and adds in one order, so that the same numbers
come out every time.  Backwards, a hop is a product with the edges the other way round, and one scalar product an edge.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from .graph import Adjacency

#: Numbers that are gathered at once where scalar products of edges are computed by gathering.
_GATHERED = 2**24


def hop(
    state: Tensor,
    weights: Tensor,
    there: Adjacency,
    back: Adjacency,
    *,
    own: Tensor | None = None,
    little: float | None = None,
    padded: bool = False,
) -> Tensor:
    """What arrives at the nodes behind a step: the sum over edges of the state at their beginning times their weight.

    state: `[n_from, b]`, a column for each walk.  weights: `[e]`, in the relation's order.  there, back: the step's
    edges by where they begin, and by where they end.  `[n_to, b]`.

    own: nodes `[b]` where nothing of each walk arrives.  little: added at each node (but node 0, where `padded`),
    before each column is divided by its sum; None for neither.
    """
    arrived: Tensor = _Hop.apply(state, weights, there, back, own, little, padded)
    return arrived


def first_hop(nodes: Tensor, weights: Tensor, there: Adjacency) -> Tensor:
    """As `hop`, from a single node for each walk `[b]`: `[n_to, b]`."""
    walks, targets, edges = edges_of(nodes, there)
    state = weights.new_zeros(there.n_columns, len(nodes))
    return state.index_put((targets, walks), picked(weights, edges))


def edges_of(nodes: Tensor, there: Adjacency) -> tuple[Tensor, Tensor, Tensor]:
    """The edges that begin at some nodes `[b]`: which of the nodes, where they end, and their numbers, `[n]` each."""
    degrees = there.starts[nodes + 1] - there.starts[nodes]
    which = torch.arange(len(nodes), device=nodes.device).repeat_interleave(degrees)
    within = torch.arange(len(which), device=nodes.device) - (degrees.cumsum(0) - degrees)[which]
    places = there.starts[nodes][which] + within
    return which, there.neighbours[places], there.edges[places]


def row_sums(weights: Tensor, there: Adjacency) -> Tensor:
    """The sum of the weights of each node's edges, by where they begin: `[n_from]`.  Without a gradient."""
    return summed(there, weights.new_ones(there.n_columns, 1), weights).squeeze(1)


def summed(adjacency: Adjacency, rows: Tensor, weights: Tensor) -> Tensor:
    """For each of `adjacency`'s rows the weighted sum of its neighbours' rows `[n_columns, b]`: `[n_rows, b]`.

    Without a gradient.
    """
    return functional.embedding_bag(
        adjacency.neighbours,
        rows.detach(),
        adjacency.starts,
        mode="sum",
        per_sample_weights=adjacency.ordered(weights.detach()),
        include_last_offset=True,
    )


def edge_products(there: Adjacency, back: Adjacency, at_begin: Tensor, at_end: Tensor) -> Tensor:
    """For each edge the scalar product of the rows at its two ends: `[e]`, in the relation's order.

    at_begin: `[n_from, b]`.  at_end: `[n_to, b]`.  Without a gradient.
    """
    rows, columns, edges = (at_begin, at_end, there) if there.in_order else (at_end, at_begin, back)
    if not len(edges.neighbours) or not rows.shape[1]:
        return rows.new_zeros(len(edges.neighbours))
    if rows.device.type == "cpu":
        # Three times as fast as what `embedding_bag` has for it.
        pattern = edges.pattern(rows.dtype)
        return torch.sparse.sampled_addmm(pattern, rows, columns.t(), beta=0.0).values()
    return gathered_products(edges, rows, columns)


def gathered_products(edges: Adjacency, rows: Tensor, columns: Tensor) -> Tensor:
    """As `edge_products`, by gathering rows of both ends `[n, b]`, so many at a time."""
    places = torch.arange(len(edges.neighbours), device=rows.device)
    begins = torch.searchsorted(edges.starts, places, right=True) - 1
    some = max(_GATHERED // rows.shape[1], 1)
    return torch.cat(
        [
            (rows[one] * columns[other]).sum(1)
            for one, other in zip(begins.split(some), edges.neighbours.split(some), strict=True)
        ]
    )


class _Hop(torch.autograd.Function):
    """See `hop`; both gradients of it."""

    @staticmethod
    def forward(
        ctx: Any,
        state: Tensor,
        weights: Tensor,
        there: Adjacency,
        back: Adjacency,
        own: Tensor | None,
        little: float | None,
        padded: bool,
    ) -> Tensor:
        arrived = summed(back, state, weights)
        totals = divide(arrived, own, little, padded)
        ctx.there, ctx.back = there, back
        ctx.save_for_backward(state, weights, own, totals, None if totals is None else arrived)
        return arrived

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        state, weights, own, totals, arrived = ctx.saved_tensors
        gradient = undivided(gradients[0].contiguous(), own, totals, arrived)
        of_state = summed(ctx.there, gradient, weights) if ctx.needs_input_grad[0] else None
        of_weights = edge_products(ctx.there, ctx.back, state, gradient) if ctx.needs_input_grad[1] else None
        return of_state, of_weights, None, None, None, None, None


def divide(arrived: Tensor, own: Tensor | None, little: float | None, padded: bool) -> Tensor | None:
    """What `hop` does with what arrived `[n, b]`, in place; what each column was divided by, if it was."""
    if own is not None:
        arrived[own, torch.arange(len(own), device=own.device)] = 0.0
    if little is None:
        return None
    totals = arrived.sum(0) + little * (len(arrived) - padded)
    torch.addcmul(little / totals, arrived, 1.0 / totals, out=arrived)  # one pass for sum and division
    if padded:
        arrived[0] = 0.0
    return totals


def undivided(gradient: Tensor, own: Tensor | None, totals: Tensor | None, divided: Tensor | None) -> Tensor:
    """From the gradient of what `divide` left that of what arrived."""
    if totals is not None and divided is not None:
        gradient = (gradient - (gradient * divided).sum(0)).div_(totals)
    if own is not None:
        gradient = gradient.clone() if totals is None else gradient
        gradient[own, torch.arange(len(own), device=own.device)] = 0.0
    return gradient


# ---------------------------------------------------------------------- sums in one order


def summed_at(places: Tensor, values: Tensor, n: int) -> Tensor:
    """Sums of values `[m]` by place: `[n]`."""
    sums = values.new_zeros(n)
    if values.device.type == "cpu":
        return sums.index_add(0, places, values)  # one after another, whatever the number of threads
    return sums.index_put((places,), values, accumulate=True)  # sorted first


def picked(values: Tensor, places: Tensor) -> Tensor:
    """`values[places]`, one-dimensional, with a gradient that adds in one order."""
    found: Tensor = _Picked.apply(values, places)
    return found


class _Picked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor) -> Tensor:
        ctx.n = len(values)
        ctx.save_for_backward(places)
        return values.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (places,) = ctx.saved_tensors
        return summed_at(places, gradients[0].contiguous(), ctx.n), None


def summed_at_grad(places: Tensor, values: Tensor, n: int) -> Tensor:
    """`summed_at` with a gradient."""
    found: Tensor = _Summed.apply(places, values, n)
    return found


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, places: Tensor, values: Tensor, n: int) -> Tensor:
        ctx.save_for_backward(places)
        return summed_at(places, values, n)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (places,) = ctx.saved_tensors
        return None, gradients[0].index_select(0, places), None


class _Shares(torch.autograd.Function):
    """See `shares_of_nodes`."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, there: Adjacency, begins: Tensor) -> Tensor:
        # A weight far below 0 becomes 0 in float32: 0 / 0 otherwise, where all of a node's do.
        sums = row_sums(weights, there).clamp_min(torch.finfo(weights.dtype).tiny)
        sums = sums.index_select(0, begins)
        shares = weights / sums
        ctx.there = there
        ctx.save_for_backward(shares, sums, begins)
        return shares

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        shares, sums, begins = ctx.saved_tensors
        (gradient,) = gradients
        common = row_sums(gradient * shares, ctx.there).index_select(0, begins)
        return (gradient - common) / sums, None, None


def shares_of_nodes(weights: Tensor, there: Adjacency, begins: Tensor) -> Tensor:
    """Weights `[e]` divided by the sum of those that begin at the same node, so that a node's sum to 1.

    begins: where edges begin, in the relation's order.
    """
    shares: Tensor = _Shares.apply(weights, there, begins)
    return shares

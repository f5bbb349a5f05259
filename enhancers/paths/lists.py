"""Walks as lists of the nodes where most arrives, in the place of states of all nodes; and pairs of rows and items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .graph import Adjacency
from .propagation import edges_of, picked, summed_at, summed_at_grad

#: Edges that are followed together; of a walk that has more at a hop, all of its own.
_TOGETHER = 2**20


@dataclass(frozen=True)
class Pairs:
    """Items of each row of a batch: rows and items `[m]`, in ascending order of (row, item), none of them twice."""

    rows: Tensor
    items: Tensor
    n_items: int

    def holds(self, rows: Tensor, items: Tensor) -> Tensor:
        """Whether each pair is among these: bool of the shape of `rows` and `items`."""
        return _places(self.rows * self.n_items + self.items, rows * self.n_items + items)[1]

    def where(self, chosen: Tensor) -> Pairs:
        """Those that are chosen (bool `[m]`)."""
        return Pairs(self.rows[chosen], self.items[chosen], self.n_items)


def _places(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where each wanted number is among ascending keys `[m]`, and whether it is there at all."""
    if not len(keys):
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    places = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
    return places, keys[places] == wanted


# ---------------------------------------------------------------------- one hop


def listed_hop(
    nodes: Tensor, values: Tensor, weights: Tensor, there: Adjacency, most: int
) -> tuple[Tensor, Tensor]:
    """As `hop`, from a list of nodes to a list of those where most arrives; what goes elsewhere is lost.

    Memory goes by the lists and by the edges of the nodes of one walk, time by those of all, whatever the size of the
    graph.

    nodes, values: `[b, k]`; a value of 0 is an empty place.  most: length of the new lists, or less where fewer arrive.
    Values fall along a list; among equal ones the lower node comes first.
    """
    arrived: tuple[Tensor, Tensor] = _ListedHop.apply(values, weights, nodes, there, most)
    return arrived


class _ListedHop(torch.autograd.Function):
    """Some walks after others; edges are followed a second time in the backward pass, so that none are held."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weights: Tensor, nodes: Tensor, there: Adjacency, most: int
    ) -> tuple[Tensor, Tensor]:
        parts = [
            _arrived(nodes[here], values[here], weights, there, most)
            for here in _together(nodes, values, there)
        ]
        width = max((part[0].shape[1] for part in parts), default=0)
        new_nodes, new_values = nodes.new_zeros(len(nodes), width), values.new_zeros(len(nodes), width)
        first = 0
        for some, sums in parts:
            here = slice(first, first + len(some))
            new_nodes[here, : some.shape[1]], new_values[here, : some.shape[1]] = some, sums
            first = here.stop
        ctx.there = there
        ctx.save_for_backward(values, weights, nodes, new_nodes, new_values)
        ctx.mark_non_differentiable(new_nodes)
        return new_nodes, new_values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        values, weights, nodes, new_nodes, new_values = ctx.saved_tensors
        there, n = ctx.there, ctx.there.n_columns
        of_values, of_weights = torch.zeros_like(values), torch.zeros_like(weights)
        for here in _together(nodes, values, there):
            full, which, targets, edges = _followed(nodes[here], values[here], there)
            walks = torch.arange(len(nodes[here]), device=nodes.device)
            listed = new_values[here] != 0
            keys, order = (walks.unsqueeze(1) * n + new_nodes[here])[listed].sort()
            places, found = _places(keys, (full[which] // nodes.shape[1]) * n + targets)
            kept = found.nonzero().squeeze(1)
            of_these = gradients[1][here][listed][order][places[kept]]
            places, edges = full[which[kept]], edges[kept]
            of_values[here] = summed_at(places, of_these * weights[edges], values[here].numel()).view_as(
                values[here]
            )
            of_weights += summed_at(edges, of_these * values[here].flatten()[places], len(weights))
        return of_values, of_weights, None, None, None


def _together(nodes: Tensor, values: Tensor, there: Adjacency) -> Iterator[slice]:
    """Walks whose edges are followed together."""
    degrees = (there.starts[nodes + 1] - there.starts[nodes]).masked_fill(values == 0, 0).sum(1)
    first, so_far = 0, 0
    for walk, more in enumerate(degrees.tolist()):
        if so_far and so_far + more > _TOGETHER:
            yield slice(first, walk)
            first, so_far = walk, 0
        so_far += more
    if len(nodes):
        yield slice(first, len(nodes))


def _followed(nodes: Tensor, values: Tensor, there: Adjacency) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Places `[f]` of lists that are not empty; edges from there: from which of these, where to, and their numbers."""
    full = values.flatten().ne(0).nonzero().squeeze(1)
    return full, *edges_of(nodes.flatten()[full], there)


def _arrived(
    nodes: Tensor, values: Tensor, weights: Tensor, there: Adjacency, most: int
) -> tuple[Tensor, Tensor]:
    """See `listed_hop`."""
    b, k = nodes.shape
    full, which, targets, edges = _followed(nodes, values, there)
    places = full[which]
    keys, arrived = torch.unique((places // k) * there.n_columns + targets, return_inverse=True)
    sums = summed_at(arrived, values.flatten()[places] * weights[edges], len(keys))
    walks, ends = keys // there.n_columns, keys % there.n_columns
    order = sums.argsort(descending=True, stable=True)  # keys ascend, so lower nodes are first among equals
    order = order[walks[order].argsort(stable=True)]
    counts = torch.bincount(walks, minlength=b)
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[walks[order]]
    kept = order[rank < most]
    width = int(counts.clamp(max=most).max()) if len(counts) else 0
    at = (walks[kept], rank[rank < most])
    new_nodes = nodes.new_zeros(b, width).index_put(at, ends[kept])
    return new_nodes, values.new_zeros(b, width).index_put(at, sums[kept])


# ---------------------------------------------------------------------- a mixture of lists


@dataclass(frozen=True)
class MixedLists:
    """Distributions over items: some of each row with probabilities of their own, all others alike.

    keys: `[m]`, ascending, row times n_items plus item.  values: `[m]`, what these have beside what all have.
    everywhere: `[b]`, what all items have but padding, which has nothing.
    """

    keys: Tensor
    values: Tensor
    everywhere: Tensor
    n_items: int

    @property
    def rows(self) -> Tensor:
        """Of each listed item its row, `[m]`."""
        return self.keys // self.n_items

    @property
    def items(self) -> Tensor:
        """`[m]`."""
        return self.keys % self.n_items

    def detach(self) -> MixedLists:
        """The same without gradients."""
        return MixedLists(self.keys, self.values.detach(), self.everywhere.detach(), self.n_items)

    def at(self, rows: Tensor, items: Tensor) -> Tensor:
        """Probabilities of items (not padding), of one shape with `rows` and `items`."""
        shape, rows, items = items.shape, rows.flatten(), items.flatten()
        places, found = _places(self.keys, rows * self.n_items + items)
        listed = (
            picked(self.values, places) * found if len(self.keys) else self.everywhere.new_zeros(len(rows))
        )
        return (listed + picked(self.everywhere, rows)).view(shape)

    def rest(self, without: Pairs) -> Tensor:
        """What all items have but some: `[b]`."""
        b = len(self.everywhere)
        stays = ~without.holds(self.rows, self.items)
        counts = self.n_items - 1 - torch.bincount(without.rows, minlength=b)
        return summed_at_grad(self.rows, self.values * stays, b) + self.everywhere * counts

    def best(self, most: int, without: Pairs | None) -> Tensor:
        """Of each row the listed items with the largest probabilities, but some: `[b, k]`, 0 where there are fewer."""
        values, rows = self.values.detach(), self.rows
        if without is not None:
            values = values * ~without.holds(rows, self.items)
        order = values.argsort(descending=True, stable=True)
        order = order[values[order] > 0]
        order = order[rows[order].argsort(stable=True)]
        counts = torch.bincount(rows[order], minlength=len(self.everywhere))
        rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[rows[order]]
        kept = order[rank < most]
        width = int(counts.clamp(max=most).max()) if len(counts) else 0
        items = self.keys.new_zeros(len(self.everywhere), width)
        return items.index_put((rows[kept], rank[rank < most]), self.items[kept])

    def columns(self) -> Tensor:
        """All probabilities, `[n_items, b]`."""
        shape = (self.n_items, len(self.everywhere))
        found = torch.cat([self.everywhere.new_zeros(1, shape[1]), self.everywhere.expand(shape[0] - 1, -1)])
        return found.index_put((self.items, self.rows), self.values, accumulate=True)  # no place comes twice


def mixed_lists(
    lists: Sequence[tuple[Tensor, Tensor]], shares: Tensor, n_items: int, little: float
) -> MixedLists:
    """The mixture of lists, each made to sum to 1.

    lists: items and values, `[b, k]` each; a value of 0 is an empty place.  shares: `[b, n_lists]`.
    little: added first, at every item.
    """
    b = len(shares)
    totals = torch.stack([values.sum(1) for _, values in lists], 1) + little * (n_items - 1)
    factors = shares / totals
    keys, values = [], []
    for number, (items, amounts) in enumerate(lists):
        rows, places = (amounts.detach() != 0).nonzero(as_tuple=True)
        keys.append(rows * n_items + items[rows, places])
        flat = picked(amounts.reshape(-1), rows * amounts.shape[1] + places)
        values.append(flat * picked(factors[:, number].contiguous(), rows))
    every, which = torch.unique(torch.cat(keys), return_inverse=True)
    sums = summed_at_grad(which, torch.cat(values), len(every))
    return MixedLists(every, sums, (little * factors).sum(1).view(b), n_items)

"""Walks as lists of the nodes where most arrives, in the place of states of all nodes; and pairs of rows and items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .graph import Adjacency
from .propagation import edges_of


@dataclass(frozen=True)
class Pairs:
    """Items of each row of a batch: rows and items `[m]`, in ascending order of (row, item), none of them twice."""

    rows: Tensor
    items: Tensor
    n_items: int

    def holds(self, rows: Tensor, items: Tensor) -> Tensor:
        """Whether each pair is among these: bool of the shape of `rows` and `items`."""
        if not len(self.rows):
            return torch.zeros_like(rows, dtype=torch.bool)
        keys, wanted = self.rows * self.n_items + self.items, rows * self.n_items + items
        places = torch.searchsorted(keys, wanted.contiguous()).clamp(max=len(keys) - 1)
        return keys[places] == wanted

    def where(self, chosen: Tensor) -> Pairs:
        """Those that are chosen (bool `[m]`)."""
        return Pairs(self.rows[chosen], self.items[chosen], self.n_items)


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

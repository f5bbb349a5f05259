"""A user's walks along all meta-paths of a path model: what arrives where, and the best way to each node.

In float64 on the host, layer by layer; meta-paths share the layers of prefixes that they share.  This is a snapshot of
the model's weights: make a new one when the model has been trained further.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from burnish.checks import whole_number
from burnish.errors import DataError

from .graph import ITEM, USER, Graph, Step
from .lists import listed_hop
from .path_model import EPSILON, PathModel

Array = np.ndarray[Any, np.dtype[Any]]


class StepEdges:
    """A step's edges with the model's weights, as arrays, by where they begin and by where they end."""

    def __init__(self, model: PathModel, step: Step) -> None:
        there, back = model.graph.adjacency(step), model.graph.adjacency(step.back())
        weights = model.edge_weights(step).detach().double().cpu().numpy()
        self.n_from, self.n_to = there.n_rows, there.n_columns
        self._starts, self._ends, self._weights = _rows(there, weights)
        self._back_starts, self._origins, self._back_weights = _rows(back, weights)
        shape = (self.n_to, self.n_from)
        self._matrix = sp.csr_matrix((self._back_weights, self._origins, self._back_starts), shape)
        self._filled = np.flatnonzero(np.diff(self._back_starts))

    def arriving(self, states: Array) -> Array:
        """Of states `[n_from, s]` what arrives: the sums over edges of state times weight, `[n_to, s]`."""
        arrived: Array = self._matrix @ states
        return arrived

    def best_arriving(self, best: Array) -> Array:
        """As `arriving` of `[n_from]`, with the largest term in the place of the sum."""
        found = np.zeros(self.n_to)
        if len(self._filled):
            terms = best[self._origins] * self._back_weights
            found[self._filled] = np.maximum.reduceat(terms, self._back_starts[self._filled])
        return found

    def from_one(self, node: int) -> Array:
        """What arrives from a single node, where there is 1: `[n_to]`."""
        found = np.zeros(self.n_to)
        ends, weights = self.out_of(node)
        found[ends] = weights
        return found

    def out_of(self, node: int) -> tuple[Array, Array]:
        """Where the edges of a node lead, ascending, and their weights."""
        here = slice(self._starts[node], self._starts[node + 1])
        return self._ends[here], self._weights[here]

    def into(self, node: int) -> tuple[Array, Array]:
        """Where the edges that end at a node begin, ascending, and their weights."""
        here = slice(self._back_starts[node], self._back_starts[node + 1])
        return self._origins[here], self._back_weights[here]

    def weight(self, begin: int, end: int) -> float:
        """Of one edge; 0 where there is none."""
        ends, weights = self.out_of(begin)
        place = int(np.searchsorted(ends, end))
        return float(weights[place]) if place < len(ends) and ends[place] == end else 0.0


def _rows(adjacency: Any, weights: Array) -> tuple[Array, Array, Array]:
    edges = adjacency.edges.cpu().numpy()
    return adjacency.starts.cpu().numpy(), adjacency.neighbours.cpu().numpy(), weights[edges]


@dataclass
class Layer:
    """What one user's walks along a prefix bring to each node behind its last step.

    best: `[n]`, the largest product of edge weights over the ways to the node, 0 where none leads.
    state: `[n]`, what the model has there.  by_paths: `[n]`, the part of it that walks brought, less the little that
    the model puts everywhere.  divisor: by which the model divided at this hop.
    """

    edges: StepEdges
    best: Array
    state: Array
    by_paths: Array
    divisor: float
    _into: dict[int, tuple[Array, Array]] = field(default_factory=dict, repr=False)

    def best_into(self, node: int, before: Array) -> tuple[Array, Array]:
        """Nodes of the layer before from which this one is reached, the best first, and how good each is.

        before: `[n_from]`, that layer's `best`.  How good: relative to the best one, so that the first has exactly 1.
        """
        found = self._into.get(node)
        if found is None:
            origins, weights = self.edges.into(node)
            products = before[origins] * weights
            order = np.argsort(-products, kind="stable")
            order = order[products[order] > 0]
            ratios = products[order]
            found = origins[order], ratios / ratios[0] if len(ratios) else ratios
            self._into[node] = found
        return found


class WalkTables:
    """A path model's weights as arrays, from which the layers of any user are computed.

    Parameters
    ----------
    model
        Whose weights are read, once.
    returning
        Whether the best ways may come back to the user in the middle, where the model's walks go on from there.
    """

    def __init__(self, model: PathModel, *, returning: bool = False) -> None:
        self.model, self.graph, self.returning = model, model.graph, returning
        steps = dict.fromkeys(step for path in model.metapaths for step in path.steps)
        self.edges = {step: StepEdges(model, step) for step in steps}
        with torch.no_grad():
            self._weights = {step: model.edge_weights(step) for step in steps} if model.most else {}

    def layers(self, user: int) -> dict[tuple[Step, ...], Layer]:
        """By prefix of a meta-path; the whole path's is without the division at its end (`ended`)."""
        layers: dict[tuple[Step, ...], Layer] = {}
        lists: dict[tuple[Step, ...], tuple[torch.Tensor, torch.Tensor]] = {}
        for path in self.model.metapaths:
            for length in range(1, len(path) + 1):
                prefix = path.steps[:length]
                if prefix in layers:
                    continue
                before, edges, kind = layers.get(prefix[:-1]), self.edges[prefix[-1]], path.types[length]
                best = edges.from_one(user) if before is None else edges.best_arriving(before.best)
                divisor = 1.0
                if self.model.most is None:
                    if before is None:
                        state, by_paths = best.copy(), best.copy()
                    else:
                        state, by_paths = edges.arriving(np.stack([before.state, before.by_paths], axis=1)).T
                    if kind == USER and not self.model.returns:
                        state[user] = by_paths[user] = 0.0
                    if self.model.normalise == "propagated":
                        state, divisor = divided(state, kind)
                        by_paths = by_paths / divisor
                else:
                    state, divisor = self._listed(user, prefix, lists)
                    by_paths, best = state, np.where(state > 0, best, 0.0)
                if kind == USER and not (self.returning and self.model.returns):
                    best[user] = 0.0
                layers[prefix] = Layer(edges, best, state, by_paths, divisor)
        return layers

    def _listed(
        self,
        user: int,
        prefix: tuple[Step, ...],
        lists: dict[tuple[Step, ...], tuple[torch.Tensor, torch.Tensor]],
    ) -> tuple[Array, float]:
        """The model's own lists, in its own precision, so that what it cut off is cut off here."""
        weights, most = self._weights[prefix[-1]], self.model.most
        assert most is not None
        begin = (
            torch.tensor([[user]], device=weights.device),
            torch.ones(1, 1, device=weights.device, dtype=weights.dtype),
        )
        nodes, values = lists.get(prefix[:-1], begin)
        there = self.graph.adjacency(prefix[-1])
        nodes, values = listed_hop(nodes, values, weights, there, most)
        if self.graph.ends(prefix[-1])[1] == USER and not self.model.returns:
            values = values.masked_fill(nodes == user, 0.0)
        divisor = 1.0
        if self.model.normalise == "propagated":
            total = values.sum(1, keepdim=True).clamp_min(EPSILON)
            values, divisor = values / total, float(total)
        lists[prefix] = nodes, values
        state = np.zeros(there.n_columns)
        np.add.at(state, nodes[0].cpu().numpy(), values[0].double().cpu().numpy())
        return state, divisor

    def ended(self, layer: Layer) -> tuple[Array, Array, float]:
        """At the end of a meta-path: the items' state and the part that walks brought, `[n_items]`, and the divisor.

        The divisor is of this last division alone: 1 where the last hop has divided already.
        """
        if self.model.normalise == "propagated" and self.model.most is None:
            return layer.state, layer.by_paths, 1.0
        state, divisor = divided(layer.state, ITEM)
        return state, layer.by_paths / divisor, divisor


def divided(arrived: Array, kind: str) -> tuple[Array, float]:
    """As the model's own: with a little at each node, so that the sum is 1; and by what was divided."""
    arrived = arrived + EPSILON
    if kind in (USER, ITEM):
        arrived[0] -= EPSILON
    divisor = float(arrived.sum())
    return arrived / divisor, divisor


def checked_node(graph: Graph, kind: str, node: Any) -> int:
    """A user or an item by its internal id; `DataError` for padding, or one that the graph does not have."""
    node = whole_number(kind, int(node) if isinstance(node, np.integer) else node, 0)
    if not 1 <= node < graph.counts[kind]:
        raise DataError(
            f"{kind} {node}: internal ids of the graph's {kind}s run from 1 to {graph.counts[kind] - 1}"
        )
    return node

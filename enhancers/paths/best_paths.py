"""The best paths from a user to an item, exact under a path model.

A path's contribution is `rho_p prod_l w_l / D_l`: the share of its meta-path, the weights of its edges, and what the
model divides by at each hop of this user's walks.  The contributions of all paths and what the model puts everywhere so
that no item has 0 sum to its score.

Found by dynamic programming over the layers of a meta-path: a pass forward keeps the best way to each node (Viterbi),
which all items share; from the item back, paths are then laid open lazily, the best first, each in about as many steps
as it is long (as Huang and Chiang, "Better k-best parsing", IWPT 2005, algorithm 3).  What the pass forward says of a
node is never less than what is to be had there, so that the order is exact, too, where paths that come to a node twice
are left out.  Nothing is enumerated.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from burnish.checks import whole_number

from .graph import ITEM, USER
from .metapaths import MetaPath
from .path_model import PathModel
from .walks import Array, Layer, WalkTables, checked_node

#: Users whose walks a finder remembers.
REMEMBERED = 8


@dataclass(frozen=True)
class PathInstance:
    """One path from a user to an item.

    Attributes
    ----------
    metapath
        The kind of path that it is.
    nodes
        Ids, one more than there are steps; their types are the meta-path's.
    weights
        The model's weights of the edges; with "walk" out of what leaves the node.
    divisors
        What the model divides by at each hop.
    path_share
        What the meta-path counts for this user.
    contribution
        Part of the model's score: the share times all weights over divisors.
    """

    metapath: MetaPath
    nodes: tuple[int, ...]
    weights: tuple[float, ...]
    divisors: tuple[float, ...]
    path_share: float
    contribution: float

    @property
    def user(self) -> int:
        """Where it begins."""
        return self.nodes[0]

    @property
    def item(self) -> int:
        """Where it ends."""
        return self.nodes[-1]


@dataclass(frozen=True)
class Siblings:
    """Paths that differ from one of them in a single node.

    layer: where.  nodes: `[n]`, what stands there.  contributions: `[n]`, the largest first.
    """

    one: PathInstance
    layer: int
    nodes: Array
    contributions: Array

    def __len__(self) -> int:
        return len(self.nodes)

    def among(self, nodes: Array) -> Siblings:
        """Those whose node is one of some."""
        kept = np.isin(self.nodes, nodes)
        return Siblings(self.one, self.layer, self.nodes[kept], self.contributions[kept])


class PathFinder:
    """Finds best paths under a path model, whose weights it reads once.

    Parameters
    ----------
    model
        On any device; the work is done on the host, in double precision.
    simple
        Leave out paths that come to a node twice: "you rated A; A" is no reason.

    Examples
    --------
    >>> finder = PathFinder(model)  # doctest: +SKIP
    >>> for path in finder.best(user=196, item=50, k=5):  # doctest: +SKIP
    ...     print(path.contribution, path.metapath, path.nodes)
    """

    def __init__(self, model: PathModel, *, simple: bool = True) -> None:
        self.model, self.graph, self.simple = model, model.graph, simple
        self._tables = WalkTables(model, returning=not simple)
        self._remembered: OrderedDict[int, UserPaths] = OrderedDict()

    def of(self, user: int) -> UserPaths:
        """All about one user's paths; the last few users' are remembered."""
        user = checked_node(self.graph, USER, user)
        if user not in self._remembered:
            self._remembered[user] = UserPaths(self, self._tables, user)
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(user)
        return self._remembered[user]

    def best(self, user: int, item: int, k: int = 5, *, diverse: bool = True) -> list[PathInstance]:
        """The k best paths, or fewer where there are no more.

        Parameters
        ----------
        user, item
            Internal ids.
        k
            How many, 1 or more.
        diverse
            The best path of each meta-path, then the second best of each, and so on; in each turn the largest
            contribution first.  False for the largest contributions, whatever the meta-path.
        """
        return self.of(user).best(item, k, diverse=diverse)


class UserPaths:
    """One user's paths to all items.  Made by `PathFinder.of`."""

    def __init__(self, finder: PathFinder, tables: WalkTables, user: int) -> None:
        self.user, self.finder, self.graph = user, finder, finder.graph
        model = finder.model
        self.metapaths: Sequence[MetaPath] = model.metapaths
        users = model.mixing.new_full((1,), user).long()
        self.shares = model.shares(users)[0].detach().double().cpu().numpy()
        layers = tables.layers(user)
        #: By meta-path what there is behind each of its steps, from the first on.
        self._layers = [
            [layers[path.steps[: length + 1]] for length in range(len(path))] for path in self.metapaths
        ]
        self._numbers = {path: number for number, path in enumerate(self.metapaths)}
        self._start = np.zeros(self.graph.counts[USER])
        self._start[user] = 1.0
        self._scores = np.zeros(self.graph.counts[ITEM])
        self._by_paths = np.zeros((len(self.metapaths), self.graph.counts[ITEM]))
        self._divisors: list[tuple[float, ...]] = []
        for number, own in enumerate(self._layers):
            state, by_paths, last = tables.ended(own[-1])
            self._scores += self.shares[number] * state
            self._by_paths[number] = self.shares[number] * by_paths
            hops = [layer.divisor for layer in own]
            self._divisors.append((*hops[:-1], hops[-1] * last))

    def layer(self, number: int, length: int) -> Layer:
        """Behind so many steps of a meta-path, by its number; from 1."""
        return self._layers[number][length - 1]

    def best_at(self, number: int, length: int) -> Array:
        """By node the largest product of weights over the ways there, behind so many steps, from 0."""
        return self._start if length == 0 else self.layer(number, length).best

    # ------------------------------------------------------------------ scores

    def score(self, item: int) -> float:
        """The model's score of an item, a probability."""
        return float(self._scores[checked_node(self.graph, ITEM, item)])

    def scores(self) -> Array:
        """Of all items, `[n_items]`."""
        return self._scores.copy()

    def by_paths(self, item: int) -> Array:
        """What all paths along each meta-path contribute to an item's score, `[n_paths]`, those that return too."""
        contributed: Array = self._by_paths[:, checked_node(self.graph, ITEM, item)].copy()
        return contributed

    # ------------------------------------------------------------------ paths

    def best(self, item: int, k: int = 5, *, diverse: bool = True) -> list[PathInstance]:
        """As `PathFinder.best`."""
        whole_number("k", k)
        searches = [self.search(number, item) for number in range(len(self.metapaths))]
        if not diverse:
            return list(islice(heapq.merge(*searches, key=lambda path: -path.contribution), k))
        found: list[PathInstance] = []
        while searches and len(found) < k:
            turn = [(path, search) for search in searches if (path := next(search, None)) is not None]
            found += sorted((path for path, _ in turn), key=lambda path: -path.contribution)
            searches = [search for _, search in turn]
        return found[:k]

    def search(self, number: int, item: int) -> PathSearch:
        """Paths along one meta-path, by its number in the model, the largest contribution first."""
        return PathSearch(self, number, checked_node(self.graph, ITEM, item))

    def instance(self, number: int, nodes: Sequence[int]) -> PathInstance:
        """The path through these nodes; its contribution is 0 where an edge is missing."""
        path, divisors = self.metapaths[number], self._divisors[number]
        weights = tuple(
            layer.edges.weight(begin, end)
            for layer, begin, end in zip(self._layers[number], nodes, nodes[1:], strict=False)
        )
        contribution = share = float(self.shares[number])
        for weight, divisor in zip(weights, divisors, strict=True):
            contribution *= weight / divisor
        return PathInstance(path, tuple(nodes), weights, divisors, share, contribution)

    def siblings(self, one: PathInstance, layer: int) -> Siblings:
        """All paths that differ from `one` in nothing but the node at an inner layer, itself among them."""
        number, types, nodes = self._numbers[one.metapath], one.metapath.types, one.nodes
        begun, out = self.layer(number, layer).edges.out_of(nodes[layer - 1])
        ended, into = self.layer(number, layer + 1).edges.into(nodes[layer + 1])
        places = np.minimum(np.searchsorted(ended, begun), len(ended) - 1)  # both ascend
        there = ended[places] == begun
        found, products = begun[there], out[there] * into[places[there]]
        allowed = self.best_at(number, layer)[found] > 0
        if self.finder.simple:
            for place, node in enumerate(nodes):
                if place != layer and types[place] == types[layer]:
                    allowed &= found != node
        found, products = found[allowed], products[allowed]
        rest = one.contribution / (one.weights[layer - 1] * one.weights[layer])
        order = np.argsort(-products, kind="stable")
        return Siblings(one, layer, found[order], products[order] * rest)

    def through(self, one: PathInstance, layer: int, node: int) -> PathInstance:
        """As `one`, with another node at a layer."""
        nodes = (*one.nodes[:layer], int(node), *one.nodes[layer + 1 :])
        return self.instance(self._numbers[one.metapath], nodes)


class PathSearch(Iterator[PathInstance]):
    """Paths to an item along one meta-path, the largest contribution first.  Made by `UserPaths.search`.

    An entry of the heap is a path's end and which of the nodes before it comes next.  Its priority is the largest
    product of weights that can still be had, and the best node before has its end's priority, to the bit: so equal
    paths are laid open one after the other, and not all side by side.
    """

    def __init__(self, paths: UserPaths, number: int, item: int) -> None:
        self._paths, self._number = paths, number
        self._path = paths.metapaths[number]
        self._blocked: set[tuple[int, int]] = set()
        types, n = self._path.types, len(self._path)
        self._same = [
            [place for place in range(at + 1, n + 1) if types[place] == types[at]] for at in range(n)
        ]
        self._count = 0
        self._heap: list[tuple[float, int, int, tuple[int, ...], int, float]] = []
        whole = float(paths.best_at(number, n)[item])
        if whole > 0:
            self._push((item,), 0, whole, 1.0)

    def block(self, layer: int, node: int) -> None:
        """Give no further path with this node at this layer."""
        self._blocked.add((layer, int(node)))

    @property
    def blocked(self) -> frozenset[tuple[int, int]]:
        """Layers and nodes that are blocked."""
        return frozenset(self._blocked)

    def _push(self, end: tuple[int, ...], rank: int, whole: float, ratio: float) -> None:
        self._count += 1
        layer = len(self._path) + 1 - len(end)
        heapq.heappush(self._heap, (-whole * ratio, layer, self._count, end, rank, whole))

    def __next__(self) -> PathInstance:
        while self._heap:
            priority, _, _, end, rank, whole = heapq.heappop(self._heap)
            if self._blocked and any(
                (len(self._path) - n, node) in self._blocked for n, node in enumerate(end[::-1])
            ):
                continue
            while True:
                layer = len(self._path) + 1 - len(end)
                before = self._paths.best_at(self._number, layer - 1)
                nodes, ratios = self._paths.layer(self._number, layer).best_into(end[0], before)
                if rank + 1 < len(nodes):
                    self._push(end, rank + 1, whole, float(ratios[rank + 1]))
                node = int(nodes[rank])
                if layer == 1:
                    return self._paths.instance(self._number, (node, *end))
                if self._refused(layer - 1, node, end):
                    break
                end, rank, whole = (node, *end), 0, -priority
        raise StopIteration

    def _refused(self, layer: int, node: int, end: tuple[int, ...]) -> bool:
        if (layer, node) in self._blocked:
            return True
        simple = self._paths.finder.simple
        return simple and any(end[place - layer - 1] == node for place in self._same[layer])


def best_paths(
    model: PathModel, user: int, item: int, k: int = 5, *, diverse: bool = True, simple: bool = True
) -> list[PathInstance]:
    """The k best paths from a user to an item under a path model.

    For several pairs make one `PathFinder`, which reads the weights once and shares a user's walks between items.

    Parameters
    ----------
    model
        The path model.
    user, item
        Internal ids.
    k
        How many paths, 1 or more.
    diverse
        See `PathFinder.best`.
    simple
        See `PathFinder`.

    Returns
    -------
    list of PathInstance
        k, or fewer where there are no more; none where no path leads from the user to the item.

    Raises
    ------
    DataError
        For a user or an item that the graph does not have.

    Examples
    --------
    >>> best_paths(model, user=196, item=50)[0].contribution  # doctest: +SKIP
    0.00042
    """
    return PathFinder(model, simple=simple).best(user, item, k, diverse=diverse)

"""A graph of typed nodes and named relations, and the directed, sparse view of a relation that a path takes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, unknown_name

#: Types of the nodes that are RecBole's users and items; their ids are its internal ones, so that 0 is padding.
USER, ITEM = "user", "item"
#: The relation of the training interactions.
RATED = "rated"


@dataclass(frozen=True)
class Step:
    """One step of a path: along a relation, or against it."""

    relation: str
    inverse: bool = False

    def __str__(self) -> str:
        return f"<-{self.relation}-" if self.inverse else f"-{self.relation}->"

    def back(self) -> Step:
        """The same edges the other way."""
        return Step(self.relation, not self.inverse)


@dataclass(frozen=True, eq=False)
class Adjacency:
    """The edges of a step by where they begin, as compressed rows.

    starts: `[n_rows + 1]`, where each row's edges begin.  neighbours: `[e]`, where edges end, ascending in a row.
    edges: `[e]`, each edge's number in its relation.  in_order: whether these are 0, 1, 2 and so on.
    """

    n_rows: int
    n_columns: int
    starts: Tensor
    neighbours: Tensor
    edges: Tensor
    in_order: bool = False
    _patterns: dict[torch.dtype, Tensor] = field(init=False, repr=False, default_factory=dict)

    def ordered(self, weights: Tensor) -> Tensor:
        """Weights `[e]` of a relation's edges in the order of these."""
        return weights if self.in_order else weights.index_select(0, self.edges)

    def pattern(self, dtype: torch.dtype) -> Tensor:
        """A sparse matrix `[n_rows, n_columns]` with an entry an edge, each 0; computed once."""
        if dtype not in self._patterns:
            zeros = torch.zeros(len(self.neighbours), dtype=dtype, device=self.neighbours.device)
            with warnings.catch_warnings():  # of compressed tensors being in beta
                warnings.simplefilter("ignore")
                self._patterns[dtype] = torch.sparse_csr_tensor(
                    self.starts,
                    self.neighbours,
                    zeros,
                    (self.n_rows, self.n_columns),
                    check_invariants=False,
                )
        return self._patterns[dtype]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_patterns": {}}

    @classmethod
    def of(cls, begin: Tensor, end: Tensor, n_rows: int, n_columns: int, *, in_order: bool) -> Adjacency:
        """From the ends of edges `[e]`, ordered by both where they are `in_order`, else by the other end first."""
        edges = torch.arange(len(begin), device=begin.device)
        if not in_order:
            edges = begin.argsort(stable=True)  # stable: ends stay ascending within a row
            begin, end = begin[edges], end[edges]
        starts = torch.zeros(n_rows + 1, dtype=torch.long, device=begin.device)
        starts[1:] = torch.bincount(begin, minlength=n_rows).cumsum(0)
        return cls(n_rows, n_columns, starts, end, edges, in_order)

    def degrees(self) -> Tensor:
        """Numbers of edges, `[n_rows]`."""
        return self.starts.diff()

    def origins(self) -> Tensor:
        """Where each edge begins, `[e]`."""
        rows = torch.arange(self.n_rows, device=self.starts.device)
        return rows.repeat_interleave(self.degrees())

    def row(self, node: int) -> tuple[Tensor, Tensor]:
        """Neighbours of one node, and the numbers of the edges to them."""
        here = slice(int(self.starts[node]), int(self.starts[node + 1]))
        return self.neighbours[here], self.edges[here]


@dataclass(frozen=True, eq=False)
class JoinedSteps:
    """Steps to one type of node as a single one, from the nodes of all their beginnings, one after another.

    places: which nodes are a step's.  there, back: its edges by where they begin, which is their order, and by where
    they end.  begins: `[e]`, where each begins.
    """

    steps: tuple[Step, ...]
    places: dict[Step, slice]
    there: Adjacency
    back: Adjacency
    begins: Tensor


@dataclass(frozen=True, eq=False)
class Relation:
    """Edges of one kind, each once, ordered by where they begin and then by where they end.

    Build with `Relation.of`, which orders them.

    name: as meta-paths write it.  source, target: types of the nodes at both ends.
    sources, targets: ids `[e]`.
    """

    name: str
    source: str
    target: str
    sources: Tensor
    targets: Tensor

    @classmethod
    def of(cls, name: str, source: str, target: str, sources: Tensor, targets: Tensor) -> Relation:
        """From edges `[e]` in any order; an edge that comes more than once is one.

        Raises
        ------
        ConfigurationError
            For a name that is empty or has white space, which meta-paths could not write.
        DataError
            For numbers of sources and targets that differ; an id below 0, or one that is no whole number.
        """
        check_name("relation", name, "friend")
        if sources.shape != targets.shape or sources.dim() != 1:
            raise DataError(
                f"relation {name!r}: {list(sources.shape)} sources and {list(targets.shape)} targets; give two "
                f"lists of one length"
            )
        if sources.is_floating_point() or targets.is_floating_point():
            raise DataError(f"relation {name!r}: ids are whole numbers, and these are {sources.dtype}")
        pairs = torch.stack([sources.long(), targets.long()])
        if pairs.numel() and int(pairs.min()) < 0:
            raise DataError(f"relation {name!r}: an id is {int(pairs.min())}; ids count from 0")
        width = int(pairs[1].max()) + 1 if pairs.numel() else 1
        keys = torch.unique(pairs[0] * width + pairs[1])  # sorted
        return cls(name, source, target, keys // width, keys % width)

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes of several types, and the relations between them.

    Parameters
    ----------
    counts
        How many nodes there are, by type; ids run from 0, and id 0 of "user" and "item" is padding.
    relations
        In the order in which tables show them.
    labels
        Names of nodes for people, by type: one a node; types without them are shown by number.
    notes
        What was left out or decided when it was read, a sentence each.

    Raises
    ------
    ConfigurationError
        For a type's name that is empty or has white space.
    UnknownNameError
        For a relation between types that do not exist, or labels of one.
    DataError
        For two relations of one name; an id beyond the count; an edge at padding; labels that are more or fewer than
        the nodes.
    """

    counts: Mapping[str, int]
    relations: Sequence[Relation]
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    _by_name: dict[str, Relation] = field(init=False, repr=False, compare=False, default_factory=dict)
    _adjacency: dict[Step, Adjacency] = field(init=False, repr=False, compare=False, default_factory=dict)
    _joined: dict[tuple[Step, ...], JoinedSteps] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for kind in self.counts:
            check_name("type of node", kind, "director")
        for relation in self.relations:
            if relation.name in self._by_name:
                raise DataError(f"two relations are called {relation.name!r}; give each a name of its own")
            self._by_name[relation.name] = relation
            for kind, ids in ((relation.source, relation.sources), (relation.target, relation.targets)):
                if kind not in self.counts:
                    raise unknown_name("type of node", kind, self.counts)
                if len(ids) and int(ids.max()) >= self.counts[kind]:
                    raise DataError(
                        f"relation {relation.name!r}: {kind} {int(ids.max())} is beyond the {self.counts[kind]} "
                        f"of the graph"
                    )
                if kind in (USER, ITEM) and len(ids) and int(ids.min()) == 0:
                    raise DataError(
                        f"relation {relation.name!r}: an edge is at {kind} 0, which is padding; {kind}s count from 1"
                    )
        for kind, names in self.labels.items():
            if kind not in self.counts:
                raise unknown_name("type of node", kind, self.counts)
            if len(names) != self.counts[kind]:
                raise DataError(
                    f"labels of type {kind!r}: {len(names)} for {self.counts[kind]} nodes; give one a node"
                )

    def relation(self, name: str) -> Relation:
        """By its name; `UnknownNameError` with the nearest one."""
        if name not in self._by_name:
            raise unknown_name("relation", name, self._by_name)
        return self._by_name[name]

    def ends(self, step: Step) -> tuple[str, str]:
        """Types of the nodes from which and to which a step goes."""
        relation = self.relation(step.relation)
        return (relation.target, relation.source) if step.inverse else (relation.source, relation.target)

    def steps_from(self, kind: str) -> list[Step]:
        """All steps that begin at nodes of a type, in the order of the relations: along each, then against it."""
        both = [Step(relation.name, inverse) for relation in self.relations for inverse in (False, True)]
        return [step for step in both if self.ends(step)[0] == kind]

    def joined(self, steps: Sequence[Step]) -> JoinedSteps:
        """Steps that end at one type of node as a single one; computed once."""
        key = tuple(steps)
        if key not in self._joined:
            places, begins, ends, n = {}, [], [], 0
            for step in key:
                one = self.adjacency(step)
                places[step] = slice(n, n + one.n_rows)
                begins.append(n + one.origins())
                ends.append(one.neighbours)
                n += one.n_rows
            begin, end, n_to = torch.cat(begins), torch.cat(ends), one.n_columns
            there = Adjacency.of(begin, end, n, n_to, in_order=True)
            back = Adjacency.of(end, begin, n_to, n, in_order=False)
            self._joined[key] = JoinedSteps(key, places, there, back, begin)
        return self._joined[key]

    def begins(self, step: Step) -> Tensor:
        """Where each of a step's edges begins `[e]`, in the relation's order."""
        relation = self.relation(step.relation)
        return relation.targets if step.inverse else relation.sources

    def adjacency(self, step: Step) -> Adjacency:
        """The edges of a step by where they begin; computed once."""
        if step not in self._adjacency:
            relation = self.relation(step.relation)
            begin, end = relation.sources, relation.targets
            if step.inverse:
                begin, end = end, begin
            rows, columns = (self.counts[kind] for kind in self.ends(step))
            self._adjacency[step] = Adjacency.of(begin, end, rows, columns, in_order=not step.inverse)
        return self._adjacency[step]

    def label(self, kind: str, node: int) -> str:
        """What a person calls a node."""
        names = self.labels.get(kind)
        return f"{kind} {node}" if names is None else short_label(names[node])

    def to(self, device: torch.device | str) -> Graph:
        """The same graph with its edges on a device."""
        moved = [
            Relation(one.name, one.source, one.target, one.sources.to(device), one.targets.to(device))
            for one in self.relations
        ]
        return Graph(self.counts, moved, self.labels, self.notes)

    def without(self, relation: str, sources: Tensor, targets: Tensor) -> Graph:
        """The graph less some edges of one relation, given by their ends `[e]`; others of them are let be."""
        whole = self.relation(relation)
        width = self.counts[whole.target]
        keys = whole.sources * width + whole.targets
        there = (targets >= 0) & (targets < width)  # others would be taken for edges of other sources
        stay = ~torch.isin(keys, sources[there] * width + targets[there])
        rest = Relation(relation, whole.source, whole.target, whole.sources[stay], whole.targets[stay])
        return Graph(
            self.counts,
            [rest if one.name == relation else one for one in self.relations],
            self.labels,
            self.notes,
        )

    def __deepcopy__(self, memo: dict[int, object]) -> Graph:
        return self  # nothing of it changes

    @property
    def n_edges(self) -> int:
        """Of all relations together."""
        return sum(len(relation) for relation in self.relations)

    def table(self) -> list[dict[str, str | int]]:
        """Relations with the types of their ends, their edges, and how many nodes at each end have any."""
        return [
            {
                "relation": one.name,
                "from": one.source,
                "to": one.target,
                "edges": len(one),
                "nodes from": len(torch.unique(one.sources)),
                "nodes to": len(torch.unique(one.targets)),
            }
            for one in self.relations
        ]


def check_name(what: str, name: str, example: str) -> None:
    """`ConfigurationError` for a name that is empty or has white space, which meta-paths could not write."""
    if not name or any(sign.isspace() for sign in name):
        raise ConfigurationError(
            f"{what} {name!r}: give a name without white space, such as {'_'.join(name.split()) or example!r}"
        )


def short_label(name: str) -> str:
    """A node's name as sentences show it: on one line, cut where it is long."""
    flat = " ".join(name.split())
    return flat if len(flat) <= 80 else f"{flat[:77]}..."


def merged(counts: Mapping[str, int], relations: Iterable[Relation]) -> list[Relation]:
    """Relations of one name and the same ends as one; `DataError` where they share a name and not the ends."""
    found: dict[str, list[Relation]] = {}
    for relation in relations:
        found.setdefault(relation.name, []).append(relation)
    together = []
    for name, parts in found.items():
        ends = {(one.source, one.target) for one in parts}
        if len(ends) > 1:
            shown = " and ".join(sorted(f"{source} to {target}" for source, target in ends))
            raise DataError(f"relation {short(name)} goes from {shown}; give each a name of its own")
        sources, targets = (
            torch.cat([getattr(one, side) for one in parts]) for side in ("sources", "targets")
        )
        together.append(Relation.of(name, *next(iter(ends)), sources, targets))
    return together

"""Small random graphs with everything that is awkward, and the path model as loops over a dense float64 matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from burnish.enhancers.paths.graph import Graph, Relation
from burnish.enhancers.paths.metapaths import MetaPath, parse_all

N_USERS, N_ITEMS, N_GENRES, N_PEOPLE = 9, 12, 4, 7

METAPATHS = (
    "user -rated-> item <-rated- user -rated-> item",
    "user -rated-> item <-rated- user -rated-> item <-rated- user -rated-> item",
    "user -friend-> user -rated-> item",
    "user <-friend- user -rated-> item",
    "user -rated-> item -genre-> genre <-genre- item",
    "user -rated-> item -directed_by-> person -acted_in-> item",
    "user -rated-> item -sequel-> item",
)


def world(seed: int = 0) -> Graph:
    """Users 1 to 8 (8 is isolated, 7 rated nothing and has friends), items 1 to 11 (11 is isolated).

    Friends are directed, with a self loop and a circle; a genre that no item has; two relations between the same people
    and items; an empty relation.
    """
    draw = torch.Generator().manual_seed(seed)

    def some(n: int, sources: int, targets: int, first: int = 0) -> tuple[Tensor, Tensor]:
        begin = torch.randint(1, sources, (n,), generator=draw)
        return begin, torch.randint(first, targets, (n,), generator=draw)

    friends = torch.tensor([[1, 1], [1, 2], [2, 3], [3, 1], [7, 2], [7, 4], [5, 7]]).t()
    relations = [
        Relation.of("rated", "user", "item", *some(24, N_USERS - 2, N_ITEMS - 1, first=1)),
        Relation.of("friend", "user", "user", *friends),
        Relation.of("genre", "item", "genre", *some(14, N_ITEMS - 1, N_GENRES - 1)),
        Relation.of("directed_by", "item", "person", *some(9, N_ITEMS - 1, N_PEOPLE)),
        Relation.of("acted_in", "person", "item", *reversed(some(16, N_ITEMS - 1, N_PEOPLE))),
        Relation.of("sequel", "item", "item", torch.tensor([1, 2, 3, 4]), torch.tensor([2, 3, 1, 4])),
        Relation.of("shot_in", "item", "place", torch.tensor([], dtype=torch.long), torch.tensor([]).long()),
    ]
    counts = {"user": N_USERS, "item": N_ITEMS, "genre": N_GENRES, "person": N_PEOPLE, "place": 2}
    return Graph(counts, relations)


def metapaths(graph: Graph) -> list[MetaPath]:
    """Collaborative ones, along and against relations, over circles; some share a prefix."""
    return parse_all(METAPATHS, graph)


def matrix(graph: Graph, step: object, weights: Tensor) -> Tensor:
    """The step's adjacency, dense, in the type of `weights`: one an edge, sorted by (source, target)."""
    relation = graph.relation(step.relation)  # type: ignore[attr-defined]
    edges = sorted(zip(relation.sources.tolist(), relation.targets.tolist(), strict=True))
    begin, end = relation.source, relation.target
    if step.inverse:  # type: ignore[attr-defined]
        edges, begin, end = [(target, source) for source, target in edges], end, begin
    rows: list[list[Tensor]] = [
        [weights.new_zeros(())] * graph.counts[end] for _ in range(graph.counts[begin])
    ]
    for number, (source, target) in enumerate(edges):
        rows[source][target] = weights[number]
    return torch.stack([torch.stack(row) for row in rows])


def divided(arrived: Tensor, kind: str) -> Tensor:
    """With 1e-10 at each node but padding, so that the sum is 1."""
    little = torch.full_like(arrived, 1e-10)
    if kind in ("user", "item"):
        little[0] = 0.0
    return (arrived + little) / (arrived + little).sum()


def of_one_path(graph: Graph, path: MetaPath, weights: dict, user: int, normalise: str) -> Tensor:
    """Where walks of one user along one meta-path end, `[n_items]`.  weights: of each step, positive, as stored."""
    x = torch.zeros(graph.counts["user"], dtype=torch.float64)
    x[user] = 1.0
    for number, step in enumerate(path.steps):
        adjacency = matrix(graph, step, weights[step])
        if normalise == "walk":
            rows = adjacency.sum(1, keepdim=True)
            adjacency = adjacency / torch.where(rows > 0, rows, torch.ones_like(rows))
        x = x @ adjacency
        if normalise == "propagated" or number == len(path.steps) - 1:
            x = divided(x, path.types[number + 1])
    return x

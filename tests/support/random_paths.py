"""Small random graphs with everything in them that is awkward, and all paths of a path model by plain loops."""

from __future__ import annotations

import math

import torch

from burnish.enhancers.paths.graph import Graph, Relation, Step
from burnish.enhancers.paths.metapaths import MetaPath
from burnish.enhancers.paths.path_model import EPSILON, PathModel

METAPATHS = (
    "user -rated-> item",
    "user -rated-> item -director-> person <-director- item",
    "user -rated-> item -director-> person <-actor- item",
    "user -rated-> item <-rated- user -rated-> item",
    "user -friend-> user -rated-> item",
    "user <-friend- user -friend-> user -rated-> item",
    "user -rated-> item -sequel-> item",
    "user -rated-> item <-rated- user -rated-> item -actor-> person <-actor- item",
    "user -rated-> item -empty-> person <-empty- item",
)


def random_graph(seed: int, n_users: int = 6, n_items: int = 7, n_people: int = 4) -> Graph:
    """Cycles, two relations between the same nodes, an empty relation, loops, and a user and an item without edges."""
    generator = torch.Generator().manual_seed(seed)

    def edges(name: str, source: str, target: str, n: int) -> Relation:
        sizes = {"user": n_users, "item": n_items, "person": n_people}
        low = {"user": 1, "item": 1, "person": 0}
        # The last user and the last item stay alone.
        ends = [
            torch.randint(low[kind], sizes[kind] - (kind != "person"), (n,), generator=generator)
            for kind in (source, target)
        ]
        return Relation.of(name, source, target, *ends)

    return Graph(
        {"user": n_users, "item": n_items, "person": n_people},
        [
            edges("rated", "user", "item", 12),
            edges("director", "item", "person", 7),
            edges("actor", "item", "person", 9),
            edges("friend", "user", "user", 7),
            edges("sequel", "item", "item", 6),
            edges("empty", "item", "person", 0),
        ],
    )


def random_model(seed: int, metapaths: tuple[str, ...] = METAPATHS, **options) -> PathModel:
    """In float64, with random parameters."""
    graph = random_graph(seed)
    model = PathModel(graph, [MetaPath.parse(text, graph) for text in metapaths], **options).double()
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def ends_of(graph: Graph, step: Step) -> list[tuple[int, int]]:
    """A step's edges, in the relation's order."""
    relation = graph.relation(step.relation)
    pairs = list(zip(relation.sources.tolist(), relation.targets.tolist(), strict=True))
    return [(target, source) for source, target in pairs] if step.inverse else pairs


def weights_of(model: PathModel, step: Step) -> dict[tuple[int, int], float]:
    """By edge of a step; with "walk" divided by the sum at its beginning."""
    theta = model.theta[model._parameter[step]].tolist()
    weights = {
        ends: math.log1p(math.exp(value))
        for ends, value in zip(ends_of(model.graph, step), theta, strict=True)
    }
    if model.normalise == "walk":
        sums: dict[int, float] = {}
        for (begin, _), weight in weights.items():
            sums[begin] = sums.get(begin, 0.0) + weight
        weights = {ends: weight / sums[ends[0]] for ends, weight in weights.items()}
    return weights


def shares_of(model: PathModel, user: int) -> list[float]:
    mixing = model.mixing.tolist()
    if model.own_mixing is not None:
        mixing = [one + own for one, own in zip(mixing, model.own_mixing[user].tolist(), strict=True)]
    total = sum(math.exp(one) for one in mixing)
    return [math.exp(one) / total for one in mixing]


def divisors_of(model: PathModel, path: MetaPath, user: int) -> list[float]:
    """By what each hop is divided, from a plain propagation of one user."""
    state, divisors = {user: 1.0}, []
    for length, step in enumerate(path.steps, start=1):
        arrived: dict[int, float] = {}
        for (begin, end), weight in weights_of(model, step).items():
            arrived[end] = arrived.get(end, 0.0) + state.get(begin, 0.0) * weight
        kind, last = path.types[length], length == len(path)
        if kind == "user" and not model.returns:
            arrived[user] = 0.0
        divisor = 1.0
        if model.normalise == "propagated" or last:
            nodes = range(1 if kind in ("user", "item") else 0, model.graph.counts[kind])
            arrived = {node: arrived.get(node, 0.0) + EPSILON for node in nodes}
            divisor = sum(arrived.values())
        state = {node: value / divisor for node, value in arrived.items()}
        divisors.append(divisor)
    return divisors


def all_paths(model: PathModel, user: int, item: int) -> list[tuple[int, tuple[int, ...], float]]:
    """Every path, each node after the other: its meta-path's number, its nodes, its contribution."""
    found = []
    for number, path in enumerate(model.metapaths):
        divisors, share = divisors_of(model, path, user), shares_of(model, user)[number]
        ways = [((user,), share)]
        for step, divisor in zip(path.steps, divisors, strict=True):
            weights = weights_of(model, step)
            ways = [
                ((*nodes, end), value * weight / divisor)
                for nodes, value in ways
                for (begin, end), weight in weights.items()
                if begin == nodes[-1] and (model.returns or (path.types[len(nodes)], end) != ("user", user))
            ]
        found += [(number, nodes, value) for nodes, value in ways if nodes[-1] == item]
    return found


def is_simple(path: MetaPath, nodes: tuple[int, ...]) -> bool:
    """Whether it comes to no node twice."""
    return len(set(zip(path.types, nodes, strict=True))) == len(nodes)

"""How good explanations by paths are: recency, popularity, diversity, whether paths exist, and whom they explain.

Balloccu, Boratto, Fenu and Marras, "Post processing recommender systems with knowledge graphs for recency, popularity,
and diversity of explanations", SIGIR 2022 (arXiv 2204.11241; LIR, SEP, PTD), and "Reinforcement recommendation
reasoning through knowledge graphs for explanation path quality", Knowledge-Based Systems 260, 2023 (arXiv 2209.04954;
LID, SED, PTC); LIR and SEP are averaged over paths and the others over users, as the library hopwise does, whose moving
average has another decay than theirs.  PFR: Balloccu et al., "Faithful path language modeling for explainable
recommendation over knowledge graph", 2023 (arXiv 2310.16452).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, DataError

from .best_paths import PathInstance
from .graph import ITEM, RATED, USER, Graph
from .metapaths import MetaPath

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class PathQuality:
    """Measures of a set of explanations, each 0 to 1; NaN where there is nothing to measure.

    Attributes
    ----------
    explained
        Share of recommendations with a path.
    pfr
        Share of paths that exist in the graph.
    lir
        Recency of the item that the user knows: 1 for the last interaction, 0 for the first.
    sep
        Popularity of the node before the recommended item: 1 for the one of its type with the most edges.
    lid, sed
        Different items that the user knows, and different nodes before the recommended ones, for each path.
    ptd
        Different types of paths, by the relation of their last step, of those that could be.
    ptc
        How evenly paths are spread over these types: Simpson's index less than 1, so that 0 is a single type.
    n_recommendations, n_paths
        What was measured.
    """

    explained: float
    pfr: float
    lir: float
    sep: float
    lid: float
    sed: float
    ptd: float
    ptc: float
    n_recommendations: int
    n_paths: int

    def to_dict(self) -> dict[str, float | int]:
        """By name."""
        return asdict(self)


def path_quality(
    graph: Graph,
    explanations: Mapping[tuple[int, int], Sequence[PathInstance]],
    metapaths: Sequence[MetaPath],
    times: tuple[Tensor, Tensor, Tensor] | None = None,
    *,
    beta: float = 0.3,
) -> PathQuality:
    """Measures of explanations.

    Parameters
    ----------
    graph
        In which the paths are looked up.
    explanations
        By recommendation, user and item: its paths, most often the best one alone; empty where it has none.
    metapaths
        All that the model has, of which types of paths are counted.
    times
        Users, items and times of the training interactions, `[n]` each; without them `lir` is NaN.
    beta
        Of the moving averages of LIR and SEP, above 0 to 1: the smaller, the more a value takes after those before it.

    Returns
    -------
    PathQuality
        The measures.
    """
    if not 0 < beta <= 1:
        raise ConfigurationError(f"beta = {beta!r}: give a number above 0, up to 1")
    paths = [path for several in explanations.values() for path in several]
    n = len(explanations)
    by_user: dict[int, list[PathInstance]] = defaultdict(list)
    for path in paths:
        by_user[path.user].append(path)
    recent = {} if times is None else recency(*times, beta=beta)
    popular: dict[str, Array] = {}
    seps, lirs = [], []
    for path in paths:
        kind = path.metapath.types[-2]
        if kind not in popular:
            popular[kind] = popularity(graph, kind, beta=beta)
        seps.append(float(popular[kind][path.nodes[-2]]))
        known = _known_item(path)
        if known is not None and (path.user, known) in recent:
            lirs.append(recent[path.user, known])
    last = {path.steps[-1] for path in metapaths}
    return PathQuality(
        explained=sum(bool(several) for several in explanations.values()) / n if n else math.nan,
        pfr=existing_share(graph, paths),
        lir=_mean(lirs),
        sep=_mean(seps),
        lid=_mean(_different(map(_known_item, own)) for own in by_user.values()),
        sed=_mean(
            _different((one.metapath.types[-2], one.nodes[-2]) for one in own) for own in by_user.values()
        ),
        ptd=_mean(
            len({one.metapath.steps[-1] for one in own}) / min(len(own), len(last))
            for own in by_user.values()
        ),
        ptc=_mean(spread(one.metapath.steps[-1] for one in own) for own in by_user.values()),
        n_recommendations=n,
        n_paths=len(paths),
    )


def _known_item(path: PathInstance) -> int | None:
    """The linking interaction: the item with which a path begins, where it begins with one that the user knows."""
    return path.nodes[1] if len(path.nodes) > 2 and path.metapath.types[1] == ITEM else None


def _different(values: Iterable[Any]) -> float:
    """Different ones over how many there are; None is not counted, NaN without any."""
    there = [value for value in values if value is not None]
    return len(set(there)) / len(there) if there else math.nan


def _mean(values: Iterable[float]) -> float:
    """Of those that are not NaN."""
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan


def spread(types: Iterable[Any]) -> float:
    """`1 - sum_t n_t (n_t - 1) / (n (n - 1))`: the chance that two of them are of different types; 0 for one alone."""
    counts = Counter(types)
    n = sum(counts.values())
    return 1 - sum(m * (m - 1) for m in counts.values()) / (n * (n - 1)) if n > 1 else 0.0


def smoothed(values: Array, beta: float) -> Array:
    """Of values in ascending order: `s_1 = v_1`, `s_i = (1 - beta) s_(i-1) + beta v_i`, then scaled to 0 to 1.

    NaN where all are equal, as there is no order then.
    """
    averages = np.array(values, dtype=float)
    for place in range(1, len(averages)):
        averages[place] = (1 - beta) * averages[place - 1] + beta * averages[place]
    width = np.ptp(averages) if len(averages) else 0.0
    return (averages - averages.min()) / width if width > 0 else np.full(len(averages), math.nan)


def recency(
    users: Tensor, items: Tensor, times: Tensor, *, beta: float = 0.3
) -> dict[tuple[int, int], float]:
    """LIR of each interaction, by user and item: of times in order, by user.

    An interaction that comes more than once counts by its last time; users whose times are all equal are left out.
    """
    if not len(users) == len(items) == len(times):
        raise DataError(
            f"{len(users)} users, {len(items)} items and {len(times)} times; give as many of each"
        )
    by_user: dict[int, dict[int, float]] = defaultdict(dict)
    for user, item, time in zip(users.tolist(), items.tolist(), times.double().tolist(), strict=True):
        own = by_user[user]
        own[item] = max(time, own.get(item, -math.inf))
    found: dict[tuple[int, int], float] = {}
    for user, own in by_user.items():
        ordered = sorted(own.items(), key=lambda pair: pair[1])
        values = smoothed(np.array([time for _, time in ordered]), beta)
        found |= {
            (user, item): float(value)
            for (item, _), value in zip(ordered, values, strict=True)
            if not math.isnan(value)
        }
    return found


def popularity(graph: Graph, kind: str, *, beta: float = 0.3) -> Array:
    """SEP of each node of a type, `[n]`: of their numbers of edges in order; NaN for nodes without edges."""
    edges = np.zeros(graph.counts[kind])
    for relation in graph.relations:
        for end, ids in ((relation.source, relation.sources), (relation.target, relation.targets)):
            if end == kind:
                edges += np.bincount(ids.cpu().numpy(), minlength=len(edges))
    order = np.argsort(edges, kind="stable")
    order = order[edges[order] > 0]
    found = np.full(len(edges), math.nan)
    found[order] = smoothed(edges[order], beta)
    return found


def exists(graph: Graph, path: PathInstance) -> bool:
    """Whether a path is in the graph: each edge is looked up by its ends, whatever the path says of its weight."""
    types, steps, nodes = path.metapath.types, path.metapath.steps, path.nodes
    if len(nodes) != len(types) or (types[0], types[-1]) != (USER, ITEM):
        return False
    known = {relation.name for relation in graph.relations}
    for number, step in enumerate(steps):
        begin, end = nodes[number], nodes[number + 1]
        if step.relation not in known or graph.ends(step) != (types[number], types[number + 1]):
            return False
        if not 0 <= begin < graph.counts[types[number]]:
            return False
        if not bool((graph.adjacency(step).row(begin)[0] == end).any()):
            return False
    return True


def existing_share(graph: Graph, paths: Sequence[PathInstance]) -> float:
    """PFR: the share of paths that exist in the graph; NaN without paths."""
    return _mean(float(exists(graph, path)) for path in paths)


def agreement(
    path_scores: Tensor, backbone_scores: Tensor, k: int = 10, temperature: float = 1.0
) -> dict[str, float]:
    """How far a path model and a backbone agree, as means over users.

    Parameters
    ----------
    path_scores, backbone_scores
        `[b, n_items]`: logarithms of the path model's probabilities (`PathModel.scores`), and the backbone's scores;
        -inf for items that are no candidates, in either.
    k
        Length of the lists, 1 or more.
    temperature
        By which the backbone's scores are divided for `kl`.

    Returns
    -------
    dict of str to float
        `overlap@k`: the share of the k best items that both have.  `kendall@k`: Kendall's tau-b between the two
        orders of the items that are among the k best of either.  `kl`: the divergence of the backbone's softmax
        from the path model's distribution, in nats.

    Raises
    ------
    DataError
        For scores of different shapes, or a user with fewer than k candidates.
    ConfigurationError
        For a `k` or a `temperature` that cannot be used.
    """
    whole_number("k", k)
    if not finite_number("temperature", temperature) > 0:
        raise ConfigurationError(f"temperature = {temperature!r}: give a number above 0")
    if path_scores.shape != backbone_scores.shape or path_scores.dim() != 2:
        raise DataError(
            f"scores of shapes {list(path_scores.shape)} and {list(backbone_scores.shape)}; give [b, n_items] for both"
        )
    path, backbone = path_scores.detach().double().cpu(), backbone_scores.detach().double().cpu()
    closed = torch.isneginf(path) | torch.isneginf(backbone)
    if len(path) and int((~closed).sum(1).min()) < k:
        raise DataError(
            f"k = {k}: a user has only {int((~closed).sum(1).min())} candidates; give a smaller k"
        )
    path, backbone = path.masked_fill(closed, -math.inf), backbone.masked_fill(closed, -math.inf)
    overlaps, taus, divergences = [], [], []
    logs = path.log_softmax(1), (backbone / temperature).log_softmax(1)
    for row in range(len(path)):
        one, other = (scores[row].topk(k).indices.tolist() for scores in (path, backbone))
        both = sorted({*one, *other})
        overlaps.append(len({*one} & {*other}) / k)
        if len(both) > 1:
            taus.append(float(kendalltau(path[row, both].numpy(), backbone[row, both].numpy()).statistic))
        open_ = ~closed[row]
        p, q = logs[0][row, open_], logs[1][row, open_]
        divergences.append(float((p.exp() * (p - q)).sum()))
    return {f"overlap@{k}": _mean(overlaps), f"kendall@{k}": _mean(taus), "kl": _mean(divergences)}


def interaction_times(
    graph: Graph, users: Tensor, items: Tensor, times: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The times of those interactions that are in the graph, such as the training ones of all.

    So that no time of what is held out is looked at.
    """
    rated, width = graph.relation(RATED), graph.counts[ITEM]
    known = torch.isin(users * width + items, (rated.sources * width + rated.targets).to(users.device))
    return users[known], items[known], times[known]

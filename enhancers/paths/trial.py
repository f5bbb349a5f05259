"""Walks from users along many meta-paths, and where the items that were hidden from the graph come in.  Ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from burnish.errors import DataError

from .graph import ITEM, RATED, Graph, Step
from .metapaths import MetaPath
from .propagation import edges_of, first_hop, hop

#: Numbers that a batch of users may fill with states of walks.
_CELLS = 2**25

# ---------------------------------------------------------------------- what is hidden


@dataclass(frozen=True)
class Hidden:
    """A graph without some interactions of some users.

    rest: the graph without them.  users: `[n]`, ascending.
    rows, items: `[h]`, which of the users, ascending, and which item was hidden.
    """

    rest: Graph
    users: Tensor
    rows: Tensor
    items: Tensor


def hide(graph: Graph, users: int, share: float, seed: int) -> Hidden:
    """Hide a share of the interactions of users that are drawn among those with two or more, at least one of each."""
    draw = torch.Generator().manual_seed(seed)
    rated = graph.adjacency(Step(RATED))
    fit = (rated.degrees() >= 2).nonzero().squeeze(1).cpu()
    if not len(fit):
        raise DataError("no user has two training interactions, one to be hidden and one to begin from")
    chosen = fit[torch.randperm(len(fit), generator=draw)[:users]].sort().values.to(rated.starts.device)
    rows, items, _ = edges_of(chosen, rated)
    degrees = rated.degrees()[chosen]
    # Of a user with 2 to 7 interactions a fifth is one.
    n_hidden = (degrees * share).round().long().clamp(min=1).minimum(degrees - 1)
    order = torch.rand(len(rows), generator=draw, dtype=torch.float64).argsort().to(rows.device)
    order = order[rows[order].argsort(stable=True)]  # by user, and by chance within one
    rank = torch.arange(len(rows), device=rows.device) - (degrees.cumsum(0) - degrees)[rows[order]]
    hidden = order[rank < n_hidden[rows[order]]].sort().values
    rows, items = rows[hidden], items[hidden]
    return Hidden(graph.without(RATED, chosen[rows], items), chosen, rows, items)


# ---------------------------------------------------------------------- walks along all of them


@dataclass
class Found:
    """What was seen of one ranking.

    hits, places: by batch, which of the hidden items are in their users' lists, and where, from 1.
    The others are sums over users.
    """

    hits: list[Tensor] = field(default_factory=list)
    places: list[Tensor] = field(default_factory=list)
    users: int = 0
    found: int = 0
    reached: int = 0


class Trial:
    """All candidates, walked from all users; prefixes that they share are walked once a batch."""

    def __init__(self, hidden: Hidden, metapaths: Sequence[MetaPath], at: int, seed: int) -> None:
        self.hidden, self.graph, self.at = hidden, hidden.rest, at
        self.metapaths = list(metapaths)
        self.n_items = self.graph.counts[ITEM]
        self.draw = torch.Generator().manual_seed(seed + 1)
        self.weights = {step: _equal(self.graph, step) for path in metapaths for step in path.steps}
        self.number = {path.steps: number for number, path in enumerate(metapaths)}
        self.after: dict[tuple[Step, ...], list[Step]] = {}
        self.below: dict[tuple[Step, ...], int] = {}
        for path in metapaths:
            for length in range(1, len(path) + 1):
                prefix = path.steps[:length]
                if prefix not in self.below:
                    self.after.setdefault(prefix[:-1], []).append(prefix[-1])
                self.below[prefix] = self.below.get(prefix, 0) + 1
        widest = max(self.graph.counts[kind] for path in metapaths for kind in path.types)
        self.batch = max(1, min(len(hidden.users), _CELLS // (widest * (2 + max(map(len, metapaths))))))
        self.popular = Found()
        self.seen = [Found() for _ in metapaths]

    def run(self, progress: Callable[[int, int], None] | None) -> tuple[Found, list[Found], list[float]]:
        """What was seen of popularity, and of each candidate; how many paths of each kind a user has."""
        n = len(self.hidden.users)
        rated = self.graph.adjacency(Step(RATED))
        counts = self.graph.adjacency(Step(RATED, inverse=True)).degrees().float()
        bounds = torch.searchsorted(
            self.hidden.rows, torch.arange(n + 1, device=self.hidden.rows.device)
        ).tolist()
        total = len(self.metapaths) * math.ceil(n / self.batch)
        done = 0

        def tell(more: int) -> None:
            nonlocal done
            done += more
            if progress is not None:
                progress(done, total)

        for first in range(0, n, self.batch):
            users = self.hidden.users[first : first + self.batch]
            known = edges_of(users, rated)[:2]
            here = slice(bounds[first], bounds[first + len(users)])
            looked = _Batch(
                users,
                known,
                here.start,
                (self.hidden.rows[here] - first, self.hidden.items[here]),
                # Equal probabilities differ by chance afterwards; others by far less than walks do.
                1 + 2.0**-16 * torch.rand(len(users), self.n_items, generator=self.draw).to(users.device),
            )
            self._look(self.popular, counts.expand(len(users), -1), looked)
            self._walk((), None, looked, tell)
        return self.popular, self.seen, self._paths()

    def _walk(
        self, prefix: tuple[Step, ...], state: Tensor | None, looked: _Batch, tell: Callable[[int], None]
    ) -> None:
        for step in self.after.get(prefix, ()):
            there, further = self.graph.adjacency(step), (*prefix, step)
            if state is None:
                arrived = first_hop(looked.users, self.weights[step], there)
            else:
                arrived = hop(state, self.weights[step], there, self.graph.adjacency(step.back()))
            if not bool(arrived.any()):
                tell(self.below[further])  # nobody gets any further
                continue
            if further in self.number:
                self._look(self.seen[self.number[further]], arrived.t(), looked)
                tell(1)
            self._walk(further, arrived, looked, tell)

    def _look(self, seen: Found, probabilities: Tensor, looked: _Batch) -> None:
        """Rank one batch's items, `[b, n_items]` and 0 where nothing arrives."""
        scores = probabilities * looked.chance
        scores[looked.known] = 0.0
        reached = (scores > 0).sum(1)
        seen.users += int((reached > 0).sum())
        seen.reached += int(reached.sum())
        seen.found += int((scores[looked.hidden] > 0).sum())
        values, items = scores.topk(min(self.at, self.n_items))
        place = torch.arange(1, values.shape[1] + 1, device=items.device, dtype=torch.int32) * (values > 0)
        places = torch.zeros(scores.shape, dtype=torch.int32, device=items.device).scatter(
            1, items, place.int()
        )
        there = places[looked.hidden]
        hits = there.nonzero().squeeze(1)
        seen.hits.append(looked.first + hits)
        seen.places.append(there[hits])

    def _paths(self) -> list[float]:
        """How many paths of each kind a user has."""
        means = []
        for path in self.metapaths:
            ways = torch.ones(self.n_items, 1, dtype=torch.float64, device=self.hidden.users.device)
            for step in reversed(path.steps):
                ones = torch.ones(
                    len(self.graph.relation(step.relation)), dtype=torch.float64, device=ways.device
                )
                ways = hop(ways, ones, self.graph.adjacency(step.back()), self.graph.adjacency(step))
            means.append(float(ways[self.hidden.users].mean()))
        return means


@dataclass(frozen=True)
class _Batch:
    """Users whose walks are looked at together.

    users: `[b]`.  known: rows and items that are not recommended.  hidden: rows and items that should be.
    first: which of all hidden ones is the first of these.
    chance: `[b, n_items]`, what probabilities are multiplied by.
    """

    users: Tensor
    known: tuple[Tensor, Tensor]
    first: int
    hidden: tuple[Tensor, Tensor]
    chance: Tensor


def _equal(graph: Graph, step: Step) -> Tensor:
    """Weights of a step's edges that are equal and sum to 1 at each node where they begin."""
    there = graph.adjacency(step)
    chances = there.degrees().float().reciprocal()[there.origins()]
    return torch.empty_like(chances).scatter(0, there.edges, chances)

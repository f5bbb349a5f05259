"""Values of edges in the propagation of a graph backbone: what the ranking of other interactions loses without one.

Wang, Mittal, Song, Jia: "Data Shapley in one training run", arXiv 2406.11011, whose first-order formula is taken here
to the edges of a graph (ours): players are edges, a step takes an edge's weight from 1 to 0, and the value is by how
much that raises the judges' loss, to first order.  One backward pass through the propagation gives those of all edges.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.checks import whole_number
from burnish.enhancers.interactions import group_mean
from burnish.enhancers.weights.propagation import Propagation
from burnish.errors import NonFiniteError
from burnish.randomness import forked_randomness

#: Vectors of all users and of all items as the backbone propagates them; their products are its scores.
Propagate = Callable[[], tuple[Tensor, Tensor]]
#: Scores `[m]` of pairs of users and items `[m]`, of a backbone whose score is no product; it propagates every time.
PairScores = Callable[[Tensor, Tensor], Tensor]

#: Numbers that the vectors of the items of some judges hold at a time.
_AT_ONCE = 1 << 24
#: How often a drawn item that the user knows is drawn anew.
_DRAWS = 8


def edge_values(
    propagation: Propagation,
    scores: VectorGraph | PairGraph,
    users: Tensor,
    items: Tensor,
    *,
    folds: int = 5,
    negatives: int = 10,
    seed: int = 0,
) -> Tensor:
    """By how much the loss of other interactions rises, to first order, when an edge is taken out of the graph.

    value(e) = -(d loss / d w_e) at the weights that the graph has, times w_e (1, where nothing weighs it): an edge's
    weight counts as docs/weights.md says, so that w_e = 0 is the graph built without e, degrees included.  The loss is
    BPR's, summed over the judges: the mean of -log sigmoid(score - score of a drawn item) over items that the user does
    not know, drawn uniformly.  All other parameters stay.

    A user's interactions are dealt into folds, and no interaction judges the edges of its own fold, itself among them;
    a value is what the other folds say, times folds / (folds - 1): in the units of the loss of all interactions.

    Parameters
    ----------
    propagation : Propagation
        The edges of the backbone.
    scores : VectorGraph or PairGraph
        How the backbone scores, without dropout.
    users, items : Tensor
        `[n]`, the judges, by internal ids (0 is padding): training interactions.
    folds : int, default 5
        2 or more.
    negatives : int, default 10
        Items drawn for each judge.
    seed : int, default 0
        Decides folds and drawn items.

    Returns
    -------
    Tensor
        `[e]`, in float64 on the CPU, in the order of `propagation.edges`.

    Raises
    ------
    ConfigurationError
        For numbers that cannot be.
    UnsupportedError
        For a backbone whose propagation does not multiply by the matrix that it keeps.
    NonFiniteError
        Where a value is NaN or infinite.
    """
    whole_number("folds", folds, 2)
    whole_number("negatives", negatives)
    generator = torch.Generator().manual_seed(seed)
    edge_users, edge_items, _ = propagation.edges
    keys = edge_users * propagation.n_items + edge_items
    fold_of = dealt(edge_users, folds, generator)
    judged = torch.searchsorted(keys, users.cpu() * propagation.n_items + items.cpu())
    drawn = unknown_items(users.cpu(), keys, propagation.n_items, negatives, generator)
    weights = _weights_now(propagation, len(keys))
    scores.start(propagation, weights, seed)
    total = torch.zeros(len(keys), dtype=torch.float64)
    for fold in range(folds):
        mine = (fold_of[judged] == fold).nonzero().squeeze(1)
        if not len(mine):
            continue
        slopes = scores.slopes(users.cpu()[mine], items.cpu()[mine], drawn[mine])
        total -= (slopes * weights).masked_fill(fold_of == fold, 0.0)
    total *= folds / (folds - 1)
    if not bool(torch.isfinite(total).all()):
        raise NonFiniteError(
            "the value of an edge is NaN or infinite: the trained model gives such scores; train it anew with a lower "
            "learning_rate"
        )
    return total


def dealt(groups: Tensor, folds: int, generator: torch.Generator) -> Tensor:
    """A fold `[n]` for each member of a group, at random: those of a group differ in size by one at most."""
    shuffled = torch.randperm(len(groups), generator=generator)
    by_group, place = groups[shuffled].sort(stable=True)
    counts = torch.unique_consecutive(by_group, return_counts=True)[1]
    rank = torch.arange(len(groups)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    # Groups begin with a fold of their own, so that the folds are of equal size where groups are small.
    first = torch.randint(folds, (len(counts),), generator=generator)
    found = torch.empty(len(groups), dtype=torch.long)
    found[shuffled[place]] = (rank + torch.repeat_interleave(first, counts)) % folds
    return found


def unknown_items(
    users: Tensor, keys: Tensor, n_items: int, negatives: int, generator: torch.Generator
) -> Tensor:
    """Items `[n, negatives]` that a user does not know, drawn uniformly; 0 where none was found.

    keys: `[e]`, ascending, user times `n_items` plus item of what they know.
    """
    drawn = torch.randint(1, n_items, (len(users), negatives), generator=generator)
    for attempt in range(_DRAWS + 1):
        wanted = users.unsqueeze(1) * n_items + drawn
        known = keys[torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)] == wanted
        if attempt == _DRAWS:
            return drawn.masked_fill(known, 0)
        drawn[known] = torch.randint(1, n_items, (int(known.sum()),), generator=generator)
    raise AssertionError("the last attempt returns")


def judges_loss(own: Tensor, others: Tensor, counts: Tensor) -> Tensor:
    """BPR's loss, summed over judges.

    own: scores `[m, 1]` of their items.  others: of the items drawn for each, `[m, k]`.  counts: which of these count,
    bool `[m, k]`; a judge without any has the loss 0.
    """
    losses = F.softplus(others - own).masked_fill(~counts, 0.0)
    return (losses.sum(1) / counts.sum(1).clamp_min(1)).sum()


class VectorGraph:
    """A backbone whose score is a product of what it propagates: one pass forward, and one backward a set of judges."""

    def __init__(self, propagate: Propagate) -> None:
        self._propagate = propagate

    def start(self, propagation: Propagation, weights: Tensor, seed: int) -> None:
        """Propagate once, along edges with these weights `[e]`.  seed: of what the backbone draws."""
        self._weights = weights.clone().requires_grad_()
        drawing = forked_randomness(seed, propagation.device)
        with drawing, torch.enable_grad(), propagation.weighed(self._weights):
            self._vectors = self._propagate()

    def slopes(self, users: Tensor, items: Tensor, drawn: Tensor) -> Tensor:
        """The gradient `[e]` of the judges' loss in the edges' weights.  users, items: `[m]`; drawn: `[m, k]`."""
        leaves = [one.detach().requires_grad_() for one in self._vectors]
        users, items, drawn = (ids.to(leaves[0].device) for ids in (users, items, drawn))
        slopes = [torch.zeros_like(leaf) for leaf in leaves]
        step = max(1, _AT_ONCE // (drawn.shape[1] * leaves[0].shape[1]))
        for first in range(0, len(users), step):  # some judges after others
            here = slice(first, first + step)
            with torch.enable_grad():
                of_users = leaves[0][users[here]].unsqueeze(1)
                own, others = (
                    (of_users * leaves[1][ids]).sum(2) for ids in (items[here].unsqueeze(1), drawn[here])
                )
                loss = judges_loss(own, others, drawn[here] > 0)
            for slope, more in zip(slopes, torch.autograd.grad(loss, leaves), strict=True):
                slope += more
        (found,) = torch.autograd.grad(self._vectors, self._weights, slopes, retain_graph=True)
        return found


class PairGraph:
    """A backbone that scores pairs: it propagates anew for every part of the judges."""

    def __init__(self, scores: PairScores, at_once: int = 1 << 18) -> None:
        self._scores, self._at_once = scores, at_once

    def start(self, propagation: Propagation, weights: Tensor, seed: int) -> None:
        """Note along which edges, and with which weights `[e]`, it propagates.  seed: of what the backbone draws."""
        self._propagation, self._weights, self._seed = propagation, weights.clone().requires_grad_(), seed

    def slopes(self, users: Tensor, items: Tensor, drawn: Tensor) -> Tensor:
        """As `VectorGraph.slopes`."""
        total = torch.zeros_like(self._weights, requires_grad=False)
        step = max(1, self._at_once // (1 + drawn.shape[1]))
        for first in range(0, len(users), step):
            here = slice(first, first + step)
            scored = torch.cat([items[here].unsqueeze(1), drawn[here]], dim=1).to(self._propagation.device)
            of_users = users[here].to(scored.device).unsqueeze(1).expand_as(scored)
            # Every part by the same draw: KGIN and MCCLK leave out edges of their graphs in every pass.
            drawing = forked_randomness(self._seed, scored.device)
            with drawing, torch.enable_grad(), self._propagation.weighed(self._weights):
                scores = self._scores(of_users.reshape(-1), scored.reshape(-1)).reshape(scored.shape)
                loss = judges_loss(scores[:, :1], scores[:, 1:], scored[:, 1:] > 0)
            total += torch.autograd.grad(loss, self._weights)[0]
        return total


def _weights_now(propagation: Propagation, n_edges: int) -> Tensor:
    """The weights of the edges as the graph has them, `[e]` in float64."""
    if propagation.applied is None:
        return torch.ones(n_edges, dtype=torch.float64)
    of_row = propagation.applied.detach().double().cpu()
    return group_mean(of_row, propagation.edges[2], n_edges)

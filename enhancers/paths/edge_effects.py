"""Values of a path model's edges: what finding hidden interactions loses, to first order, when an edge is taken out.

The first-order formula of in-run data Shapley (Wang, Mittal, Song, Jia, arXiv 2406.11011), taken to the edges of a
graph: ours.  The edges of a path model have positive, learned weights a = softplus(rate * theta), so one backward pass
gives those of all edges: value(e) = -(d loss / d a_e) * a_e, the change of the loss when a_e goes to 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from burnish.checks import whole_number
from burnish.enhancers.shapley.edge_values import dealt
from burnish.errors import NonFiniteError, UnsupportedError

from .graph import ITEM, RATED, USER, Relation
from .learned_paths import cross_entropy
from .lists import Pairs
from .path_model import PathModel

#: Numbers that the states of a batch of users hold at a time.
_AT_ONCE = 1 << 25


def path_edge_values(
    model: PathModel, *, folds: int = 5, seed: int = 0, users_at_once: int | None = None
) -> dict[str, Tensor]:
    """By how much the loss of hidden interactions rises, to first order, when an edge is taken out of the graph.

    A user's positive training interactions are dealt into folds.  Each fold in turn is hidden from the user's walks,
    which are to find it (the path model's loss, -log of its probability among the unknown items, as in training); the
    sum over all interactions, each hidden once, is the loss.  An interaction is an edge, too: its fold does not judge
    it, and its value is what the other folds say, times folds / (folds - 1).

    With `normalise: walk` the other edges of a node take over what an edge leaves, as the weights of a node sum to 1.

    Parameters
    ----------
    model : PathModel
        With its graph, of which the relation "rated" has the positive training interactions.
    folds : int, default 5
        2 or more.
    seed : int, default 0
        Decides the folds.
    users_at_once : int, optional
        Of whom the walks are computed together; by default as many as fit into memory.

    Returns
    -------
    dict of str to Tensor
        By relation that a meta-path goes along, `[e]` in float64 on the CPU, in the relation's order; with a weight for
        either direction, the sum of both.

    Raises
    ------
    ConfigurationError
        For numbers that cannot be.
    UnsupportedError
        Where the graph has no interactions of users with items.
    NonFiniteError
        Where a value is NaN or infinite.
    """
    whole_number("folds", folds, 2)
    interactions = _interactions(model)
    pairs = interactions.sources.cpu(), interactions.targets.cpu()
    fold_of = dealt(pairs[0], folds, torch.Generator().manual_seed(seed))
    values = {
        step.relation: torch.zeros(len(model.graph.relation(step.relation)), dtype=torch.float64)
        for step in model._parameter
    }
    for batch, known, mine in _batches(model, pairs, users_at_once):
        for fold in range(folds):
            hidden = (fold_of[mine] == fold).to(known.rows.device)
            if not bool(hidden.any()):
                continue
            for relation, change in _changes(model, batch, known, hidden).items():
                if relation == RATED:
                    change = change.masked_fill(fold_of == fold, 0.0) * (folds / (folds - 1))
                values[relation] += change
    for relation, found in values.items():
        if not bool(torch.isfinite(found).all()):
            raise NonFiniteError(
                f"the value of an edge of {relation!r} is NaN or infinite: the path model's weights are; train it "
                f"anew with a lower learning_rate"
            )
    return values


def hidden_loss(model: PathModel, users: Tensor, known: Pairs, hidden: Tensor) -> Tensor:
    """The sum over hidden interactions of -log of their probability, when walks do not begin with them."""
    walk = model.columns if model.most is None else model.listed
    means = cross_entropy(walk(users, known.where(hidden)), known, hidden, len(users))
    return (means * torch.bincount(known.rows[hidden], minlength=len(users))).sum()


def _changes(model: PathModel, users: Tensor, known: Pairs, hidden: Tensor) -> dict[str, Tensor]:
    """By relation, the first-order change of `hidden_loss` when an edge is taken out, `[e]`."""
    parameters = list(model.theta)
    with torch.enable_grad():
        loss = hidden_loss(model, users, known, hidden)
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True)
    changes: dict[str, Tensor] = {}
    for number, slope in enumerate(slopes):
        step = next(step for step, own in model._parameter.items() if own == number)
        if slope is None:
            continue
        raw = model.rate * parameters[number].detach().double()
        # a / (d a / d theta): softplus over rate times sigmoid, which goes to 1 / rate far below 0.
        size = (
            torch.where(raw < -30, 1.0, functional.softplus(raw) / raw.clamp_min(-30).sigmoid()) / model.rate
        )
        change = -(slope.double() * size).cpu()
        changes[step.relation] = changes.get(step.relation, 0.0) + change
    return changes


def _interactions(model: PathModel) -> Relation:
    found = next((one for one in model.graph.relations if one.name == RATED), None)
    if found is None or (found.source, found.target) != (USER, ITEM) or not len(found):
        raise UnsupportedError(
            f"the graph has no relation {RATED!r} of users and items, so no interactions judge its edges"
        )
    return found


def _batches(
    model: PathModel, pairs: tuple[Tensor, Tensor], users_at_once: int | None
) -> Iterator[tuple[Tensor, Pairs, Tensor]]:
    """Some users after others: the users, what they know, and which of the interactions that is."""
    graph, device = model.graph, model.mixing.device
    if users_at_once is None:
        prefixes = {path.steps[:n] for path in model.metapaths for n in range(1, len(path) + 1)}
        nodes = sum(graph.counts[graph.ends(prefix[-1])[1]] for prefix in prefixes)
        users_at_once = max(1, min(256, _AT_ONCE // max(1, nodes)))
    whole_number("users_at_once", users_at_once)
    for users in torch.unique(pairs[0]).split(users_at_once):
        # Relations are in the order of their sources.
        first, end = torch.searchsorted(pairs[0], users[[0, -1]] + torch.tensor([0, 1])).tolist()
        mine = torch.arange(first, end)
        rows = torch.searchsorted(users, pairs[0][mine])
        known = Pairs(rows.to(device), pairs[1][mine].to(device), graph.counts[ITEM])
        yield users.to(device), known, mine

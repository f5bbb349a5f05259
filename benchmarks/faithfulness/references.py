"""Reasons that ours have to be better than: drawn at random, popular items, similar items, gradients, one left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.enhancers.shapley.history_games import kind_of_history
from burnish.enhancers.unchanged import evaluating
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness
from burnish.trained.valued_interactions import item_vectors

from .standing import Recommendation

if TYPE_CHECKING:
    from burnish.trained.recommend import Recommender

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Values of the items of a history that need no explanation.

    values: of a recommendation, `[n]`, the strongest reason with the largest.  says: what they are, in short.
    """

    name: str
    values: Callable[[Recommendation], Values]
    says: str


#: By name, what each says; in the order of tables.
REFERENCES = {
    "random": "an order drawn at random",
    "popularity": "the items that most users have",
    "similarity": "the items whose vectors are nearest to the recommended one's (cosine)",
    "gradient": "the derivative, by each item's entry, of what ours are of, at the whole history",
    "leave-one-out": "what ours are of, by all items less by all but one",
}


def references(
    recommender: Recommender, names: Sequence[str], seed: int
) -> tuple[list[Reference], dict[str, str]]:
    """The references of these names for a model, and why others cannot be had (name to reason)."""
    made: list[Reference] = []
    lacking: dict[str, str] = {}
    for name in names:
        try:
            made.append(Reference(name, _MAKERS[name](recommender, seed), REFERENCES[name]))
        except UnsupportedError as error:
            lacking[name] = str(error)
    return made, lacking


def _random(recommender: Recommender, seed: int) -> Callable[[Recommendation], Values]:
    return lambda one: np.random.default_rng([seed, one.user, 1]).random(len(one))


def _popularity(recommender: Recommender, seed: int) -> Callable[[Recommendation], Values]:
    counts = recommender.item_counts
    return lambda one: counts[one.history].astype(np.float64)


def _similarity(recommender: Recommender, seed: int) -> Callable[[Recommendation], Values]:
    _, found = item_vectors(recommender.trained, None)
    vectors = found.double().cpu().numpy()
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def values(one: Recommendation) -> Values:
        cosines: Values = vectors[one.history - 1] @ vectors[one.item - 1]  # no padding in front
        return cosines

    return values


def leave_one_out(one: Recommendation) -> Values:
    """What each player takes from the score, or the standing, when it alone is missing, `[n]`."""
    n = len(one)
    scores = one.worth(np.concatenate([np.ones((1, n), bool), ~np.eye(n, dtype=bool)]))
    return np.asarray(scores[0] - scores[1:])


def _gradient(recommender: Recommender, seed: int) -> Callable[[Recommendation], Values]:
    try:
        kind = kind_of_history(recommender.trained.model)
    except UnsupportedError:  # the folded-in user: a linear game, the same slope everywhere
        return _slopes
    if kind == "sequential":
        _embedding(recommender.trained.model)
    return lambda one: score_gradient(recommender, one, seed)


def _slopes(one: Recommendation) -> Values:
    n = len(one)
    scores = one.worth(np.concatenate([np.zeros((1, n), bool), np.eye(n, dtype=bool)]))
    return np.asarray(scores[1:] - scores[0])


_MAKERS: dict[str, Callable[[Recommender, int], Callable[[Recommendation], Values]]] = {
    "random": _random,
    "popularity": _popularity,
    "similarity": _similarity,
    "gradient": _gradient,
    "leave-one-out": lambda recommender, seed: leave_one_out,
}


def score_gradient(recommender: Recommender, one: Recommendation, seed: int = 0) -> Values:
    """The derivative of what reasons are of (score or standing) by the entries of a history, each of which is 1, `[n]`.

    Autoencoders: by the user's row of the rating matrix.  Sequential models: by a factor on the item's embedding at its
    place in the list.  seed: of what the model draws in evaluation, if it does.
    """
    model: Any = recommender.trained.model
    device = next(model.parameters()).device
    batch = recommender.inputs.batch(np.array([one.user])).to(device)
    entries = torch.ones(len(one), device=device, requires_grad=True)
    sequential = kind_of_history(model) == "sequential"
    # cuDNN gives recurrent layers no derivatives in evaluation mode.
    with (
        evaluating(model),
        forked_randomness(seed, device),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
    ):
        scores = (_by_list if sequential else _by_row)(model, batch, one, entries)
        if one.reasons.valued == "standing":
            others = torch.from_numpy(one.catalogue).to(device)
            score = scores[one.item] - scores[others].mean()
        else:
            score = scores[one.item]
        (slope,) = torch.autograd.grad(score, entries)
    return np.asarray(slope.double().cpu().numpy())


def _by_row(model: Any, batch: Any, one: Recommendation, entries: Tensor) -> Tensor:
    places = torch.from_numpy(one.history).to(entries.device)
    ratings = torch.zeros(1, model.n_items, device=entries.device).index_put(
        (torch.zeros_like(places), places), entries
    )
    model.get_rating_matrix = lambda users: ratings
    try:
        scores: Tensor = model.full_sort_predict(batch)
    finally:
        del model.get_rating_matrix
    return scores.view(-1)


def _by_list(model: Any, batch: Any, one: Recommendation, entries: Tensor) -> Tensor:
    items = batch[model.ITEM_SEQ]
    places = items[0].nonzero().squeeze(1)
    listed = items[0][places].cpu().numpy()
    if np.array_equal(listed[::-1], one.history) and not np.array_equal(listed, one.history):
        places = places.flip(0)  # models that are trained on lists that begin with the newest item
    elif not np.array_equal(listed, one.history):
        raise UnsupportedError(
            f"{type(model).__name__} reads another list than the history that is explained"
        )
    factors = torch.ones(items.shape, device=entries.device).index_put(
        (torch.zeros_like(places), places), entries
    )

    def scaled(module: Any, given: tuple[Any, ...], output: Tensor) -> Tensor | None:
        same = given and given[0].shape == items.shape and bool((given[0] == items).all())
        return output * factors.unsqueeze(-1) if same else None

    hook = _embedding(model).register_forward_hook(scaled)
    try:
        scores: Tensor = model.full_sort_predict(batch)
    finally:
        hook.remove()
    return scores.view(-1)


def _embedding(model: Any) -> torch.nn.Module:
    """What looks up the vectors of a list of items."""
    table = getattr(model, "item_embedding", None)
    if isinstance(table, torch.nn.Module):
        return table
    raise UnsupportedError(f"{type(model).__name__} looks up its items in no table called item_embedding")

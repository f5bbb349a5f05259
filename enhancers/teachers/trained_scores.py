"""The scores of a trained model, as its tables where they are the score, else written out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from burnish.enhancers.anatomy.describe import Anatomy, describe, propagation
from burnish.enhancers.attach import is_enhanced
from burnish.enhancers.bake import bake, why_not_bakeable
from burnish.enhancers.detach import host_of
from burnish.enhancers.kept_embeddings import clear_kept
from burnish.enhancers.softmax.vectors import find_vectors
from burnish.enhancers.unchanged import evaluating, unchanged
from burnish.errors import DataError, UnsupportedError
from burnish.randomness import forked_randomness

from .item_sides import UserRows, WrittenOut
from .scores import BLOCK_BYTES, Bilinear, table_scores
from .sparse import blocks

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


#: Pairs that a model scores at once where it scores pair by pair: layers of a few hundred numbers take some 2 KiB each.
PAIRS = 2**15


@torch.no_grad()
def trained_scores(model: Any, dataset: Dataset, config: Any, *, name: str, budget_bytes: int) -> Bilinear:
    """The scores of a trained model for all users and items.

    Parameters
    ----------
    model
        A RecBole model, plain or enhanced; it stays as it is.
    dataset
        The training split that it was made with.
    config
        RecBole's, that it was made with.
    name
        What messages call it.
    budget_bytes
        For scores that are written out.

    Raises
    ------
    UnsupportedError
        For a model that reads histories or reviews, and for scores that do not fit the budget.
    DataError
        For scores that are not finite.
    """
    if is_enhanced(model):
        host = host_of(model, "teacher")
        if not any(why_not_bakeable(one, host.anatomy.backbone) for one in host.enhancers()):
            model = bake(model)
    anatomy = describe(model, config, dataset)
    if anatomy.fields.sequence is not None:
        raise UnsupportedError(
            f"{name} is a run of {anatomy.backbone}, whose users are what their histories say; give runs of models "
            f"that score a user's number (BPR, LightGCN, NeuMF, ...)"
        )
    vectors = find_vectors(model, anatomy, dataset)
    if vectors is not None and vectors.source == "tables":
        assert vectors.users is not None
        assert vectors.items is not None
        return table_scores(vectors.users.raw().clone(), vectors.items.raw().clone(), name=name)
    if vectors is not None and vectors.source == "output":
        call = propagation(model)
        assert call is not None
        with forked_randomness(0, anatomy.device), unchanged(model), evaluating(model):
            clear_kept(model)
            users, items = call()[:2]
            clear_kept(model)
        return table_scores(users.clone(), items.clone(), name=name)
    scores = _written_out(model, dataset, anatomy, name, budget_bytes)
    return Bilinear(UserRows(scores), WrittenOut(anatomy.n_items), anatomy.n_items, name=name)


def _written_out(model: Any, dataset: Dataset, anatomy: Anatomy, name: str, budget_bytes: int) -> Tensor:
    """`[n_users, n_items]`, padding zero."""
    needed = 4 * anatomy.n_users * anatomy.n_items
    if needed > budget_bytes:
        raise UnsupportedError(
            f"{name} is a run of {anatomy.backbone}, whose score is no product of two tables: its scores of "
            f"{anatomy.n_users - 1} users and {anatomy.n_items - 1} items take {needed / 2**20:.0f} MiB, and "
            f"budget_mib is {budget_bytes / 2**20:.0f}; raise it, or give another teacher"
        )
    scores = torch.zeros(anatomy.n_users, anatomy.n_items, device=anatomy.device)
    with forked_randomness(0, anatomy.device), unchanged(model), evaluating(model):
        clear_kept(model)
        for block in blocks(anatomy.n_users, 32 * anatomy.n_items, BLOCK_BYTES):
            ids = torch.arange(max(block.start, 1), block.stop, device=anatomy.device)
            try:
                scores[ids, 1:] = _of_users(model, dataset, anatomy, ids)
            except KeyError as error:
                raise UnsupportedError(
                    f"{name} is a run of {anatomy.backbone}, which cannot score a user and an item without the column "
                    f"{error}; give another teacher"
                ) from error
        clear_kept(model)
    if not bool(torch.isfinite(scores).all()):
        raise DataError(f"{name}: the scores of {anatomy.backbone} are not all finite; train that model anew")
    return scores


def _of_users(model: Any, dataset: Dataset, anatomy: Anatomy, ids: Tensor) -> Tensor:
    """Scores `[b, n_items - 1]` of all items but padding; pair by pair where the model gives them no other way."""
    from recbole.data.interaction import Interaction

    user, item = anatomy.fields.user, anatomy.fields.item
    try:
        found = model.full_sort_predict(Interaction({user: ids}))
    except NotImplementedError:
        items = torch.arange(1, anatomy.n_items, device=ids.device)
        users, others = ids.repeat_interleave(len(items)), items.repeat(len(ids))
        parts = []
        for few, them in zip(users.split(PAIRS), others.split(PAIRS), strict=True):
            pairs = dataset.join(Interaction({user: few, item: them}).cpu())
            parts.append(model.predict(pairs.to(ids.device)).reshape(-1).float())
        return torch.cat(parts).reshape(len(ids), -1)
    return found.reshape(len(ids), -1)[:, 1 : anatomy.n_items].float()

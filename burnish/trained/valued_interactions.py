"""What `burnish value` judges: the training interactions of a trained model, its item vectors, and its scores.

And what all users have in common of it, which is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.enhancers.guided.blocks import make_block
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.guided.options import GuidedConfig
from burnish.enhancers.guided.scorers.shipped import shipped_names
from burnish.enhancers.interactions import positives
from burnish.enhancers.shapley import objectives as judges
from burnish.enhancers.shapley.cross_fit import catalogue_mean
from burnish.enhancers.shapley.meanings import Axes, Groups, item_groups, principal_axes
from burnish.enhancers.shapley.ranking import of_like_popularity
from burnish.enhancers.shapley.regression import regression_values
from burnish.errors import UnsupportedError

from .edge_values import PropagatedEdges
from .export import anatomy_of, export_embeddings, tables_of
from .recommend import Recommender

if TYPE_CHECKING:
    from burnish.training.trained_model import TrainedModel

#: Scores that are kept for the users of a shard (float32: 256 MiB).
CELLS = 1 << 26


@dataclass(frozen=True)
class ItemAttributes:
    """What items are scored on.  names: `m`; scores: `[n_items, m]`, standardised over items, 0 where unknown.

    centre: `[m]`, the mean of the items that occur in the training interactions.
    """

    names: tuple[str, ...]
    scores: Tensor
    centre: Tensor


@dataclass
class ValuedInteractions:
    """The training interactions to value, and what the trained model gives to judge them by; ids from 0, no padding.

    users, items: `[n]`, in the order of the training data.  rows: `[n]`, their rows in its `inter_feat`.
    vectors: `[n_items, d]` of the items.  centre, popular: `[d]`, the mean direction of the items that
    occur, and of the interactions' items.  scorer: scores of pairs, None where a model needs a sequence to score.
    attributes: None until they are asked for (`item_attributes`).
    graph: makes what values them as edges of a graph backbone; raises `UnsupportedError` for other models.
    """

    users: Tensor
    items: Tensor
    rows: np.ndarray
    vectors: Tensor
    n_users: int
    centre: Tensor
    popular: Tensor
    scorer: judges.Scorer | None = field(default=None, repr=False)
    attributes: ItemAttributes | None = field(default=None, repr=False)
    graph: Callable[[], PropagatedEdges] | None = field(default=None, repr=False)
    _regression: Tensor | None = field(default=None, repr=False)
    _as_popular: Tensor | None = field(default=None, repr=False)
    _axes: Axes | None = field(default=None, repr=False)
    _groups: Groups | None = field(default=None, repr=False)

    def regression(self) -> Tensor:
        """`regression_values` of all interactions, computed once: every user speaks for every other."""
        if self._regression is None:
            self._regression = regression_values(self.users, self.items, len(self.vectors))
        return self._regression

    def as_popular(self) -> Tensor:
        """For every item the mean direction `[n_items, d]` of the others that are as popular among all users."""
        if self._as_popular is None:
            self._as_popular = of_like_popularity(self.items, F.normalize(self.vectors, dim=1))
        return self._as_popular

    def axes(self) -> Axes:
        """The principal axes of the items that occur."""
        if self._axes is None:
            self._axes = principal_axes(self.vectors, self.items)
        return self._axes

    def groups(self) -> Groups:
        """The items that occur in groups: the same ones whatever a valuation's seed, so that two can be compared."""
        if self._groups is None:
            self._groups = item_groups(self.vectors, self.items)
        return self._groups

    def need_attributes(self) -> ItemAttributes:
        """The attributes, which have been asked for."""
        assert self.attributes is not None
        return self.attributes

    def told_apart_by(self) -> dict[str, Tensor]:
        """What values depend on beside the model and the settings, by name."""
        tensors = {"users": self.users, "items": self.items, "vectors": self.vectors}
        if self._groups is not None:  # of another machine they might be others
            tensors["groups"] = self._groups.labels
        if self.attributes is not None:
            tensors["attributes"] = self.attributes.scores
        return tensors

    @property
    def n(self) -> int:
        """How many interactions there are."""
        return len(self.users)


def valued_interactions(trained: TrainedModel, table: str | None = None) -> ValuedInteractions:
    """The positive training interactions of a trained model's data and its item vectors.

    The vectors are what a graph backbone propagated, else the refined table that meets users in the score
    (`table`: another one).
    Raises `UnsupportedError` for a model without item embeddings.
    """
    data = trained.dataset
    columns = trained.splits.training.inter_feat
    users, items = (np.asarray(columns[name]) for name in (data.uid_field, data.iid_field))
    rows = np.arange(len(users))
    liked = _liked(trained)
    if liked is not None:  # what users disliked is not part of their profile
        rows = np.flatnonzero(liked)
    device = torch.device(trained.config["device"])
    kind, vectors = item_vectors(trained, table)
    vectors = vectors.to(device)
    item_ids = torch.from_numpy(items[rows].astype(np.int64) - 1).to(device)
    return ValuedInteractions(
        torch.from_numpy(users[rows].astype(np.int64) - 1).to(device),
        item_ids,
        rows,
        vectors,
        int(data.user_num) - 1,
        catalogue_mean(vectors, item_ids),
        F.normalize(vectors, dim=1)[item_ids].mean(dim=0),
        None if trained.sequential else _make_scorer(trained, kind, vectors, device),
        graph=cache(partial(PropagatedEdges, trained)),
    )


def item_attributes(trained: TrainedModel, items: Tensor, scores: str | None = None) -> ItemAttributes:
    """What the items are scored on: the scores given, or those of the model's enhancer `guided`.

    items: `[n]`, of the training interactions.  scores: a file of `burnish guide score`, or a data set with shipped
    scores; of all items that it scores none but those of this data set count.
    Raises `UnsupportedError` for a model without scores where none are given, or whose scores are a control's, and
    `DataError` for scores that do not fit.
    """
    if scores is not None:
        block = make_block(GuidedConfig(scores=scores), trained.dataset, 0)
        names, values = block.names, block.values
    else:
        guided = _guided(trained)
        names, values = guided.attributes, guided.guided.detach()
    table = values[1:].to(items.device)
    return ItemAttributes(tuple(names), table, catalogue_mean(table, items, normalise=False))


def _guided(trained: TrainedModel) -> Guided:
    attached = getattr(trained.model, "enhancers", None)
    cure = "give scores (scores=FILE, --scores FILE; `burnish guide score` makes such a file"
    name = str(trained.dataset.dataset_name)
    cure += f", and those of {name} are shipped: --scores {name})" if name in shipped_names() else ")"
    for enhancer in attached.enhancers() if attached is not None else []:
        if isinstance(enhancer, Guided):
            if enhancer.config.control == "none":
                return enhancer
            raise UnsupportedError(
                f"objective 'attributes': this run's guided has control: {enhancer.config.control}, which stands in "
                f"for the items' scores, so that its attributes mean nothing; {cure}"
            )
    raise UnsupportedError(
        f"objective 'attributes' needs items' scores on attributes, which a run with the enhancer guided has, and this "
        f"one of {trained.config['model']} has not; {cure}, or train with --enhancers guided"
    )


def _liked(trained: TrainedModel) -> Any:
    """Which training rows are positive, as an enhancer of the model has it where one was told; None for all."""
    attached = getattr(trained.model, "enhancers", None)
    options = [enhancer.config for enhancer in attached.enhancers()] if attached is not None else []
    limits = (getattr(one, "positive_from", None) for one in options)
    limit = next((limit for limit in limits if limit is not None), None)
    training = trained.splits.training
    found = positives(training, trained.config["LABEL_FIELD"], limit, "valuation").rows(training)
    return None if found is None else found.numpy()


def item_vectors(trained: TrainedModel, table: str | None) -> tuple[str, Tensor]:
    """Which kind of embeddings was taken, and `[n_items, d]` without padding."""
    if table is None:
        try:
            return "output", torch.from_numpy(export_embeddings(trained, "item", "output").vectors)
        except UnsupportedError:
            pass
        table = _scored_table(trained)
    return "refined", torch.from_numpy(export_embeddings(trained, "item", "refined", table=table).vectors)


def _scored_table(trained: TrainedModel) -> str | None:
    """The item table that meets users in the score; an autoencoder's last one, its decoder; None for no table."""
    anatomy = anatomy_of(trained)
    tables = [table for _, table in anatomy.pairs] + list(reversed(tables_of(anatomy, "item").values()))
    return tables[0].key if tables else None


def _make_scorer(trained: TrainedModel, kind: Any, vectors: Tensor, device: torch.device) -> judges.Scorer:
    """A product of vectors where that is what the model computes, else the model itself."""
    scorer = ModelScorer(trained, device)
    try:
        own = torch.from_numpy(export_embeddings(trained, "user", kind).vectors).to(device)
    except UnsupportedError:
        return scorer
    if own.shape[1] != vectors.shape[1]:
        return scorer
    users = torch.arange(min(len(own), 8), device=device)
    dot = own[users] @ vectors.t()
    if torch.allclose(scorer.scores(users), dot, rtol=1e-3, atol=1e-4 * float(dot.abs().max())):
        return judges.dot_scorer(own, vectors)
    return scorer


class ModelScorer:
    """Scores of pairs by the model itself: all items of the users asked about, remembered for the next question."""

    def __init__(self, trained: TrainedModel, device: torch.device) -> None:
        self._recommender = Recommender(trained, state="test")
        self._device = device
        self._known: tuple[Tensor, Tensor] | None = None

    def scores(self, users: Tensor) -> Tensor:
        """The scores of all items for these users: `[n, n_items]`."""
        batch = self._recommender.users_at_once
        ids = (users + 1).cpu().numpy()
        parts = [
            self._recommender.scores(ids[first : first + batch])[:, 1:] for first in range(0, len(ids), batch)
        ]
        return torch.cat(parts).to(self._device)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """The scores of these pairs: `[m]`."""
        distinct, place = torch.unique(users, return_inverse=True)
        n_items = self._recommender.trained.dataset.item_num - 1
        at_once = max(1, CELLS // n_items)
        if len(distinct) <= at_once:
            if self._known is None or not torch.equal(self._known[0], distinct):
                self._known = (distinct, self.scores(distinct))
            return self._known[1][place, items]
        scores = torch.empty(len(users), device=self._device)
        for first in range(0, len(distinct), at_once):
            mine = (place >= first) & (place < first + at_once)
            block = self.scores(distinct[first : first + at_once])
            scores[mine] = block[place[mine] - first, items[mine]]
        return scores

"""What `burnish value` can judge interactions by, each computed for some users' training interactions at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.enhancers.shapley import objectives as judges
from burnish.enhancers.shapley.cross_fit import catalogue_mean, cross_fitted
from burnish.enhancers.shapley.joint import joint_sum
from burnish.enhancers.shapley.regression import regression_values
from burnish.errors import ConfigurationError, UnsupportedError, unknown_name

from .export import anatomy_of, export_embeddings, tables_of

if TYPE_CHECKING:
    from .source import Source

#: Scores that are kept for the users of a shard (float32: 256 MiB).
CELLS = 1 << 26


@dataclass
class Material:
    """Training interactions and what a trained model makes of them; ids are counted from 0, without padding.

    users, items: `[n]`, in the order of the training data.  rows: `[n]`, their rows in its `inter_feat`.
    vectors: `[n_items, d]` of the items.  centre, popular: `[d]`, the mean direction of the items that
    occur, and of the interactions' items.  scorer: scores of pairs, None where a model needs a sequence to score.
    """

    users: Tensor
    items: Tensor
    rows: np.ndarray
    vectors: Tensor
    n_users: int
    centre: Tensor
    popular: Tensor
    scorer: judges.Scorer | None = field(default=None, repr=False)
    _regression: Tensor | None = field(default=None, repr=False)

    def regression(self) -> Tensor:
        """`regression_values` of all interactions, computed once: every user speaks for every other."""
        if self._regression is None:
            self._regression = regression_values(self.users, self.items, len(self.vectors))
        return self._regression

    @property
    def n(self) -> int:
        """How many interactions there are."""
        return len(self.users)


@dataclass(frozen=True)
class Shard:
    """All interactions of some users.  places: `[m]` in `Material`; users, items: `[m]`, numbered as there.

    seed: of this shard and repeat.  common_seed: of the repeat, the same for all shards.
    """

    places: Tensor
    users: Tensor
    items: Tensor
    seed: int
    common_seed: int
    folds: int


@dataclass(frozen=True)
class Objective:
    """One way to judge interactions.  compute gives `[m]`, or `[m, d]` with `dimensions`; higher is more valuable.

    random: whether its seed changes it, so that repeats say how sure a value is.
    """

    name: str
    text: str
    compute: Callable[[Material, Shard], Tensor]
    random: bool = True
    needs_scores: bool = False
    dimensions: bool = False

    def outputs(self, width: int) -> tuple[str, ...]:
        """The names of what `compute` gives."""
        return tuple(f"{self.name}.{k}" for k in range(width)) if self.dimensions else (self.name,)


def _cross_fitted(
    material: Material, shard: Shard, *, per_dimension: bool = False, controlled: bool = False
) -> Tensor:
    """controlled: less the mean over interactions instead of the mean over items, so that popularity cancels."""
    _, local = torch.unique(shard.users, return_inverse=True)
    return cross_fitted(
        local,
        shard.items,
        material.vectors,
        folds=shard.folds,
        seed=shard.seed,
        # Of all users: a shard's own would differ.
        centre=material.popular if controlled else material.centre,
        per_dimension=per_dimension,
    )


def _scorer(material: Material) -> judges.Scorer:
    assert material.scorer is not None  # `choose` has seen to it
    return material.scorer


def _fit(material: Material, shard: Shard) -> Tensor:
    return judges.ranking_loss(
        _scorer(material), shard.users, shard.items, len(material.vectors), seed=shard.seed
    )


def _standing(material: Material, shard: Shard) -> Tensor:
    return judges.standing(
        _scorer(material), shard.users, shard.items, material.n_users, seed=shard.common_seed
    )


def _regression(material: Material, shard: Shard) -> Tensor:
    return material.regression()[shard.places]


def _joint(material: Material, shard: Shard) -> Tensor:
    values = {
        "profile": _cross_fitted(material, shard),
        "profile_beyond_popularity": _cross_fitted(material, shard, controlled=True),
        "regression": _regression(material, shard).to(material.vectors.dtype),
    }
    return joint_sum(values, shard.users)


def _similarity(material: Material, shard: Shard) -> Tensor:
    return judges.profile_similarity(shard.users, shard.items, material.vectors)


OBJECTIVES = {
    made.name: made
    for made in (
        Objective(
            "profile",
            "Shapley value for the user's profile, judged by held-out folds of her own training interactions",
            _cross_fitted,
        ),
        Objective(
            "dimensions",
            "the same by embedding dimension: profile is the sum of them",
            lambda material, shard: _cross_fitted(material, shard, per_dimension=True),
            dimensions=True,
        ),
        Objective(
            "profile_beyond_popularity",
            "as profile, less what popular items have in common",
            lambda material, shard: _cross_fitted(material, shard, controlled=True),
        ),
        Objective(
            "regression",
            "Shapley value for predicting the user's other items, by a ridge regression between items",
            _regression,
            random=False,
        ),
        Objective(
            "joint",
            "profile, profile_beyond_popularity and twice regression, standardised within user: finds noise best",
            _joint,
        ),
        Objective(
            "fit",
            "negated ranking loss of the trained model: how well it explains the interaction",
            _fit,
            needs_scores=True,
        ),
        Objective(
            "standing",
            "the score among other users' scores of the same item: popularity cancels",
            _standing,
            needs_scores=True,
        ),
        Objective(
            "similarity",
            "cosine of the item to the rest of the user's profile",
            _similarity,
            random=False,
        ),
    )
}


def check_names(names: Sequence[str] | str) -> list[str]:
    """The names, each once.  Raises `UnknownNameError`, and `ConfigurationError` for none."""
    listed = [name.strip() for name in (names.split(",") if isinstance(names, str) else names)]
    listed = list(dict.fromkeys(name for name in listed if name))
    if not listed:
        raise ConfigurationError(f"objectives: none is named; there are {', '.join(OBJECTIVES)}")
    for name in listed:
        if name not in OBJECTIVES:
            raise unknown_name("objective", name, OBJECTIVES)
    return listed


def choose(names: Sequence[str] | str, material: Material, model: str) -> list[Objective]:
    """The objectives of these names, each once.

    Raises as `check_names` does, and `UnsupportedError` for one that this model cannot be judged by.
    """
    listed = check_names(names)
    for name in listed:
        if OBJECTIVES[name].needs_scores and material.scorer is None:
            possible = [one.name for one in OBJECTIVES.values() if not one.needs_scores]
            raise UnsupportedError(
                f"objective {name!r} needs scores of users and items alone, and {model} scores what follows a "
                f"sequence; it can be judged by {', '.join(possible)}"
            )
    return [OBJECTIVES[name] for name in listed]


# ---------------------------------------------------------------------- the material of a trained model


def gather(source: Source, table: str | None = None) -> Material:
    """The positive training interactions of a trained model's data and its item vectors.

    The vectors are what a graph backbone propagated, else the refined table that meets users in the score
    (`table`: another one).
    Raises `UnsupportedError` for a model without item embeddings.
    """
    data, part = source.dataset, source.train
    columns = part.inter_feat
    users, items = (np.asarray(columns[name]) for name in (data.uid_field, data.iid_field))
    rows = np.arange(len(users))
    label = source.config["LABEL_FIELD"]
    if label in columns:  # what users disliked is no part of their profile
        rows = np.flatnonzero(np.asarray(columns[label]) > 0)
    device = torch.device(source.config["device"])
    kind, vectors = item_vectors(source, table)
    vectors = vectors.to(device)
    theirs = torch.from_numpy(items[rows].astype(np.int64) - 1).to(device)
    return Material(
        torch.from_numpy(users[rows].astype(np.int64) - 1).to(device),
        theirs,
        rows,
        vectors,
        int(data.user_num) - 1,
        catalogue_mean(vectors, theirs),
        F.normalize(vectors, dim=1)[theirs].mean(dim=0),
        None if source.sequential else _make_scorer(source, kind, vectors, device),
    )


def item_vectors(source: Source, table: str | None) -> tuple[str, Tensor]:
    """Which kind of embeddings was taken, and `[n_items, d]` without padding."""
    if table is None:
        try:
            return "output", torch.from_numpy(export_embeddings(source, "item", "output").vectors)
        except UnsupportedError:
            pass
        table = _scored(source)
    return "refined", torch.from_numpy(export_embeddings(source, "item", "refined", table=table).vectors)


def _scored(source: Source) -> str | None:
    """The item table that meets users in the score; an autoencoder's last one, its decoder; None for no table."""
    anatomy = anatomy_of(source)
    tables = [table for _, table in anatomy.pairs] + list(reversed(tables_of(anatomy, "item").values()))
    return tables[0].key if tables else None


def _make_scorer(source: Source, kind: Any, vectors: Tensor, device: torch.device) -> judges.Scorer:
    """A product of vectors where that is what the model computes, else the model itself."""
    scorer = ModelScorer(source, device)
    try:
        own = torch.from_numpy(export_embeddings(source, "user", kind).vectors).to(device)
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

    def __init__(self, source: Source, device: torch.device) -> None:
        from .recommend import Recommender

        self._recommender = Recommender(source, state="test")
        self._device = device
        self._known: tuple[Tensor, Tensor] | None = None

    def scores(self, users: Tensor) -> Tensor:
        """The scores of all items for these users: `[n, n_items]`."""
        batch = self._recommender.batch_users
        ids = (users + 1).cpu().numpy()
        parts = [
            self._recommender.scores(ids[first : first + batch])[:, 1:] for first in range(0, len(ids), batch)
        ]
        return torch.cat(parts).to(self._device)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """The scores of these pairs: `[m]`."""
        distinct, place = torch.unique(users, return_inverse=True)
        n_items = self._recommender.source.dataset.item_num - 1
        at_once = max(1, CELLS // n_items)
        if len(distinct) <= at_once:
            if self._known is None or not torch.equal(self._known[0], distinct):
                self._known = (distinct, self.scores(distinct))
            return self._known[1][place, items]
        found = torch.empty(len(users), device=self._device)
        for first in range(0, len(distinct), at_once):
            mine = (place >= first) & (place < first + at_once)
            block = self.scores(distinct[first : first + at_once])
            found[mine] = block[place[mine] - first, items[mine]]
        return found

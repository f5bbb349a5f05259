"""What `burnish value` can judge interactions by; each objective is computed for some users at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burnish.enhancers.shapley import objectives as judges
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.joint import joint_sum
from burnish.errors import ConfigurationError, UnsupportedError, unknown_name

from .valued_interactions import ValuedInteractions


@dataclass(frozen=True)
class Shard:
    """All interactions of some users.  places: `[m]` in `ValuedInteractions`; users, items: `[m]`, numbered as there.

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
    compute: Callable[[ValuedInteractions, Shard], Tensor]
    random: bool = True
    needs_scores: bool = False
    dimensions: bool = False

    def outputs(self, width: int) -> tuple[str, ...]:
        """The names of what `compute` gives."""
        return tuple(f"{self.name}.{k}" for k in range(width)) if self.dimensions else (self.name,)


def _cross_fitted(
    valued: ValuedInteractions, shard: Shard, *, per_dimension: bool = False, controlled: bool = False
) -> Tensor:
    """controlled: less the mean over interactions instead of the mean over items, so that popularity cancels."""
    _, local = torch.unique(shard.users, return_inverse=True)
    return cross_fitted(
        local,
        shard.items,
        valued.vectors,
        folds=shard.folds,
        seed=shard.seed,
        # Of all users: a shard's own would differ.
        centre=valued.popular if controlled else valued.centre,
        per_dimension=per_dimension,
    )


def _scorer(valued: ValuedInteractions) -> judges.Scorer:
    assert valued.scorer is not None  # `choose` has seen to it
    return valued.scorer


def _fit(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return judges.ranking_loss(
        _scorer(valued), shard.users, shard.items, len(valued.vectors), seed=shard.seed
    )


def _standing(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return judges.standing(_scorer(valued), shard.users, shard.items, valued.n_users, seed=shard.common_seed)


def _regression(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return valued.regression()[shard.places]


def _joint(valued: ValuedInteractions, shard: Shard) -> Tensor:
    values = {
        "profile": _cross_fitted(valued, shard),
        "profile_beyond_popularity": _cross_fitted(valued, shard, controlled=True),
        "regression": _regression(valued, shard).to(valued.vectors.dtype),
    }
    return joint_sum(values, shard.users)


def _edges(valued: ValuedInteractions, shard: Shard) -> Tensor:
    """Of the seed of all shards: every user speaks for every other's edges."""
    assert valued.graph is not None  # `choose` has seen to it
    values = valued.graph().values(valued.rows, folds=shard.folds, seed=shard.common_seed)
    return values.to(shard.places.device)[shard.places]


def _similarity(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return judges.profile_similarity(shard.users, shard.items, valued.vectors)


#: By name; `burnish.value` says what each one judges.
OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective("profile", _cross_fitted),
        Objective(
            "dimensions",
            lambda valued, shard: _cross_fitted(valued, shard, per_dimension=True),
            dimensions=True,
        ),
        Objective(
            "profile_beyond_popularity",
            lambda valued, shard: _cross_fitted(valued, shard, controlled=True),
        ),
        Objective("regression", _regression, random=False),
        Objective("joint", _joint),
        Objective("fit", _fit, needs_scores=True),
        Objective("standing", _standing, needs_scores=True),
        Objective("similarity", _similarity, random=False),
        Objective("edges", _edges),
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


def choose(names: Sequence[str] | str, valued: ValuedInteractions, model: str) -> list[Objective]:
    """The objectives of these names, each once.

    Raises as `check_names` does, and `UnsupportedError` for one that this model cannot be judged by.
    """
    listed = check_names(names)
    for name in listed:
        if OBJECTIVES[name].needs_scores and valued.scorer is None:
            possible = [one.name for one in OBJECTIVES.values() if not one.needs_scores]
            raise UnsupportedError(
                f"objective {name!r} needs scores of users and items alone, and {model} scores what follows a "
                f"sequence; it can be judged by {', '.join(possible)}"
            )
        if name == "edges" and valued.graph is not None:
            valued.graph()
    return [OBJECTIVES[name] for name in listed]

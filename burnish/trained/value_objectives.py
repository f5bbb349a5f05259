"""What `burnish value` can judge interactions by; each objective is computed for some users at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from burnish.enhancers.shapley import objectives as judges
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.joint import joint_sum
from burnish.enhancers.shapley.meanings import AXES, attribute_values, axis_values, group_values
from burnish.errors import ConfigurationError, UnsupportedError, unknown_name

from .valued_interactions import ValuedInteractions

#: What an item is called, by its number in `ValuedInteractions`.
ItemName = Callable[[int], str]


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
    """One way to judge interactions.  compute gives `[m]`, or with `parts` a column each; higher is more valuable.

    random: whether its seed changes it, so that repeats say how sure a value is.  parts: what the parts of a value are
    called.  meanings: what they stand for, where they mean something, given how items are called.  reads: the options
    of `Valuer` that it reads; one that draws reads repeats besides.
    """

    name: str
    compute: Callable[[ValuedInteractions, Shard], Tensor]
    reads: tuple[str, ...] = ("folds", "table")
    random: bool = True
    needs_scores: bool = False
    parts: Callable[[ValuedInteractions], Sequence[str]] | None = None
    meanings: Callable[[ValuedInteractions, ItemName], Sequence[str]] | None = None

    def outputs(self, valued: ValuedInteractions) -> tuple[str, ...]:
        """The names of what `compute` gives."""
        return (self.name,) if self.parts is None else tuple(f"{self.name}.{k}" for k in self.parts(valued))

    def meanings_of(self, valued: ValuedInteractions, name: ItemName) -> dict[str, str]:
        """What outputs stand for, by output; of those only that need words."""
        if self.meanings is None:
            return {}
        return dict(zip(self.outputs(valued), self.meanings(valued, name), strict=True))


def _cross_fitted(
    valued: ValuedInteractions, shard: Shard, *, per_dimension: bool = False, controlled: bool = False
) -> Tensor:
    """controlled: less the mean over interactions instead of the mean over items, so that popularity cancels."""
    return cross_fitted(
        _local(shard.users),
        shard.items,
        valued.vectors,
        folds=shard.folds,
        seed=shard.seed,
        # Of all users: a shard's own would differ.
        centre=valued.popular if controlled else valued.centre,
        per_dimension=per_dimension,
    )


def _local(users: Tensor) -> Tensor:
    return torch.unique(users, return_inverse=True)[1]


def _axes(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return axis_values(
        _local(shard.users),
        shard.items,
        valued.vectors,
        valued.axes(),
        centre=valued.centre,
        folds=shard.folds,
        seed=shard.seed,
    )


def _axis_names(valued: ValuedInteractions) -> list[str]:
    width = valued.vectors.shape[1]
    return [*map(str, range(1, min(width, AXES) + 1)), *(["rest"] if width > AXES else [])]


def _axis_meanings(valued: ValuedInteractions, name: ItemName) -> list[str]:
    """The items at either end."""
    axes, words = valued.axes(), []
    for high, low in list(zip(axes.high, axes.low, strict=True))[:AXES]:
        words.append(f"{', '.join(map(name, high))} against {', '.join(map(name, low))}")
    left = valued.vectors.shape[1] - AXES
    return [*words, *([f"the other {left} axes"] if left > 0 else [])]


def _prototypes(valued: ValuedInteractions, shard: Shard) -> Tensor:
    return group_values(
        _local(shard.users),
        shard.items,
        valued.vectors,
        valued.groups(),
        centre=valued.centre,
        folds=shard.folds,
        seed=shard.seed,
    )


def _group_names(valued: ValuedInteractions) -> list[str]:
    return [str(number) for number in range(1, len(valued.groups()) + 1)]


def _group_meanings(valued: ValuedInteractions, name: ItemName) -> list[str]:
    return [f"items like {', '.join(map(name, central))}" for central in valued.groups().central]


def _attributes(valued: ValuedInteractions, shard: Shard) -> Tensor:
    attributes = valued.need_attributes()
    return attribute_values(
        _local(shard.users),
        shard.items,
        attributes.scores,
        centre=attributes.centre,
        folds=shard.folds,
        seed=shard.seed,
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


def _ranking(valued: ValuedInteractions, shard: Shard) -> Tensor:
    """`ranking_values` with popularity among all users: a shard's own would differ."""
    return cross_fitted(
        _local(shard.users),
        shard.items,
        valued.vectors,
        folds=shard.folds,
        seed=shard.seed,
        centre=valued.as_popular(),
    )


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
            parts=lambda valued: [str(k) for k in range(valued.vectors.shape[1])],
        ),
        Objective("axes", _axes, parts=_axis_names, meanings=_axis_meanings),
        Objective("prototypes", _prototypes, parts=_group_names, meanings=_group_meanings),
        Objective(
            "attributes",
            _attributes,
            reads=("folds",),
            parts=lambda valued: valued.need_attributes().names,
        ),
        Objective(
            "profile_beyond_popularity",
            lambda valued, shard: _cross_fitted(valued, shard, controlled=True),
        ),
        Objective("ranking", _ranking),
        Objective("regression", _regression, reads=(), random=False),
        Objective("joint", _joint),
        Objective("fit", _fit, reads=(), needs_scores=True),
        Objective("standing", _standing, reads=(), needs_scores=True),
        Objective("similarity", _similarity, reads=("table",), random=False),
        Objective("edges", _edges, reads=("folds",)),
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


def without_effect(chosen: Sequence[Objective], given: Mapping[str, object]) -> list[str]:
    """What to say of options that were given and that none of these objectives reads.  given: by name."""
    names = ", ".join(one.name for one in chosen)
    reading = {name for one in chosen for name in one.reads}
    reading |= {"repeats"} if any(one.random for one in chosen) else set()
    return [
        f"{name} = {value!r} has no effect on the objective{'s' if len(chosen) > 1 else ''} {names}"
        for name, value in given.items()
        if name not in reading
    ]

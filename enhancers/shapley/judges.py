"""What training may value interactions by: names, and from a mapping of names to weights one number an interaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from burnish.errors import unknown_name

from .cross_fit import cross_fitted
from .ranking import ranking_values
from .regression import regression_scores, regression_values


class JudgeOptions(Protocol):
    """The options of `shapley` that judges may read."""

    @property
    def folds(self) -> int: ...

    @property
    def repeats(self) -> int: ...

    @property
    def centre(self) -> bool: ...

    @property
    def normalise(self) -> bool: ...


@dataclass(frozen=True)
class Judge:
    """One way to value the interactions of a training split.

    compute: from users `[n]`, items `[n]`, the backbone's item vectors `[n_items, d]`, options and a seed to values
        `[n]`, higher for more valuable.
    options: the names of the options that it reads.  changes: whether it reads vectors or seed, so that its values
    change while the model trains; others are computed once.
    """

    compute: Callable[[Tensor, Tensor, Tensor, JudgeOptions, int], Tensor]
    options: tuple[str, ...] = ()
    changes: bool = True


def _profile(users: Tensor, items: Tensor, vectors: Tensor, options: JudgeOptions, seed: int) -> Tensor:
    return cross_fitted(
        users,
        items,
        vectors,
        folds=options.folds,
        seed=seed,
        centre=options.centre,
        normalise=options.normalise,
        repeats=options.repeats,
    )


def _ranking(users: Tensor, items: Tensor, vectors: Tensor, options: JudgeOptions, seed: int) -> Tensor:
    return ranking_values(users, items, vectors, folds=options.folds, repeats=options.repeats, seed=seed)


def _regression(users: Tensor, items: Tensor, vectors: Tensor, options: JudgeOptions, seed: int) -> Tensor:
    distinct, numbers = torch.unique(items, return_inverse=True)
    return regression_values(users, numbers, len(distinct))


def _score(users: Tensor, items: Tensor, vectors: Tensor, options: JudgeOptions, seed: int) -> Tensor:
    distinct, numbers = torch.unique(items, return_inverse=True)
    return regression_scores(users, numbers, len(distinct))


#: What `values` may name, beside `IN_RUN`.  Without the game `profile_beyond_popularity` of `joint_value`, which finds
#: noise: weights by it trained worse than weights by popularity alone (BPR on ml-100k, NDCG@10 .2883 against .2945),
#: and joint values with popularity taken out within the user better (.3049).
JUDGES = {
    "profile": Judge(_profile, options=("folds", "repeats", "centre", "normalise")),
    "ranking": Judge(_ranking, options=("folds", "repeats")),
    "regression": Judge(_regression, changes=False),
}
#: What stands in for values in the control `score`.
SCORE = Judge(_score, changes=False)
#: Values that are measured in training steps (`in_run`), not computed from tables.
IN_RUN = "in-run"
#: Names of several.
SUMS: dict[str, dict[str, float]] = {
    "joint": {"profile": 1.0, "regression": 1.0},
    "both": {"profile": 1.0, IN_RUN: 1.0},
}
#: Names of before.
FORMER = {"cross-fit": "profile"}
#: In the order in which they are told and summed.
NAMES = (*JUDGES, IN_RUN)


def named(values: str | Mapping[str, float]) -> str | dict[str, float]:
    """One way to write values for each meaning: a name where there is one, else weights by name, in order of `NAMES`.

    Raises `UnknownNameError`, and `ValueError` for weights that are nothing or no numbers.
    """
    if isinstance(values, str):
        values = FORMER.get(values, values)
        if values not in NAMES and values not in SUMS:
            raise unknown_name("value of interactions", values, (*NAMES, *SUMS, *FORMER))
        return values
    weights: dict[str, float] = {}
    for name, weight in values.items():
        if name in SUMS:
            inner = ", ".join(f"{one}: {share:g}" for one, share in SUMS[name].items())
            raise ValueError(f"{name!r} is {{{inner}}}; name these with their weights")
        name = FORMER.get(name, name)
        if name not in NAMES:
            raise unknown_name("value of interactions", name, NAMES)
        if not 0 < abs(weight) < float("inf"):
            raise ValueError(f"{name} has the weight {weight:g}; give another number than 0, or leave it out")
        weights[name] = float(weight)
    if not weights:
        raise ValueError(f"nothing is named; give one of {', '.join((*NAMES, *SUMS))}, or weights by name")
    if len(weights) == 1 and min(weights.values()) > 0:  # only their ratios count
        return next(iter(weights))
    ordered = {name: weights[name] for name in NAMES if name in weights}
    return next((name for name, parts in SUMS.items() if parts == ordered), ordered)


def parts_of(values: str | Mapping[str, float]) -> dict[str, float]:
    """The weights by name of what `named` gave."""
    return {**(SUMS.get(values, {values: 1.0}) if isinstance(values, str) else values)}

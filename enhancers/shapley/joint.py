"""Three exact Shapley values of each interaction and their sum, which finds noise of several kinds.

Training takes another sum, `values: joint` of the enhancer (`judges`): the profile's version beyond popularity finds
noise and is no weight to train by (BPR on ml-100k, beside popularity: NDCG@10 .2883, and .3049 with the joint value
whose popularity is taken out within the user).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from burnish.errors import unknown_name

from .cross_fit import cross_fitted
from .objectives import combined
from .regression import regression_values

#: What the columns of `joint_values` judge by.
OUTPUTS = ("profile", "profile_beyond_popularity", "regression")
#: The two games count alike: the profile's in two versions, and the regression's.
WEIGHTS = {"profile": 1.0, "profile_beyond_popularity": 1.0, "regression": 2.0}


def joint_values(users: Tensor, items: Tensor, vectors: Tensor, **options: Any) -> dict[str, Tensor]:
    """Values `[n]` for each of `OUTPUTS`, by name; arguments and options are those of `joint_part`."""
    return {name: joint_part(name, users, items, vectors, **options) for name in OUTPUTS}


def joint_part(
    name: str,
    users: Tensor,
    items: Tensor,
    vectors: Tensor,
    *,
    folds: int = 5,
    seed: int = 0,
    repeats: int = 2,
    ridge: float = 500.0,
) -> Tensor:
    """The values `[n]` of one of `OUTPUTS`; `UnknownNameError` for another name.

    profile: the cross-fitted value against the catalogue's mean (`cross_fitted`), which sees popularity.
    profile_beyond_popularity: the same against the mean over interactions, where popularity does not count.
    regression: the value in the game of items that predict each other (`regression_values`).
    vectors: `[n_items, d]` of a trained backbone's items.
    """
    if name not in OUTPUTS:
        raise unknown_name("part of the joint value", name, OUTPUTS)
    unit = F.normalize(vectors.detach(), dim=1)
    if name == "regression":
        return regression_values(users, items, len(vectors), ridge=ridge).to(unit.dtype)
    centre: bool | Tensor = unit[items].mean(0) if name == "profile_beyond_popularity" else True
    return cross_fitted(users, items, unit, folds=folds, seed=seed, repeats=repeats, centre=centre)


def joint_value(users: Tensor, items: Tensor, vectors: Tensor, **options: Any) -> Tensor:
    """The sum `[n]` of `joint_values`, each standardised within user, with `WEIGHTS`: one value an interaction.

    The options are those of `joint_part`.  Judges and weights were chosen by how well they find noise in ml-100k,
    on draws of noise that are not reported (docs/valuation-benchmark.md).
    """
    return joint_sum(joint_values(users, items, vectors, **options), users)


def joint_sum(values: Mapping[str, Tensor], users: Tensor) -> Tensor:
    """The sum of `joint_value` from the values that `joint_values` gave."""
    return combined([values[name] for name in OUTPUTS], users, [WEIGHTS[name] for name in OUTPUTS])

"""The value of an interaction in parts that mean something, whatever the basis of the embedding.

Values by embedding dimension (`cross_fitted(..., per_dimension=True)`) are of the basis that training happened to find:
a rotation of all vectors changes no score, no distance and no value, but every part.  Here are three ways to part a
value that a rotation leaves alone: by the principal axes of the items' directions, by the group of the item that
judges, and by what the items are scored on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.checks import whole_number

from .cross_fit import catalogue_mean, cross_fitted

#: Axes with an output of their own, by default, and groups of items.
AXES, GROUPS = 10, 8
#: Items that name an end of an axis, and a group.
_NAMED = 3
#: Items that groups are found by; the others join the nearest.
_FITTED = 20_000
#: Starts of k-means, the best of which is taken, steps of each, and items that are compared with the groups at once.
_STARTS, _STEPS, _ROWS = 4, 100, 65_536


@dataclass(frozen=True)
class Axes:
    """The principal axes of items' directions.

    directions: `[d, d]`, a column each, in order of variance.  share: `[d]`, of the variance.  high, low: the numbers
    of the items at either end of each axis, the outermost first.
    """

    directions: Tensor
    share: Tensor
    high: tuple[tuple[int, ...], ...]
    low: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Groups:
    """Items in groups of like direction.

    labels: `[n_items]`, the group of each item, from 0, the largest first; -1 for items that do not occur.
    central: the numbers of each group's items nearest to the group's mean, the nearest first.
    """

    labels: Tensor
    central: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.central)


def principal_axes(vectors: Tensor, items: Tensor, *, named: int = _NAMED) -> Axes:
    """The principal axes of the normalised, centred vectors of the items that occur, each counted once.

    The item farthest from 0 on an axis is on its positive side, so that an axis has one direction only.  A rotation of
    all vectors rotates the axes with them.  Where two variances are equal, their axes are any in their plane.

    Parameters
    ----------
    vectors
        `[n_items, d]`.
    items
        `[n]`, the items of training interactions.
    named
        How many items at either end are told.

    Returns
    -------
    Axes
        In float64.

    Raises
    ------
    NonFiniteError
        For vectors with NaN or infinity.
    """
    occurring = torch.unique(items.to(vectors.device))
    centre = catalogue_mean(vectors.double(), items)
    centred = F.normalize(vectors.detach().double(), dim=1)[occurring] - centre
    squares, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    squares, directions = squares.flip(0).clamp_min(0), directions.flip(1)
    places = centred @ directions
    farthest = places.gather(0, places.abs().argmax(0, keepdim=True))
    sign = torch.where(farthest < 0, -1.0, 1.0).to(farthest)
    order = (places * sign).argsort(dim=0, descending=True, stable=True)
    high, low = (occurring[ends[:named]].T.tolist() for ends in (order, order.flip(0)))
    return Axes(
        directions * sign,
        squares / squares.sum().clamp_min(torch.finfo(squares.dtype).tiny),
        tuple(map(tuple, high)),
        tuple(map(tuple, low)),
    )


def axis_values(
    users: Tensor,
    items: Tensor,
    vectors: Tensor,
    axes: Axes,
    *,
    most: int = AXES,
    centre: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """The value of `cross_fitted` by principal axis: `[n, k]`, or `[n, most + 1]` where there are more axes.

    The last column, of more axes than `most`, is all the others together; columns add up to the value.

    Parameters
    ----------
    users, items, vectors
        As for `cross_fitted`; vectors are normalised.
    axes
        Of `principal_axes`.
    most
        Axes with a column of their own, 1 or more.
    centre
        `[d]`, as for `cross_fitted`; None for the mean of the items in `items`.
    **options
        `folds`, `seed` and `repeats` of `cross_fitted`.
    """
    whole_number("most", most)
    exact = vectors.detach().double()
    mean = (catalogue_mean(exact, items) if centre is None else centre.double()) @ axes.directions
    turned = (F.normalize(exact, dim=1) @ axes.directions).to(vectors.dtype)
    values = cross_fitted(users, items, turned, centre=mean, normalise=False, per_dimension=True, **options)
    if values.shape[1] <= most:
        return values
    return torch.cat([values[:, :most], values[:, most:].sum(dim=1, keepdim=True)], dim=1)


def item_groups(
    vectors: Tensor, items: Tensor, *, number: int = GROUPS, seed: int = 0, named: int = _NAMED
) -> Groups:
    """Groups of the items that occur, by k-means on their directions (normalised vectors), the largest group first.

    Distances alone count, which a rotation leaves as they are.  Of very many items the groups are found by a drawn
    part, and the others join the nearest.

    Parameters
    ----------
    vectors
        `[n_items, d]`.
    items
        `[n]`, the items of training interactions.
    number
        Of groups; fewer where fewer items have different directions.
    seed
        Of the starts, and of the part that is drawn.
    named
        How many of a group's central items are told.

    Returns
    -------
    Groups
        On the device of `vectors`.

    References
    ----------
    Lloyd's algorithm with k-means++ starts, as in scikit-learn.
    """
    from sklearn.cluster import KMeans

    whole_number("number", number)
    occurring = torch.unique(items).cpu()
    unit = F.normalize(vectors.detach().double(), dim=1).cpu()[occurring]
    drawn = unit.numpy()
    if len(unit) > _FITTED:
        drawn = drawn[np.sort(np.random.default_rng(seed).permutation(len(unit))[:_FITTED])]
    number = min(number, len(np.unique(drawn, axis=0)))
    found = KMeans(number, n_init=_STARTS, max_iter=_STEPS, random_state=seed % 2**32).fit(drawn)
    centres = torch.from_numpy(found.cluster_centers_)
    away = torch.cat([_squared_distance(part, centres) for part in unit.split(_ROWS)])
    nearest, label = away.min(dim=1)
    sizes = torch.bincount(label, minlength=number)
    order = [group for group in sizes.argsort(descending=True, stable=True).tolist() if sizes[group]]
    labels = torch.full((len(vectors),), -1)
    central = []
    for place, group in enumerate(order):
        mine = (label == group).nonzero()[:, 0]
        labels[occurring[mine]] = place
        central.append(tuple(occurring[mine[nearest[mine].argsort(stable=True)[:named]]].tolist()))
    return Groups(labels.to(vectors.device), tuple(central))


def _squared_distance(points: Tensor, centres: Tensor) -> Tensor:
    """Up to rounding: `[n, k]` of points `[n, d]` and centres `[k, d]`."""
    return points.square().sum(1, keepdim=True) - 2 * points @ centres.T + centres.square().sum(1)


def group_values(
    users: Tensor,
    items: Tensor,
    vectors: Tensor,
    groups: Groups,
    *,
    centre: Tensor | None = None,
    **options: Any,
) -> Tensor:
    """The value of `cross_fitted` by the group of the item that judges: `[n, n_groups]`.

    A value is a mean over held-out items of what the interaction says towards each of them; in column k only those of
    group k have their say, and columns add up to the value.

    Parameters
    ----------
    users, items, vectors
        As for `cross_fitted`; vectors are normalised.  Every item of `items` has a group.
    groups
        Of `item_groups`.
    centre
        `[d]`, as for `cross_fitted`; None for the mean of the items in `items`.
    **options
        `folds`, `seed` and `repeats` of `cross_fitted`.
    """
    mean = catalogue_mean(vectors, items) if centre is None else centre
    distinct, local = torch.unique(items.to(vectors.device), return_inverse=True)
    unit = F.normalize(vectors.detach()[distinct], dim=1)  # of a part of the users few items are there
    label = groups.labels[distinct].unsqueeze(1)
    columns = [
        # Less their own row the items of other groups are 0: they say nothing.
        cross_fitted(
            users,
            local,
            unit,
            centre=torch.where(label == k, mean.to(unit), unit),
            normalise=False,
            **options,
        )
        for k in range(len(groups))
    ]
    return torch.stack(columns, dim=1)


def attribute_values(
    users: Tensor, items: Tensor, scores: Tensor, *, centre: Tensor | None = None, **options: Any
) -> Tensor:
    """The value of an interaction for a profile of attributes, by attribute: `[n, m]`.

    The game of `cross_fitted` on items' scores in place of their vectors.  They are taken as they are: divided by its
    norm, an item's score on one attribute would depend on its scores on the others.

    Parameters
    ----------
    users, items
        As for `cross_fitted`.
    scores
        `[n_items, m]`, standardised over items; 0 where unknown.
    centre
        `[m]`; None for the mean of the items in `items`.
    **options
        `folds`, `seed` and `repeats` of `cross_fitted`.
    """
    mean = catalogue_mean(scores, items, normalise=False) if centre is None else centre
    return cross_fitted(users, items, scores, centre=mean, normalise=False, per_dimension=True, **options)

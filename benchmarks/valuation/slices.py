"""Plainer relatives of the cross-fitted value, to compare it with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.enhancers.shapley.cross_fit import factors
from burnish.enhancers.shapley.objectives import folds_of


def leave_one_out(users: Tensor, items: Tensor, vectors: Tensor, *, folds: int = 5, seed: int = 0) -> Tensor:
    """What the game of `cross_fitted` loses without an interaction, `[n]`: v(all) - v(all but it), over the same folds.

    For n players of a fold this is (x_i - mean of the other x) / n, and x_i for a single one.
    """
    unit = F.normalize(vectors, dim=1)
    fold = folds_of(users, folds, seed)
    values = torch.zeros(len(users), dtype=unit.dtype)
    for number in range(folds):
        x, n, players, rest = _game(users, items, unit, fold == number)
        lost = torch.where(n > 1, (x - (rest - x) / (n - 1).clamp_min(1)) / n, x)
        values[players] += lost / (folds - 1)
    return values


def one_slice(users: Tensor, items: Tensor, vectors: Tensor, *, share: float = 0.1, seed: int = 0) -> Tensor:
    """Shapley values `[n]` of the mean profile against one held-out slice of each user's interactions.

    The slice's own interactions get their user's mean value: nothing is known of them.
    """
    unit = F.normalize(vectors, dim=1)
    held = folds_of(users, max(2, round(1 / share)), seed) == 0
    x, n, players, total = _game(users, items, unit, held)
    own, rest = factors(n.long(), dtype=unit.dtype)
    phi = own * x - rest * total
    values = torch.zeros(len(users), dtype=unit.dtype)
    values[players] = phi
    size = int(users.max()) + 1
    counts = torch.bincount(users[players], minlength=size).clamp_min(1)
    means = torch.zeros(size, dtype=unit.dtype).index_add(0, users[players], phi) / counts
    values[held] = means[users[held]]
    return values


def _game(users: Tensor, items: Tensor, unit: Tensor, held: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For interactions outside `held`: x = g · vector, their user's players and sum of x; and which rows they are."""
    size = int(users.max()) + 1
    towards = torch.zeros(size, unit.shape[1], dtype=unit.dtype).index_add(0, users[held], unit[items[held]])
    counts = torch.bincount(users[held], minlength=size)
    towards = towards / counts.clamp_min(1)[:, None] - unit[torch.unique(items)].mean(0)
    towards[counts == 0] = 0  # nobody to judge
    players = (~held).nonzero()[:, 0]
    who = users[players]
    x = (towards[who] * unit[items[players]]).sum(1)
    n = torch.bincount(who, minlength=size)[who]
    total = torch.zeros(size, dtype=unit.dtype).index_add(0, who, x)[who]
    return x, n, players, total

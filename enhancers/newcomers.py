"""Users of whom training knows nothing: scored as the mean of all others are, not by a row that never learned.

A split by time has many of them: whoever came after the date.  Ours.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: How users without a positive training interaction are scored.
Newcomers = Literal["mean", "own"]

ABOUT = (
    "how users without a positive training interaction are scored: as the mean of all others' rows, or by their own, "
    "which training left as it began"
)


def newcomers(users: Tensor, n_users: int) -> Tensor | None:
    """Who has no interaction, as bool `[n_users]`; None where everybody has one, or nobody.

    users: of each positive training interaction, `[n]`.  Padding, user 0, is no newcomer.
    """
    new = torch.bincount(users, minlength=n_users) == 0
    if bool(new.all()):
        return None
    new[0] = False
    return new if bool(new.any()) else None


def with_mean_of_others(rows: Tensor, new: Tensor) -> Tensor:
    """A table `[n_users, d]` in which newcomers have the mean row of those who are neither that nor padding."""
    others = ~new
    others[0] = False
    return torch.where(new.unsqueeze(1), rows[others].mean(0), rows)


def have_mean_of_others(rows: Tensor, new: Tensor) -> bool:
    """Whether newcomers have the mean row of the others in a table `[n_users, d]`, up to rounding.

    So one sees of tables, trained and baked by whatever, how they score newcomers: no row of their own is that.
    """
    apart = (rows - with_mean_of_others(rows, new)).abs().max()
    others = ~new
    others[0] = False
    return bool(apart <= 1e-5 * rows[others].square().mean().sqrt())

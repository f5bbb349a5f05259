"""Which rows stay: one a pair, then users and items with enough of them, until nothing changes any more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Rows = NDArray[np.int64]


def latest_rows(user: Codes, item: Codes, time: NDArray[np.float64]) -> Rows:
    """Rows of which none is left out for a later one of the same user and item, in order.

    user, item: `[n]` numbers from 0.  time: `[n]`; of equal times the last row counts as the latest.
    """
    pair = user.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    repeated = np.flatnonzero(pd.Series(pair, copy=False).duplicated(keep=False).to_numpy())
    order = repeated[np.lexsort((repeated, time[repeated], pair[repeated]))]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = pair[order][1:] != pair[order][:-1]
    stays = np.ones(len(pair), dtype=bool)
    stays[order[~last]] = False
    return np.flatnonzero(stays)


@dataclass(frozen=True)
class Core:
    """rows: the rows that stay, in order.  rounds: how often rows were removed until all counts were high enough."""

    rows: Rows
    rounds: int


def core(user: Codes, item: Codes, min_user: int, min_item: int) -> Core:
    """The largest set of rows in which every user has `min_user` rows or more and every item `min_item`.

    user, item: `[n]` numbers from 0.  Rows of users and of items with too few are removed together, and again, to
    the fixed point; the set does not depend on the order of removal.
    """
    rows, rounds = np.arange(len(user), dtype=np.int64), 0
    while len(rows):
        enough = (np.bincount(user) >= min_user)[user] & (np.bincount(item) >= min_item)[item]
        if enough.all():
            break
        rows, user, item, rounds = rows[enough], user[enough], item[enough], rounds + 1
    return Core(rows, rounds)


def milder(user: Codes, item: Codes, min_user: int, min_item: int) -> list[tuple[int, int, int]]:
    """For thresholds that leave nothing: (min_user, min_item, rows) of the nearest that leave something.

    One lowers min_user alone, another min_item alone, a third both by the same number; what does not help is left
    out, and so is what asks for less than another of them in both.
    """
    kept: dict[tuple[int, int], int] = {}
    for lower_user, lower_item in ((True, False), (False, True), (True, True)):

        def lowered(by: int, users: bool = lower_user, items: bool = lower_item) -> tuple[int, int]:
            return max(1, min_user - by * users), max(1, min_item - by * items)

        low, high = 0, max(min_user, min_item)  # lowering by `high` leaves something if anything does
        while low < high:
            middle = (low + high) // 2
            if len(core(user, item, *lowered(middle)).rows):
                high = middle
            else:
                low = middle + 1
        rows = len(core(user, item, *lowered(low)).rows)
        better = any(u >= lowered(low)[0] and i >= lowered(low)[1] for u, i in kept)
        if rows and not better:
            kept[lowered(low)] = rows
    return [(*thresholds, rows) for thresholds, rows in kept.items()]

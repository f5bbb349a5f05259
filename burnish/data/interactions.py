"""Which interactions stay: what is missing, duplicates, low ratings, and users and items with few."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from burnish.backbones.converters.filtering import core, latest_rows, milder
from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, option

from .columns import Roles
from .like_ids import told_alike
from .options import Options
from .table import Table
from .times import NO_TIME, times_of
from .values import Ids, ids_of, numbers_of

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """What one step left out: rows, and what for."""

    what: str
    rows: int


@dataclass
class Interactions:
    """The interactions and those that stay.

    rows: `[m]` of the table, in its order.  ratings: `[n]` of all rows (after `--duplicates mean` the merged ones),
    times: `[n]` microseconds; None where there are none.
    """

    table: Table
    users: Ids
    items: Ids
    ratings: NDArray[np.float64] | None
    times: NDArray[np.int64] | None
    rows: Rows
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def size(self) -> tuple[int, int, int]:
        """Users, items and interactions that stay."""
        users, items = self.users.codes[self.rows], self.items.codes[self.rows]
        users, items = users[users >= 0], items[items >= 0]
        return len(np.unique(users)), len(np.unique(items)), len(self.rows)

    def keep(self, rows: Rows, what: str) -> None:
        """Only these rows stay."""
        gone = len(self.rows) - len(rows)
        self.rows = rows
        if gone:
            self.steps.append(Step(what, gone))


def read_interactions(table: Table, roles: Roles, options: Options) -> Interactions:
    """All rows of the table, its cells read.  Raises `DataError` for cells that cannot be used."""
    users = ids_of(table, roles.user, options.missing)
    items = ids_of(table, roles.item, options.missing)
    notes = [*roles.notes, *(one.note for one in (users, items) if one.note)]
    for ids, side in ((users, "users"), (items, "items")):
        notes += told_alike(ids.names, side)
    ratings = times = None
    if roles.rating is not None:
        cure = "mend it, or leave ratings out: " + option("rating", "none")
        ratings = numbers_of(table, roles.rating, cure=cure)
    if roles.time is not None:
        times, told = times_of(table, roles.time, options.time_unit, options.time_format)
        notes.append(f"column {roles.time!r}: read as {told}")
    elif options.time_unit is not None or options.time_format is not None:
        raise ConfigurationError(
            "time_unit and time_format say how times are written, and there is no column of times; name it "
            f"with {option('time')}"
        )
    return Interactions(table, users, items, ratings, times, np.arange(table.rows, dtype=np.int64), [], notes)


def drop_missing(data: Interactions, roles: Roles, options: Options) -> None:
    """Leave rows without a user, item, rating or time out, or raise `DataError` with the first of them."""
    empty = [
        (roles.user, data.users.codes < 0, data.users.missing),
        (roles.item, data.items.codes < 0, data.items.missing),
    ]
    if data.ratings is not None and roles.rating is not None:
        empty.append((roles.rating, np.isnan(data.ratings), ""))
    if data.times is not None and roles.time is not None:
        empty.append((roles.time, data.times == NO_TIME, ""))
    for name, mask, word in empty:
        count = int(mask.sum())
        if count and options.missing != "drop":
            rows = np.flatnonzero(mask)
            places = ", ".join(data.table.place(int(row)) for row in rows[:3]) + (
                ", ..." if count > 3 else ""
            )
            is_id = name in (roles.user, roles.item)
            looks = f"holds {short(word)}, which reads as a missing value" if word.strip() else "is empty"
            keep = (
                f" If it is a name, {option('missing', 'keep')} keeps it." if word.strip() and is_id else ""
            )
            raise DataError(
                f"{data.table.source}, {places}: column {name!r} {looks}, as in {count:,} of {len(mask):,} rows. Fill "
                f"them in, or leave these rows out with {option('missing', 'drop')}.{keep}"
            )
    for name, mask, _ in empty:
        data.keep(data.rows[~mask[data.rows]], f"without {name!r}")
    if not len(data.rows):
        raise DataError(f"{data.table.source}: no row has user and item; nothing is left")


def merge_duplicates(data: Interactions, options: Options) -> None:
    """Of several rows of one user and item keep one, as the options say."""
    users, items = data.users.codes[data.rows], data.items.codes[data.rows]
    pair = users * (int(items.max()) + 1) + items
    numbers, names = pd.factorize(pair)
    extra = len(pair) - len(names)
    how = options.duplicates
    counting = how == "sum" and data.ratings is None
    if counting:
        data.ratings = np.ones(data.table.rows)
        data.notes.append(
            f"there are no ratings: with {option('duplicates', 'sum')} a rating is how often a pair is there"
        )
    if how in ("mean", "max") and data.ratings is None:
        raise ConfigurationError(
            f"duplicates = {how!r}: there are no ratings to take the {how} of; name them with {option('rating')}, or "
            f"say last, first, sum (which counts), keep or error"
        )
    if not extra:
        return
    if how == "keep":
        data.notes.append(
            f"{extra:,} further rows of the same user and item are kept ({option('duplicates', 'keep')})"
        )
        return
    if how == "error":
        again = int(np.argmax(pd.Series(numbers).duplicated().to_numpy()))
        first = int(np.argmax(numbers == numbers[again]))
        row, before = int(data.rows[again]), int(data.rows[first])
        user, item = short(data.users.name(row)), short(data.items.name(row))
        raise DataError(
            f"{data.table.at(row)}: user {user} and item {item} are there already, in {data.table.place(before)}; "
            f"{extra:,} such row{'s' if extra > 1 else ''}. Remove them, or say what counts with "
            f"{option('duplicates')}: last, first, mean, max, sum or keep"
        )
    times = np.zeros(len(pair)) if data.times is None else data.times[data.rows].astype(np.float64)
    codes = numbers.astype(np.int32)
    nothing = np.zeros(len(pair), dtype=np.int32)
    if how == "first":  # the last of the reversed order
        stays = np.sort(len(pair) - 1 - latest_rows(codes[::-1], nothing, -times[::-1]))
    else:
        stays = latest_rows(codes, nothing, times)
    if how in ("mean", "max", "sum") and data.ratings is not None:
        merged = pd.Series(data.ratings[data.rows]).groupby(numbers, sort=False).agg(how).to_numpy()
        data.ratings = data.ratings.copy()
        data.ratings[data.rows[stays]] = merged[numbers[stays]]
    of = (
        {"first": "earliest", "last": "latest"}
        if data.times is not None
        else {"first": "first", "last": "last"}
    )
    told = (
        f"the {of[how]} row counts" if how in of else f"the {how} of their ratings counts, and the latest row"
    )
    data.keep(data.rows[stays], f"again of the same user and item ({told}; {option('duplicates', how)})")


def apply_filters(data: Interactions, options: Options) -> None:
    """Leave low ratings out, then users and items with few interactions until all have enough."""
    if options.min_rating is not None:
        if data.ratings is None:
            raise ConfigurationError(
                f"min_rating = {options.min_rating:g}: there are no ratings; name them with {option('rating')}"
            )
        kept = data.rows[data.ratings[data.rows] >= options.min_rating]
        if not len(kept):
            most = data.ratings[data.rows].max()
            raise DataError(
                f"{data.table.source}: no rating is {options.min_rating:g} or more ({option('min_rating')}); the "
                f"highest is {most:g}"
            )
        data.keep(kept, f"rated below {options.min_rating:g} ({option('min_rating')})")
    min_user, min_item = options.least
    if (min_user, min_item) == (1, 1):
        return
    users, items = _codes(data.users.codes[data.rows]), _codes(data.items.codes[data.rows])
    stays = core(users, items, min_user, min_item)
    if not len(stays.rows):
        nearest = milder(users, items, min_user, min_item)
        told = "; ".join(f"{_least(u, i)} keeps {n:,}" for u, i, n in nearest)
        raise DataError(
            f"{data.table.source}: none of its {len(users):,} interactions stays with {_least(min_user, min_item)}. "
            f"Lower them: {told}"
        )
    asked = option("k_core", min_user) if options.k_core else _least(min_user, min_item)
    data.keep(
        data.rows[stays.rows],
        f"of users with fewer than {min_user} and items with fewer than {min_item} ({asked}; {stays.rounds} rounds)",
    )


def _least(user: int, item: int) -> str:
    return f"{option('min_user', user)} {option('min_item', item)}"


def _codes(codes: Any) -> Any:
    return codes.astype(np.int32)

"""Interactions that never happened, drawn to be put among training interactions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError, DataError, unknown_name

from .kinds import KINDS

Ids = NDArray[np.int64]

#: Noise of a bot, in mean training histories: of what a user with a mean one did, four fifths are random then.
BOT_HISTORIES = 4.0
#: And at most this share of all items.
BOT_ITEMS = 0.5
#: Share of the training users who fall for an item that is click-bait.
VISITORS = 0.25


@dataclass(frozen=True)
class Noisy:
    """Training interactions with noise: users `[n]`, items `[n]`, and which rows are noise `[n]` (bool).

    The first rows are the clean ones, in their order.
    """

    users: Ids
    items: Ids
    is_noise: NDArray[np.bool_]


def inject(
    users: Ids,
    items: Ids,
    *,
    n_items: int,
    share: float,
    kind: str,
    seed: int,
    first_item: int = 0,
    known: tuple[Ids, Ids] | None = None,
) -> Noisy:
    """Append round(share * n) interactions of training users with items that they do not know, each pair once.

    kind: what is drawn, of items from `first_item` to `n_items` - 1.

    * "uniform": users in proportion to their interactions, so that being active is not a sign of noise, and items with
      equal chance;
    * "popular": the same users, and items in proportion to how often they occur, so that popularity is not a sign of
      noise either;
    * "bots": the fewest users whose noise is no more than `BOT_HISTORIES` mean histories each, and no more than
      `BOT_ITEMS` of all items, drawn with equal chance and dealt it evenly; items with equal chance.  They keep what
      they did themselves, there and in the other parts, so that the same users are tested;
    * "clickbait": the fewest items whose noise is no more than `VISITORS` of the training users each, drawn with equal
      chance and dealt it evenly; users in proportion to their interactions;
    * "position": users in proportion to their interactions, each shown all items that are new to them, the most popular
      first, and the item in place p drawn in proportion to 1 / p (exposure by position).

    known: further pairs not to draw (of validation and test: a true interaction is not noise).

    Raises `UnknownNameError` for another kind, `ConfigurationError` for a share outside (0, 1], and `DataError`
    where so much of the kind cannot be placed.
    """
    if kind not in KINDS:
        raise unknown_name("noise", kind, KINDS)
    if not 0.0 < share <= 1.0:
        raise ConfigurationError(
            f"share = {share}; noise is a share of the interactions, above 0 and at most 1"
        )
    n_noise = round(share * len(users))
    drawn = np.empty(0, np.int64)
    if n_noise:
        room = _Room(np.asarray(users, np.int64), np.asarray(items, np.int64), n_items, first_item, known)
        drawn = _DRAWS[kind](room, n_noise, np.random.default_rng(seed))
    return Noisy(
        np.concatenate([users, drawn // n_items]),
        np.concatenate([items, drawn % n_items]),
        np.repeat([False, True], [len(users), n_noise]),
    )


@dataclass(frozen=True)
class _Room:
    """Where noise may go: training rows, and further pairs that are not to be drawn.  A pair's key is u n_items + i."""

    users: Ids
    items: Ids
    n_items: int
    first_item: int
    known: tuple[Ids, Ids] | None

    @cached_property
    def taken(self) -> Ids:
        """The keys of pairs not to draw, ascending."""
        taken = np.unique(self.keys(self.users, self.items))
        return taken if self.known is None else np.union1d(taken, self.keys(*self.known))

    @cached_property
    def everybody(self) -> tuple[Ids, Ids]:
        """The training users, ascending, and how many rows each has."""
        found, rows = np.unique(self.users, return_counts=True)
        return found, rows

    @cached_property
    def counts(self) -> Ids:
        """How often each item occurs in training, `[n_items]`."""
        return np.bincount(self.items, minlength=self.n_items)

    def keys(self, users: Ids, items: Ids) -> Ids:
        return np.asarray(users, np.int64) * self.n_items + items

    def free_items(self, user: int) -> Ids:
        """The items that a user does not know, ascending."""
        start, end = np.searchsorted(self.taken, [user * self.n_items, (user + 1) * self.n_items])
        free = np.ones(self.n_items, bool)
        free[self.taken[start:end] % self.n_items] = False
        free[: self.first_item] = False
        return np.flatnonzero(free)

    @cached_property
    def _free(self) -> tuple[Ids, Ids]:
        """How many items each of `everybody` has left, and how many of them each item `[n_items]`."""
        who, what = self.taken // self.n_items, self.taken % self.n_items
        counted = (what >= self.first_item) & np.isin(who, self.everybody[0])
        place = np.searchsorted(self.everybody[0], who[counted])
        n = len(self.everybody[0])
        users = self.n_items - self.first_item - np.bincount(place, minlength=n)
        items = n - np.bincount(what[counted], minlength=self.n_items)
        items[: self.first_item] = 0
        return users, items

    @property
    def left_of_users(self) -> Ids:
        return self._free[0]

    @property
    def left_of_items(self) -> Ids:
        return self._free[1]


def _pairs(room: _Room, n: int, rng: np.random.Generator, counts: NDArray[Any]) -> Ids:
    """Pairs of users in proportion to their rows and items in proportion to `counts`, drawn until enough are new."""
    counts[: room.first_item] = 0
    chance = counts / counts.sum()
    drawn = np.empty(0, np.int64)
    for _ in range(200):
        missing = n - len(drawn)
        if not missing:
            return drawn
        draw = rng.choice(room.users, size=2 * missing), rng.choice(room.n_items, size=2 * missing, p=chance)
        keys = room.keys(*draw)
        fresh = keys[~np.isin(keys, room.taken) & ~np.isin(keys, drawn)]
        _, first = np.unique(fresh, return_index=True)
        drawn = np.concatenate([drawn, fresh[np.sort(first)][:missing]])
    raise DataError(
        f"inject: only {len(drawn)} of {n} interactions could be drawn that users do not know; lower the share"
    )


def _uniform(room: _Room, n: int, rng: np.random.Generator) -> Ids:
    return _pairs(room, n, rng, np.ones(room.n_items))


def _popular(room: _Room, n: int, rng: np.random.Generator) -> Ids:
    return _pairs(room, n, rng, room.counts.copy())


def _bots(room: _Room, n: int, rng: np.random.Generator) -> Ids:
    everybody, _ = room.everybody
    each = min(BOT_HISTORIES * len(room.users) / len(everybody), BOT_ITEMS * (room.n_items - room.first_item))
    bots, sizes = _dealt(n, each, everybody, room.left_of_users, rng, "bots", "users", "items")
    return np.concatenate(
        [
            room.keys(bot, rng.choice(room.free_items(bot), size, replace=False))
            for bot, size in zip(bots, sizes, strict=True)
        ]
    )


def _clickbait(room: _Room, n: int, rng: np.random.Generator) -> Ids:
    everybody, rows = room.everybody
    catalogue = np.arange(room.first_item, room.n_items)
    each = VISITORS * len(everybody)
    left = room.left_of_items[catalogue]
    baits, sizes = _dealt(n, each, catalogue, left, rng, "clickbait", "items", "users")
    drawn = []
    for bait, size in zip(baits, sizes, strict=True):
        new = ~np.isin(room.keys(everybody, bait), room.taken)
        chance = rows[new] / rows[new].sum()
        drawn.append(room.keys(rng.choice(everybody[new], size, replace=False, p=chance), bait))
    return np.concatenate(drawn)


def _dealt(
    n: int,
    each: float,
    ids: Ids,
    left: Ids,
    rng: np.random.Generator,
    kind: str,
    whose: str,
    of: str,
) -> tuple[Ids, Ids]:
    """Some of `ids`, with equal chance, and how much of n each is dealt: up to `each`, one more or less than another.

    left: how much each can take.  Raises `DataError` where too few of them can take their share.
    """
    k = math.ceil(n / each)
    most = -(-n // k)
    able = ids[left >= most]
    if len(able) < k:
        raise DataError(
            f"inject: {n} interactions of {kind} are {k} {whose} with {most} {of} each that are new to them, and "
            f"{len(able)} {whose} have so many left; lower the share, or take another kind, such as uniform"
        )
    return rng.choice(able, k, replace=False), n // k + (np.arange(k) < n % k)


def _position(room: _Room, n: int, rng: np.random.Generator) -> Ids:
    everybody, rows = room.everybody
    left = room.left_of_users
    if left.sum() < n:
        raise DataError(
            f"inject: there are {left.sum()} pairs of users and items that are new to them, and {n} are asked for; "
            f"lower the share"
        )
    sizes = np.zeros(len(everybody), np.int64)
    while (missing := n - int(sizes.sum())) > 0:  # what a user has no room for goes to others
        open_to = np.where(sizes < left, rows, 0)
        sizes = np.minimum(sizes + rng.multinomial(missing, open_to / open_to.sum()), left)
    place = np.empty(room.n_items, np.int64)  # of each item in the list, the most popular first
    place[np.argsort(-room.counts, kind="stable")] = np.arange(room.n_items)
    drawn = []
    for user, size in zip(everybody[sizes > 0], sizes[sizes > 0], strict=True):
        free = room.free_items(user)
        shown = free[np.argsort(place[free])]
        chance = 1.0 / np.arange(1, len(shown) + 1)
        drawn.append(room.keys(user, rng.choice(shown, size, replace=False, p=chance / chance.sum())))
    return np.concatenate(drawn)


_DRAWS: dict[str, Callable[[_Room, int, np.random.Generator], Ids]] = {
    "uniform": _uniform,
    "popular": _popular,
    "bots": _bots,
    "clickbait": _clickbait,
    "position": _position,
}

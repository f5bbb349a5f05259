"""Training interactions by number, the share of them that judges, and samples for the recommendation loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burnish.errors import DataError

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Interactions:
    """Interactions, sorted by user.

    users, items: `[n]`, numbers of users and items.  starts: `[n_users + 1]`, where each user's interactions begin.
    n_items: size of the catalogue.
    """

    users: Numbers
    items: Numbers
    starts: Numbers
    n_items: int

    @classmethod
    def of(cls, users: Numbers, items: Numbers, n_users: int, n_items: int) -> Interactions:
        """From interactions in any order."""
        order = np.lexsort((items, users))
        users, items = users[order], items[order]
        return cls(users, items, np.searchsorted(users, np.arange(n_users + 1)), n_items)

    def __len__(self) -> int:
        return len(self.users)

    def keys(self) -> Numbers:
        """One number an interaction, ascending."""
        return self.users * self.n_items + self.items

    def active(self) -> Numbers:
        """Users with at least one interaction, ascending."""
        return np.flatnonzero(np.diff(self.starts))


@dataclass(frozen=True)
class Samples:
    """Interactions of some users, and items against them; rows are users.

    positives: `[B, P]`; real: `[B, P]`, False where a user has fewer than P.  negatives: `[B, N]`, items that the user
    is not known to have chosen; valid: `[B, N]`, False where none was found.
    """

    positives: Numbers
    real: NDArray[np.bool_]
    negatives: Numbers
    valid: NDArray[np.bool_]


def number_interactions(
    users: Sequence[str], items: Sequence[str], user_ids: Sequence[str], item_ids: Sequence[str]
) -> tuple[Interactions, int]:
    """Interactions by number, each once, and how many were left out because the user or the item is not known.

    Raises `DataError` where users and items are not equally many or no interaction is left.
    """
    if len(users) != len(items):
        raise DataError(f"interactions have {len(users)} users and {len(items)} items; give one item a user")
    user_number = {token: number for number, token in enumerate(user_ids)}
    item_number = {token: number for number, token in enumerate(item_ids)}
    known = {
        (user_number[user], item_number[item])
        for user, item in zip(users, items, strict=True)
        if user in user_number and item in item_number
    }
    if not known:
        raise DataError(
            f"none of {len(users)} interactions is between a user with a history and an item with scores; ids are "
            f"compared as text, such as {list(users[:2])} with {list(user_ids[:2])}, {list(items[:2])} with "
            f"{list(item_ids[:2])}"
        )
    numbered = np.array(sorted(known), dtype=np.int64)
    left_out = sum(u not in user_number or i not in item_number for u, i in zip(users, items, strict=True))
    return Interactions.of(numbered[:, 0], numbered[:, 1], len(user_ids), len(item_ids)), left_out


def hold_out(pairs: Interactions, share: float, seed: int) -> tuple[Interactions, Interactions]:
    """Two parts: what is learned from, and a random share of all interactions; every user keeps at least one."""
    random = np.random.default_rng([seed, 1])
    shuffled = random.permutation(len(pairs))
    users = pairs.users[shuffled]
    first = np.unique(users, return_index=True)[1]
    spare = np.delete(shuffled, first)
    held = np.zeros(len(pairs), dtype=bool)
    held[spare[: round(share * len(pairs))]] = True
    n_users = len(pairs.starts) - 1
    parts = (
        Interactions.of(pairs.users[part], pairs.items[part], n_users, pairs.n_items)
        for part in (~held, held)
    )
    learned, judged = parts
    return learned, judged


def sample(
    pairs: Interactions,
    known: Numbers,
    users: Numbers,
    positives: int,
    negatives: int,
    random: np.random.Generator,
) -> Samples:
    """Interactions of `users` and items against them.

    known: keys, ascending, of all interactions that must not be sampled as negatives.
    positives, negatives: at most how many of either.
    """
    chosen = np.zeros((len(users), positives), dtype=np.int64)
    real = np.zeros((len(users), positives), dtype=bool)
    for row, user in enumerate(users):
        own = pairs.items[pairs.starts[user] : pairs.starts[user + 1]]
        some = own if len(own) <= positives else random.choice(own, positives, replace=False)
        chosen[row, : len(some)], real[row, : len(some)] = some, True
    others = random.integers(0, pairs.n_items, (len(users), negatives))
    taken = _among(users[:, None] * pairs.n_items + others, known)
    for _ in range(20):  # users who know nearly everything keep some that do not count
        if not taken.any():
            break
        others[taken] = random.integers(0, pairs.n_items, int(taken.sum()))
        taken = _among(users[:, None] * pairs.n_items + others, known)
    return Samples(chosen, real, others, ~taken)


def _among(keys: Numbers, known: Numbers) -> NDArray[np.bool_]:
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return known[place] == keys

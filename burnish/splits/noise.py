"""Interactions that never happened, put among training interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError, DataError, unknown_name

KINDS = ("uniform", "popular")
Ids = NDArray[np.int64]


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
    """Append round(share * n) interactions of random users with items that they do not know, each pair once.

    Users are drawn in proportion to their interactions, so that being active is not a sign of noise; items from
    `first_item` to `n_items` - 1, either with equal chance ("uniform") or in proportion to how often they occur
    ("popular", so that popularity is not a sign of noise either).
    known: further pairs not to draw (of validation and test: a true interaction is not noise).

    Raises `UnknownNameError` for another kind, `ConfigurationError` for a share outside (0, 1], and `DataError`
    where users know nearly everything, so that no pair is left to draw.
    """
    if kind not in KINDS:
        raise unknown_name("noise", kind, KINDS)
    if not 0.0 < share <= 1.0:
        raise ConfigurationError(
            f"share = {share}; noise is a share of the interactions, above 0 and at most 1"
        )
    rng = np.random.default_rng(seed)
    n_noise = round(share * len(users))
    taken = np.unique(_keys(users, items, n_items))
    if known is not None:
        taken = np.union1d(taken, _keys(*known, n_items))
    chance = _chances(items, n_items, first_item, kind)
    drawn = np.empty(0, np.int64)
    for _ in range(200):
        missing = n_noise - len(drawn)
        if not missing:
            break
        draw = rng.choice(users, size=2 * missing), rng.choice(n_items, size=2 * missing, p=chance)
        keys = _keys(*draw, n_items)
        fresh = keys[~np.isin(keys, taken) & ~np.isin(keys, drawn)]
        _, first = np.unique(fresh, return_index=True)
        drawn = np.concatenate([drawn, fresh[np.sort(first)][:missing]])
    else:
        raise DataError(
            f"inject: only {len(drawn)} of {n_noise} interactions could be drawn that users do not know; "
            f"lower the share"
        )
    return Noisy(
        np.concatenate([users, drawn // n_items]),
        np.concatenate([items, drawn % n_items]),
        np.repeat([False, True], [len(users), n_noise]),
    )


def _keys(users: Ids, items: Ids, n_items: int) -> Ids:
    return np.asarray(users, np.int64) * n_items + items


def _chances(items: Ids, n_items: int, first_item: int, kind: str) -> NDArray[np.float64]:
    counts = np.bincount(items, minlength=n_items) if kind == "popular" else np.ones(n_items)
    counts[:first_item] = 0
    return counts / counts.sum()


def rows_with_noise(features: Any, user: str, item: str, noisy: Noisy, seed: int) -> Any:
    """RecBole's rows of interactions, and the noise at their end: copies of random rows of its users with its items.

    So a noisy row has a time, a rating and a label that its user gave.  features: the clean rows, in the order of
    `noisy`.  user, item: the columns.
    """
    import torch

    n = len(features)
    owner = features[user].numpy()
    shuffled = np.random.default_rng(seed).permutation(n)
    by_user = shuffled[np.argsort(owner[shuffled], kind="stable")]
    starts = np.searchsorted(owner[by_user], noisy.users[n:])
    source = np.concatenate([np.arange(n), by_user[starts]])
    rows = features[torch.as_tensor(source)]
    rows.interaction[item] = torch.as_tensor(noisy.items).to(rows[item].dtype)
    return rows

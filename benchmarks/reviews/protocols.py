"""The three rankings that a model's scores are judged by.

P1, as papers do: a user's own test items among 100 unrated ones, gains 2^r - 1.  P2: the own test items only.  P3, the
one for claims: the whole catalogue without what the user had in training and validation, every test item relevant
whatever its rating, as RecBole counts.  Sources: RecBole 1.2.1 for P3; P1 and P2 are what publications on ratings
with reviews describe, with the choices that they leave open stated here.

Ties are broken by a random key of (seed, user, item), so that equal scores gain nothing from the order of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.errors import ConfigurationError, NonFiniteError

from .cases import Cases, IntArray
from .gains import AtRandom, Order, Ranked, check_cuts, f1, ndcg, recall
from .hashing import pair_keys
from .scale import FloatArray, Scale

#: Scores of users, ids `[b]` on the scorer's device: `[b, n_items]`, larger is better.
Scorer = Callable[[Tensor], Tensor]

LISTS = ("p1", "p2", "p3")
_TIES, _CANDIDATES = 1, 2
#: Comparisons of scores held at once: 2^22 x a few bytes.
_COMPARISONS = 1 << 22


@dataclass(frozen=True)
class Protocol:
    """What the rankings leave open.

    negatives: unrated candidates of P1 (fewer where a user has fewer unrated items).  seed: of these and of ties.
    ks: cuts of P1 and P2.  full_ks: of P3.
    """

    negatives: int = 100
    seed: int = 0
    ks: tuple[int, ...] = (1, 2, 3, 4, 5, 10, 15, 20)
    full_ks: tuple[int, ...] = (10, 20)

    def __post_init__(self) -> None:
        check_cuts([*self.ks, *self.full_ks])
        if self.negatives < 1:
            raise ConfigurationError(f"negatives = {self.negatives}: P1 needs at least one unrated candidate")


@dataclass(frozen=True)
class Placed:
    """Every test pair with its place in each list.

    owner: which of `users` (internal ids, ascending) the pair belongs to, `[t]`.  ratings: `[t]`.
    places, lengths: list -> place from 1, and how many candidates the list has, each `[t]`.
    """

    users: IntArray
    owner: IntArray
    ratings: FloatArray
    places: dict[str, IntArray] = field(default_factory=dict)
    lengths: dict[str, IntArray] = field(default_factory=dict)


def place_all(
    scorer: Scorer, cases: Cases, protocol: Protocol, *, device: Any = "cpu", pairs: int = 1 << 21
) -> Placed:
    """Score all test users and find the places of their test items in the lists of P1, P2 and P3.

    pairs: users x items scored at once.  Raises `NonFiniteError` for a score that is NaN.
    """
    tested, users = cases.tested, cases.test_users
    owner = np.searchsorted(users, tested.users)
    at: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}
    long: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}
    for batch in _batches(cases, device, max(1, pairs // cases.n_items)):
        scores = _scores(scorer, batch.users, cases)
        lists = _lists(batch, cases.n_items, protocol)
        ties = pair_keys(protocol.seed, _TIES, batch.users, cases.n_items)
        place = places(scores, batch.row, batch.item, ties, lists)
        for name in LISTS:
            at[name].append(place[name].cpu().numpy())
            long[name].append(lists[name].sum(1)[batch.row].cpu().numpy())
    return Placed(
        users,
        owner,
        tested.ratings,
        {name: np.concatenate(parts) for name, parts in at.items()},
        {name: np.concatenate(parts) for name, parts in long.items()},
    )


@dataclass(frozen=True)
class _Batch:
    """Users `[b]`, their test items (row, item) and the items of training and validation (known_row, known_item)."""

    users: Tensor
    row: Tensor
    item: Tensor
    known_row: Tensor
    known_item: Tensor


def _batches(cases: Cases, device: Any, size: int) -> Iterator[_Batch]:
    for start in range(0, len(cases.test_users), size):
        users = cases.test_users[start : start + size]
        parts = []
        for rows in (cases.tested, cases.known):
            first, end = np.searchsorted(rows.users, [users[0], users[-1] + 1])
            mine = np.isin(rows.users[first:end], users)
            parts.append(np.searchsorted(users, rows.users[first:end][mine]))
            parts.append(rows.items[first:end][mine])
        yield _Batch(*(torch.from_numpy(part).to(device) for part in (users, *parts)))


def _scores(scorer: Scorer, users: Tensor, cases: Cases) -> Tensor:
    scores = scorer(users)
    if scores.shape != (len(users), cases.n_items):
        raise ConfigurationError(
            f"scores of {len(users)} users have shape {tuple(scores.shape)}, not {(len(users), cases.n_items)}"
        )
    bad = torch.isnan(scores[:, 1:])
    if bool(bad.any()):
        row, item = bad.nonzero()[0].tolist()
        user = cases.user_tokens[int(users[row])]
        raise NonFiniteError(
            f"the score of user {user!r} and item {cases.item_tokens[item + 1]!r} is NaN, so nothing can be ranked; "
            f"a smaller learning_rate may help"
        )
    return scores


def _lists(batch: _Batch, n_items: int, protocol: Protocol) -> dict[str, Tensor]:
    """Which items are candidates in each list, `[b, n_items]` bool."""
    own = torch.zeros(len(batch.users), n_items, dtype=torch.bool, device=batch.users.device)
    own[batch.row, batch.item] = True
    catalogue = torch.ones_like(own)
    catalogue[:, 0] = False  # the padding item
    catalogue[batch.known_row, batch.known_item] = False
    return {
        "p1": own | drawn_negatives(catalogue & ~own, batch.users, protocol),
        "p2": own,
        "p3": catalogue,
    }


def drawn_negatives(unrated: Tensor, users: Tensor, protocol: Protocol) -> Tensor:
    """For each user, `negatives` of the unrated items without replacement, `[b, n_items]` bool.

    The items with the smallest keys: the same for every model, and whoever else is in the batch.
    """
    keys = pair_keys(protocol.seed, _CANDIDATES, users, unrated.shape[1])
    keys = keys.masked_fill(~unrated, torch.iinfo(torch.int64).max)
    some = min(protocol.negatives, unrated.shape[1])
    chosen = torch.zeros_like(unrated)
    chosen.scatter_(1, keys.topk(some, dim=1, largest=False).indices, True)
    return chosen & unrated


def places(
    scores: Tensor, row: Tensor, item: Tensor, keys: Tensor, candidates: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """From 1: how many candidates of each list stand before a test item, and itself.

    scores: `[b, n_items]`, larger is better, no NaN.  row, item: `[t]`, which entries are asked for.
    keys: `[b, n_items]`; of equal scores, the smaller key stands first.
    candidates: name of a list -> bool `[b, n_items]`.  Returns int64 `[t]` a list.
    """
    by_list: dict[str, list[Tensor]] = {name: [] for name in candidates}
    rows_at_once = max(1, _COMPARISONS // max(1, scores.shape[1]))
    for rows, items in zip(row.split(rows_at_once), item.split(rows_at_once), strict=True):
        theirs = scores[rows]
        own = theirs.gather(1, items[:, None])
        before, equal = theirs > own, theirs == own
        if int(equal.sum()) > len(items):  # more than each with itself
            their_keys = keys[rows]
            before |= equal & (their_keys < their_keys.gather(1, items[:, None]))
        for name, mask in candidates.items():
            by_list[name].append((before & mask[rows]).sum(1) + 1)
    return {
        name: torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64, device=scores.device)
        for name, parts in by_list.items()
    }


def ranking_frame(placed: Placed, cases: Cases, scale: Scale, protocol: Protocol) -> pd.DataFrame:
    """One line a test user: `user` (token), `n_test`, `n_relevant`, and a float64 column a metric.

    Names: `p1.ndcg@k` (ideal cut at k), `p1.ndcg_full@k` (ideal of all the user's test items), `p1.f1@k`,
    `p2.ndcg@k`, `p2.ndcg_binary@k`, `p3.recall@k`, `p3.ndcg@k`.  Gains are 2^r - 1 (`Scale.gains`); for f1 and
    ndcg_binary items from `Scale.relevant_from` on are relevant, for P3 all test items.  NaN: the user has no
    relevant item, and is left out of means.
    """
    orders: dict[str, Order] = {name: Ranked(placed.places[name]) for name in LISTS}
    return _frame(placed, orders, cases, scale, protocol)


def random_frame(placed: Placed, cases: Cases, scale: Scale, protocol: Protocol) -> pd.DataFrame:
    """The expectation of `ranking_frame` under a random order of each list, exact; only the lengths are read."""
    orders: dict[str, Order] = {name: AtRandom(placed.lengths[name]) for name in LISTS}
    return _frame(placed, orders, cases, scale, protocol)


def _frame(
    placed: Placed, orders: dict[str, Order], cases: Cases, scale: Scale, protocol: Protocol
) -> pd.DataFrame:
    n, owner = len(placed.users), placed.owner
    gains = scale.gains(placed.ratings)
    relevant = scale.relevant(placed.ratings).astype(np.float64)
    every = np.ones(len(owner))
    columns: dict[str, Any] = {
        "user": cases.user_tokens[placed.users].astype(str),
        "n_test": np.bincount(owner, minlength=n),
        "n_relevant": np.bincount(owner, weights=relevant, minlength=n).astype(np.int64),
    }
    for k in protocol.ks:
        columns[f"p1.ndcg@{k}"] = ndcg(owner, gains, orders["p1"], n, k)
        columns[f"p1.ndcg_full@{k}"] = ndcg(owner, gains, orders["p1"], n, k, full_ideal=True)
        columns[f"p1.f1@{k}"] = f1(owner, relevant, orders["p1"], n, k)
        columns[f"p2.ndcg@{k}"] = ndcg(owner, gains, orders["p2"], n, k)
        columns[f"p2.ndcg_binary@{k}"] = ndcg(owner, relevant, orders["p2"], n, k)
    for k in protocol.full_ks:
        columns[f"p3.recall@{k}"] = recall(owner, every, orders["p3"], n, k)
        columns[f"p3.ndcg@{k}"] = ndcg(owner, every, orders["p3"], n, k)
    return pd.DataFrame(columns)

"""Which training rows made something: a fingerprint that tells one split from another."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def training_fingerprint(dataset: Any) -> str:
    """A hash of who interacted with what in RecBole's data set of a training split, by original ids.

    Plain and sequential data of the same rows have the same one, in whatever order they stand; what only occurs in
    validation or test does not count.
    """
    users, items = _pairs(dataset)
    user_rank, user_names = _ranks(dataset.field2id_token[dataset.uid_field], users)
    item_rank, item_names = _ranks(dataset.field2id_token[dataset.iid_field], items)
    pairs = np.sort(user_rank * max(len(item_names), 1) + item_rank)
    digest = hashlib.sha256()
    for names in (user_names, item_names):
        for name in names:
            content = name.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "little") + content)
        digest.update(len(names).to_bytes(8, "little"))
    digest.update(pairs.astype("<i8").tobytes())
    return digest.hexdigest()[:32]


def both_splits(first: str | None, second: str | None) -> str | None:
    """The split of what two things made together: theirs where it is one, none's where they differ, else unknown."""
    if first is None or second is None:
        return None
    return first if first == second else f"{first}+{second}"


def _pairs(dataset: Any) -> tuple[Numbers, Numbers]:
    """Users and items of all training interactions, by internal id."""
    features, config = dataset.inter_feat, dataset.config
    columns = features.interaction if hasattr(features, "interaction") else features
    users, items = _numbers(columns, dataset.uid_field), _numbers(columns, dataset.iid_field)
    lists = f"{dataset.iid_field}{config['LIST_SUFFIX'] or '_list'}"
    if lists not in columns:
        return users, items
    # a row of sequential data is a prefix and its target; a user's first item is in the prefix of length 1 alone
    first = _numbers(columns, config["ITEM_LIST_LENGTH_FIELD"]) == 1
    before = _numbers(columns, lists)[first, 0]
    return np.concatenate([users, users[first]]), np.concatenate([items, before])


def _numbers(columns: Any, name: str) -> Numbers:
    return np.asarray(columns[name]).astype(np.int64)


def _ranks(tokens: Any, ids: Numbers) -> tuple[Numbers, list[str]]:
    """The place of each id among the names that occur, in alphabetical order, and these names."""
    used = np.unique(ids)
    names = [str(tokens[number]) for number in used]
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(used), dtype=np.int64)
    rank[order] = np.arange(len(used))
    return rank[np.searchsorted(used, ids)], [names[place] for place in order]

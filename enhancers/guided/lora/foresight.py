"""What a model learns from: the earlier part of each user's training history as text, the later part to be foreseen.

Were the interactions that teach in the text as well, naming their attributes would do.  The split is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from burnish.errors import ConfigurationError, DataError

from ..scorers.protocol import Texts
from ..split import training_fingerprint

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


@dataclass(frozen=True)
class Lessons:
    """What `tune` takes of a data set.

    Parameters
    ----------
    histories
        The earlier part of users' training histories, the latest item last.
    interactions
        Users and items of the later part.
    whole
        All of the training histories, to score users by in the end.
    """

    histories: Texts
    interactions: tuple[list[str], list[str]]
    whole: Texts


def lessons(
    dataset: Dataset, lines: Mapping[str, str], *, foreseen: float = 0.3, longest: int = 50
) -> Lessons:
    """The lessons in RecBole's training split, in order of time where the data have times.

    Parameters
    ----------
    dataset
        The training split, `train_data.dataset`.
    lines
        For each item id what stands in a history, such as title and year; items without a line are passed over in
        histories.
    foreseen
        Share of a user's interactions that is to be foreseen; at least one is, where a user has two.
    longest
        How many items of a history are told, the latest.

    Returns
    -------
    Lessons
        Histories, and the interactions to be foreseen.

    Raises
    ------
    ConfigurationError
        For a share or a length out of range.
    DataError
        Where no item has a line.
    """
    if not 0.0 < foreseen < 1.0:
        raise ConfigurationError(f"foreseen = {foreseen!r}; give a share between 0 and 1, such as 0.3")
    if longest < 1:
        raise ConfigurationError(f"longest = {longest!r}; tell at least one item of a history")
    names: Any = dataset.field2id_token[dataset.iid_field]
    if not any(lines.get(str(name), "").strip() for name in names):
        raise DataError(
            f"no item of the data set (such as {str(names[1])!r}) has a line; are the ids those of its files?"
        )
    ids, earlier, whole = [], [], []
    users: list[str] = []
    items: list[str] = []
    for user, history in training_histories(dataset).items():
        later = max(1, round(foreseen * len(history))) if len(history) > 1 else 0
        known = history[: len(history) - later]
        ids.append(user)
        earlier.append(_told(known, lines, longest))
        whole.append(_told(history, lines, longest))
        users += [user] * later
        items += history[len(known) :]
    split = training_fingerprint(dataset)
    return Lessons(
        Texts(tuple(ids), {"history": tuple(earlier)}, split),
        (users, items),
        Texts(tuple(ids), {"history": tuple(whole)}, split),
    )


def _told(history: list[str], lines: Mapping[str, str], longest: int) -> str:
    told = [" ".join(lines[item].split()) for item in history if lines.get(item, "").strip()]
    return "\n".join(told[-longest:])


def training_histories(dataset: Dataset) -> dict[str, list[str]]:
    """Item ids of each user's training interactions by user id, the latest last where the data have times."""
    columns = dataset.inter_feat.interaction
    user_names: Any = dataset.field2id_token[dataset.uid_field]
    item_names: Any = dataset.field2id_token[dataset.iid_field]
    users, items = columns[dataset.uid_field].numpy(), columns[dataset.iid_field].numpy()
    config = dataset.config
    sequence = dataset.iid_field + (config["LIST_SUFFIX"] or "_list")
    histories: dict[str, list[str]] = {}
    if sequence in columns:  # rows are prefixes of histories: the longest, and the item after it
        lists, lengths = columns[sequence].numpy(), columns[config["ITEM_LIST_LENGTH_FIELD"]].numpy()
        # a user's rows stand in the order of time, and long histories lose their beginning
        last = {int(user): row for row, user in enumerate(users)}
        for user, row in sorted(last.items()):
            numbers = [*lists[row][: lengths[row]], items[row]]
            histories[str(user_names[user])] = [str(item_names[number]) for number in numbers]
        return histories
    order = np.argsort(users, kind="stable")
    if dataset.time_field is not None and dataset.time_field in columns:
        order = np.lexsort((columns[dataset.time_field].numpy(), users))
    for row in order:
        histories.setdefault(str(user_names[users[row]]), []).append(str(item_names[items[row]]))
    return histories

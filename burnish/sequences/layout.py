"""Which training rows belong together: windows of histories, every row in exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from burnish.errors import UnsupportedError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

#: Columns that training rows have while an epoch runs; they are no fields, so no model reads them.
WINDOW_FIELD = "burnish_window"
PLACE_FIELD = "burnish_window_place"

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Layout:
    """Training rows in windows.

    windows: `[n]`, the number of each row's window, from 0.  places: `[n]`, its place among the rows of the window,
    from 0, in the order of time.  exact: `[n]`, whether the row's context within the window is the row's own list.
    order: `[n]`, the rows window by window, each in the order of time.  starts: `[n_windows + 1]`, where windows
    begin in `order`.  longest: how many items a row's list has at most.
    """

    windows: Tensor
    places: Tensor
    exact: Tensor
    order: Tensor
    starts: Tensor
    longest: int

    @property
    def n_windows(self) -> int:
        """How many windows there are."""
        return len(self.starts) - 1

    def rows_of(self, windows: Tensor) -> Tensor:
        """The rows of windows `[m]`, in the order given, each window's in the order of time."""
        first, sizes = self.starts[windows], (self.starts[1:] - self.starts[:-1])[windows]
        if not len(sizes):
            return self.order[:0]
        ends = sizes.cumsum(0)
        within = torch.arange(int(ends[-1])) - (ends - sizes).repeat_interleave(sizes)
        return self.order[first.repeat_interleave(sizes) + within]


def longest_of(dataset: Dataset) -> int:
    """How many items a row's list has at most.

    Raises `UnsupportedError` when the rows of the data set have no item lists as RecBole's SequentialDataset makes.
    """
    columns, config = dataset.inter_feat.interaction, dataset.config
    lists = f"{dataset.iid_field}{config['LIST_SUFFIX']}"
    for field in (lists, config["ITEM_LIST_LENGTH_FIELD"]):
        if field not in columns:
            raise UnsupportedError(f"its training rows have no column {field!r}")
    return int(columns[lists].shape[1])


def lay_out(dataset: Dataset, stride: int) -> Layout:
    """The windows of a sequential training set.

    A row continues another one when it has the same user and its list is the other's with the other's target at
    its end (cut to the latest `longest`).  Rows that continue one another are a chain.  The rows of a chain whose
    lists were not cut yet are its first window; the rest are windows of `stride` rows.  Every row is in one window.
    """
    features = dataset.inter_feat
    items = features[dataset.iid_field + dataset.config["LIST_SUFFIX"]]
    lengths = features[dataset.config["ITEM_LIST_LENGTH_FIELD"]].long()
    targets = features[dataset.iid_field]
    order = _by_user_and_time(dataset)
    n, longest = len(order), int(items.shape[1])
    continues = torch.zeros(n, dtype=torch.bool)
    users = features[dataset.uid_field] if dataset.uid_field in features.interaction else None
    for start in range(1, n, _ROWS_AT_ONCE):
        later = order[start : start + _ROWS_AT_ONCE]
        earlier = order[start - 1 : start - 1 + len(later)]
        follows = _follow(items[earlier], lengths[earlier], targets[earlier], items[later], lengths[later])
        if users is not None:
            follows &= users[earlier] == users[later]
        continues[start : start + len(later)] = follows
    at = torch.arange(n)
    head = _latest(~continues)  # where the row's chain begins
    since, room = at - head, longest - lengths[order][head]
    beyond = since - room - 1
    block = torch.where(beyond < 0, torch.zeros_like(beyond), 1 + beyond.div(stride, rounding_mode="floor"))
    begins = ~continues
    if n > 1:
        begins[1:] |= block[1:] != block[:-1]
    starts = torch.cat([at[begins], torch.tensor([n])])
    place = at - _latest(begins)
    last = torch.ones(n, dtype=torch.bool)
    last[:-1] = begins[1:]
    return Layout(
        windows=_by_row(order, begins.long().cumsum(0) - 1),
        places=_by_row(order, place),
        exact=_by_row(order, (block == 0) | last),
        order=order,
        starts=starts,
        longest=longest,
    )


def _by_user_and_time(dataset: Dataset) -> Tensor:
    """Rows `[n]` by user, then time, then as they come."""
    columns = dataset.inter_feat.interaction
    keys = [columns[field].numpy() for field in (dataset.time_field, dataset.uid_field) if field in columns]
    n = len(dataset.inter_feat)
    return torch.as_tensor(np.lexsort((np.arange(n), *keys)) if keys else np.arange(n))


def _follow(
    items: Tensor, lengths: Tensor, targets: Tensor, next_items: Tensor, next_lengths: Tensor
) -> Tensor:
    """`[m]`: is the next row's list this row's list with its target appended, cut to the latest ones?"""
    longest = items.shape[1]
    full = lengths >= longest
    expected = torch.where(full[:, None], items.roll(-1, dims=1), items)
    place = torch.where(full, longest - 1, lengths)[:, None]
    expected = expected.scatter(1, place, targets[:, None].to(expected.dtype))
    grown = next_lengths == (lengths + 1).clamp(max=longest)
    return grown & (lengths > 0) & (expected == next_items).all(1)


def _latest(marks: Tensor) -> Tensor:
    """`[n]`: the last marked index up to each one; the first is marked."""
    at = torch.arange(len(marks))
    return torch.where(marks, at, torch.zeros_like(at)).cummax(0).values if len(marks) else at


def _by_row(order: Tensor, values: Tensor) -> Tensor:
    """Values that stand in `order`, by row."""
    return torch.empty_like(values).index_copy_(0, order, values)

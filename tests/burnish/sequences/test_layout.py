"""Windows, against a loop over users that knows nothing of tensors."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch

from burnish.sequences.layout import lay_out, longest_of


def by_hand(dataset: Any, stride: int) -> list[list[int]]:
    """The windows as lists of rows: a user's rows in order, cut where the list of one is not the next one's start."""
    features, longest = dataset.inter_feat, longest_of(dataset)
    rows = defaultdict(list)
    for row in range(len(features)):
        rows[int(features["user_id"][row])].append(row)
    windows = []
    for own in rows.values():
        own.sort(key=lambda row: float(features["timestamp"][row]))
        previous: list[int] | None = None
        rest = 0
        for row in own:
            length = int(features["item_length"][row])
            history = features["item_id_list"][row][:length].tolist()
            if previous is None or history != previous[-longest:]:
                windows.append([row])
                rest = 0
            elif len(previous) <= longest:
                windows[-1].append(row)
            else:
                if rest % stride == 0:
                    windows.append([])
                windows[-1].append(row)
                rest += 1
            previous = [*history, int(features["item_id"][row])]
    return windows


def rows_of_windows(layout: Any) -> list[list[int]]:
    return [layout.rows_of(torch.tensor([window])).tolist() for window in range(layout.n_windows)]


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("longest", [1, 3, 6, 50])
def test_windows_are_those_of_a_loop(world, stride, longest):
    dataset = world("SASRec", MAX_ITEM_LIST_LENGTH=longest).train._dataset
    layout = lay_out(dataset, min(stride, longest))
    assert sorted(rows_of_windows(layout)) == sorted(by_hand(dataset, min(stride, longest)))
    assert sorted(layout.order.tolist()) == list(range(len(dataset.inter_feat)))


def test_columns_agree_with_the_windows(world):
    dataset = world("SASRec").train._dataset
    layout = lay_out(dataset, 3)
    items, lengths = dataset.inter_feat["item_id_list"], dataset.inter_feat["item_length"]
    for window, rows in enumerate(rows_of_windows(layout)):
        assert layout.windows[rows].tolist() == [window] * len(rows)
        assert layout.places[rows].tolist() == list(range(len(rows)))
        last = items[rows[-1]][: lengths[rows[-1]]].tolist()
        for place, row in enumerate(rows):
            context = last[: len(last) - (len(rows) - 1 - place)]
            own = items[row][: lengths[row]].tolist()
            assert own[-len(context) :] == context, "a row's context is the end of its own list"
            assert bool(layout.exact[row]) == (own == context)


def test_context_lengths_are_as_documented(world):
    dataset = world("SASRec").train._dataset
    lengths = dataset.inter_feat["item_length"]
    for stride in (1, 3, 6):
        layout = lay_out(dataset, stride)
        sizes = layout.starts.diff()
        context = lengths[layout.order] - (
            sizes.repeat_interleave(sizes) - 1 - layout.places[layout.order]
        ) * (~layout.exact[layout.order])
        assert context.min() >= 1
        assert (context >= (lengths[layout.order] - stride + 1)).all()
        assert layout.exact.all() == (stride == 1)


def test_rows_in_any_order_give_the_same_windows(world):
    dataset = world("SASRec").train._dataset
    features = dataset.inter_feat
    # RecBole keeps times in float32, which cannot tell neighbours apart; rows of one time stay as they come.
    features.interaction["timestamp"] = torch.arange(len(features), dtype=torch.float64)
    before = sorted(sorted(rows) for rows in by_hand(dataset, 3))
    mixed = torch.randperm(len(features), generator=torch.Generator().manual_seed(4))
    shuffled = {name: column[mixed] for name, column in features.interaction.items()}
    features.interaction = shuffled
    layout = lay_out(dataset, 3)
    assert sorted(sorted(mixed[rows].tolist()) for rows in rows_of_windows(layout)) == before


def test_a_gap_begins_another_window(world):
    dataset = world("SASRec", MAX_ITEM_LIST_LENGTH=50).train._dataset
    features = dataset.inter_feat
    whole = rows_of_windows(lay_out(dataset, 25))
    cut = next(rows for rows in whole if len(rows) >= 5)
    kept = torch.tensor([row for row in range(len(features)) if row != cut[2]])
    features.interaction = {name: column[kept] for name, column in features.interaction.items()}
    features.length = len(kept)
    parts = [kept[rows].tolist() for rows in rows_of_windows(lay_out(dataset, 25))]
    assert cut[:2] in parts
    assert cut[3:] in parts
    assert len(parts) == len(whole) + 1


def test_one_row_and_none(world):
    dataset = world("SASRec").train._dataset
    features = dataset.inter_feat
    for n in (1, 0):
        features.interaction = {name: column[:n] for name, column in features.interaction.items()}
        features.length = n
        layout = lay_out(dataset, 3)
        assert layout.n_windows == n
        assert layout.order.tolist() == list(range(n))

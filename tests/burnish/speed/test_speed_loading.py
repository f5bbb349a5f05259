"""Batches, and what is left of the random streams, are RecBole's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from burnish.enhancers.conformance.world import build_world
from burnish.speed.switches import without


def epochs(loader, number=2):
    """Every batch of some epochs, and the state of the loader's own stream after each."""
    return [([batch.interaction for batch in loader], loader.generator.get_state()) for _ in range(number)]


@pytest.mark.parametrize("model", ["BPR", "SASRec", "DeepFM", "MultiVAE", "DIN"])
def test_training_batches_are_recboles(tmp_path, model):
    fast = build_world(model, tmp_path, options={"train_batch_size": 30})
    seen, state = epochs(fast.train), np.random.get_state()[1].copy()
    with without():
        slow = build_world(model, tmp_path, options={"train_batch_size": 30})
        expected, expected_state = epochs(slow.train), np.random.get_state()[1]
    assert (state == expected_state).all()
    for (batches, stream), (others, other_stream) in zip(seen, expected, strict=True):
        assert torch.equal(stream, other_stream)
        assert len(batches) == len(others) > 1
        for one, other in zip(batches, others, strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)


TABLE = Interaction({"a": torch.arange(10), "b": torch.arange(30.0).reshape(10, 3)})


@pytest.mark.parametrize(
    "index",
    [
        np.array([3, 3, 0]),
        np.array([3, -1, 0]),
        np.array([4], dtype=np.int32),
        np.arange(10)[::-2],
        np.array([], dtype=np.int64),
        np.array([True, False] * 5),
        np.array([[1, 2], [3, 4]]).T[0],
        torch.tensor([9, 0]),
        torch.tensor([True, False] * 5),
        torch.tensor(4),
        [1, 2],
        slice(2, 5),
        3,
    ],
)
def test_rows_are_recboles(index):
    fast = TABLE[index]
    with without():
        slow = TABLE[index]
    assert type(fast) is type(slow)
    assert fast.columns == slow.columns
    assert len(fast) == len(slow)
    for name in slow:
        assert fast[name].dtype == slow[name].dtype
        assert torch.equal(fast[name], slow[name])


def test_rows_are_copies():
    table = Interaction({"a": torch.arange(4)})
    table[np.arange(4)]["a"][0] = 7
    assert table["a"].tolist() == [0, 1, 2, 3]


def test_rows_out_of_range_are_an_index_error():
    with pytest.raises(IndexError):
        TABLE[np.array([10])]

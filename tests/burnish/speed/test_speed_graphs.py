"""Graphs and histories are RecBole's, entry by entry, in order."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import torch

from burnish.enhancers.conformance.world import build_world
from burnish.speed.adjacency import BUILDERS, Edges, without_repeats
from burnish.speed.histories import grouped_index
from burnish.speed.switches import without

MODELS = {entry[0]: (module, entry[1]) for module, entry in BUILDERS.items()}


def tensors(built):
    """Indices and values of one or more sparse tensors, as they are stored."""
    parts = built if isinstance(built, tuple) else (built,)
    return [(part._indices(), part._values(), part.shape) for part in parts]


@pytest.mark.parametrize("model", sorted(MODELS))
def test_graphs_are_recboles_bit_for_bit(tmp_path, model):
    built = build_world(model, tmp_path)
    made = built.model
    module, function = MODELS[model]
    if hasattr(made, "inter_matrix"):  # MCCLK makes a tensor of it later
        made.inter_matrix = built.train._dataset.inter_matrix(form="coo").astype(np.float32)
    assert isinstance(made, getattr(importlib.import_module(module), model))
    modes = [{}] if "inter" not in function else [{"mode": "bi"}, {"mode": "si"}]
    for arguments in modes:
        fast = tensors(getattr(made, function)(**arguments))
        with without("adjacency"):
            slow = tensors(getattr(made, function)(**arguments))
        assert len(fast) == len(slow)
        for one, other in zip(fast, slow, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
            assert one[2] == other[2]
            assert one[1].dtype == other[1].dtype


@pytest.mark.parametrize("model", ["LightGCN", "KGIN", "SpectralCF"])
@pytest.mark.parametrize("times", [1, 2])
def test_any_order_and_repeats(tmp_path, model, times):
    """Interactions in no order, and twice: the matrices are equal, entries in the same order."""
    made = build_world(model, tmp_path).model
    _, function = MODELS[model]
    name = "inter_matrix" if model == "KGIN" else "interaction_matrix"
    matrix = getattr(made, name)
    again = np.random.default_rng(0).permutation(np.tile(np.arange(matrix.nnz), times))
    entries = (matrix.data[again], (matrix.row[again], matrix.col[again]))
    setattr(made, name, scipy.sparse.coo_matrix(entries, shape=matrix.shape))
    fast = tensors(getattr(made, function)())
    with without("adjacency"):
        slow = tensors(getattr(made, function)())
    for one, other in zip(fast, slow, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_repeats_keep_the_place_of_the_first_and_the_value_of_the_last():
    edges = Edges(np.array([2, 0, 2, 1]), np.array([1, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    rows, columns, values = without_repeats(edges, 3)
    expected = dict(zip(zip([2, 0, 2, 1], [1, 0, 1, 1], strict=True), [1.0, 2.0, 3.0, 4.0], strict=True))
    assert dict(zip(zip(rows, columns, strict=True), values, strict=True)) == expected
    assert list(zip(rows, columns, strict=True)) == list(expected)


@pytest.mark.parametrize("row", ["user", "item"])
@pytest.mark.parametrize("value_field", [None, "rating"])
@pytest.mark.parametrize("longest", [None, 3, 1000])
def test_history_matrices_are_recboles(tmp_path, row, value_field, longest):
    data = build_world("BPR", tmp_path).train._dataset
    before = data.inter_feat["user_id"].clone()
    torch.manual_seed(3)
    fast, left = data._history_matrix(row, value_field, longest), torch.get_rng_state()
    torch.manual_seed(3)
    with without():
        slow = data._history_matrix(row, value_field, longest)
    assert torch.equal(left, torch.get_rng_state())
    assert torch.equal(data.inter_feat["user_id"], before)
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_histories_of_unknown_values_fail_as_in_recbole(tmp_path):
    data = build_world("BPR", tmp_path).train._dataset
    with pytest.raises(ValueError, match="Value_field"):
        data._history_matrix("user", "nothing")


def test_known_items_are_recboles(tmp_path):
    sampler = build_world("BPR", tmp_path).train._sampler
    fast = sampler.get_used_ids()
    with without():
        slow = sampler.get_used_ids()
    assert fast.keys() == slow.keys()
    assert all((fast[phase] == slow[phase]).all() for phase in slow)
    assert len({id(one) for one in fast["train"]} & {id(one) for one in fast["test"]}) == 0


def test_a_user_who_knows_everything_is_refused(tmp_path):
    sampler = build_world("BPR", tmp_path).train._sampler
    everything = {
        "user_id": torch.ones(sampler.item_num - 1, dtype=torch.long),
        "item_id": torch.arange(1, sampler.item_num),
    }
    sampler.datasets = [SimpleNamespace(inter_feat=everything)] * 3
    with pytest.raises(ValueError, match="interacted with all items"):
        sampler.get_used_ids()


@pytest.mark.parametrize("keys", [[3, 1, 3, 2, 1, 3], [5], [0, 0]])
def test_groups_are_recboles(keys, tmp_path):
    data = build_world("BPR", tmp_path).train._dataset
    fast = data._grouped_index(np.array(keys))
    with without():
        slow = data._grouped_index(np.array(keys))
    assert list(fast) == list(slow)


def test_groups_of_something_else_are_left_to_recbole():
    assert grouped_index(lambda _, keys: ["theirs", keys], None, ["a"]) == ["theirs", ["a"]]

"""`status`, and what was changed behind the enhancers' back."""

from __future__ import annotations

import copy

import pytest
import shift
import shipping as ship
import torch
from torch import nn

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.status import status
from burnish.errors import UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return ship.folder_for(tmp_path_factory)


def test_a_plain_model_has_nothing_attached(folder):
    report = status(build_world("BPR", folder).model)
    assert not report.attached
    assert str(report) == "BPR: nothing is attached"


def test_tables_enhancers_hooks_and_route(folder):
    weights = shift.Weights(values=(0.5, 1.5))
    world = build_world(enhance("BPR", "rows", shift.Shift(start=0.5, weight=0.0), weights), folder)
    report = status(world.model)
    assert [(t.name, t.side, t.rows, t.width, t.transposed) for t in report.tables] == [
        ("user_embedding.weight", "user", 41, 8, False),
        ("item_embedding.weight", "item", 61, 8, False),
    ]
    assert report.tables[1].parameters == 61 * 8
    assert report.tables[1].refined_by == ("rows", "shift")
    assert [(e.name, e.hooks, e.parameters, e.bakeable) for e in report.enhancers] == [
        ("rows", ("refine",), 41 + 61, True),
        ("shift", ("refine",), 1, True),  # its loss counts 0
        ("weights", ("weigh",), 0, True),
    ]
    assert report.enhancers[1].options == {"start": 0.5, "weight": 0.0}
    assert report.step == 0
    world.model.train().calculate_loss(world.batch())
    after = status(world.model)
    assert (after.step, after.weights) == (1, "modules")
    shown = str(after).splitlines()
    assert shown[0] == "BPR: rows, shift, weights attached, step 1"
    assert any(
        line.split() == ["item_embedding.weight", "item", "61", "8", "488", "rows,", "shift"]
        for line in shown
    )


def test_why_a_model_cannot_be_baked(folder):
    report = status(build_world(enhance("LightGCN", burnish.RVRec(site="output")), folder).model)
    assert "site: table" in report.not_bakeable
    assert report.enhancers[0].hooks == ("refine_output", "loss")
    assert not report.enhancers[0].bakeable
    assert "cannot be baked" in str(report)


@pytest.mark.parametrize("backbone", ship.REFINABLE)
def test_every_model_has_a_status_after_training(folder, backbone):
    """Training, evaluating and RecBole's own loading leave the tables where enhancers were attached."""
    world = build_world(enhance(backbone, "rows"), folder)
    world.trainer.fit(world.train, saved=False, verbose=False)
    world.model.load_other_parameter(copy.deepcopy(world.model.other_parameter()))
    report = status(world.model)
    assert report.step > 0
    assert any(table.refined_by == ("rows",) for table in report.tables)
    assert all(table.name in str(report) for table in report.tables)


def test_a_plain_checkpoint_of_din_does_not_replace_its_tables(folder):
    plain, world = build_world("DIN", folder), build_world(enhance("DIN", "rows"), folder)
    world.model.load_other_parameter(plain.model.other_parameter())
    assert world.model.embedding_layer is not plain.model.embedding_layer
    assert status(world.model).attached


# ---------------------------------------------------------------------- replaced tables


def verbs(world):
    batch = world.batch()
    return [
        lambda: world.model.train().calculate_loss(batch),
        lambda: status(world.model),
        lambda: burnish.bake(world.model),
        lambda: burnish.save_pretrained(world.model, "/nowhere", world.train._dataset),
    ]


def test_a_new_parameter_of_the_same_shape_is_refined(folder):
    world = build_world(enhance("BPR", shift.Shift(start=0.5)), folder)
    values = torch.randn(61, 8)
    world.model.item_embedding.weight = nn.Parameter(values.clone())
    assert torch.equal(world.model.item_embedding.weight[1:], values[1:] + 0.5)
    for verb in verbs(world)[:3]:
        verb()
    state = {key: value + 1 for key, value in world.model.state_dict().items()}
    world.model.load_state_dict(state, assign=True)
    torch.testing.assert_close(world.model.item_embedding.weight[1:], values[1:] + 1 + 1.5)
    for verb in verbs(world)[:3]:
        verb()


def test_a_new_module_is_noticed(folder):
    world = build_world(enhance("BPR", "rows"), folder)
    world.model.item_embedding = nn.Embedding(61, 8)
    for verb in verbs(world):
        with pytest.raises(
            UnsupportedError, match=r"'item_embedding.weight': the module 'item_embedding' was rep"
        ):
            verb()


def test_a_new_module_further_up_is_noticed(folder):
    world = build_world(enhance("DeepFM", "rows"), folder)
    world.model.token_embedding_table = copy.deepcopy(world.model.token_embedding_table)
    for verb in verbs(world):
        with pytest.raises(UnsupportedError, match=r"token_embedding_table.embedding' was replaced"):
            verb()


def test_a_parameter_of_another_shape_is_noticed(folder):
    world = build_world(enhance("BPR", "rows"), folder)
    world.model.user_embedding.weight = nn.Parameter(torch.zeros(50, 8))
    for verb in verbs(world):
        with pytest.raises(UnsupportedError, match=r"'user_embedding.weight' of shape \[41, 8\].*\[50, 8\]"):
            verb()


def test_detaching_is_the_way_out(folder):
    world = build_world(enhance("BPR", "rows"), folder)
    replaced = world.model.item_embedding = nn.Embedding(61, 8)
    plain = burnish.detach(world.model)
    assert plain.item_embedding is replaced
    assert type(plain.user_embedding) is nn.Embedding
    assert plain.calculate_loss(world.batch()).isfinite()


def test_copies_and_pickles_watch_their_own_tables(folder):
    world = build_world(enhance("BPR", "rows"), folder)
    copied = copy.deepcopy(world.model)
    copied.item_embedding = nn.Embedding(61, 8)
    status(world.model)
    with pytest.raises(UnsupportedError, match="was replaced"):
        status(copied)


@pytest.mark.parametrize(("backbone", "option"), [("BPR", "embedding_size"), ("SASRec", "hidden_size")])
def test_an_embedding_of_one_column_is_refused_with_the_option(folder, backbone, option):
    with pytest.raises(UnsupportedError, match=f"Here {option} is 1: .*use 2 or more"):
        build_world(enhance(backbone, "rows"), folder, options={option: 1, "n_heads": 1})

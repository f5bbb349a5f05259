"""`detach` leaves exactly the plain backbone, for every model that learns."""

from __future__ import annotations

import copy
import pickle

import pytest
import shift
import shipping as ship
import torch
from torch import nn

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.detach import detach
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return ship.folder_for(tmp_path_factory)


@pytest.mark.parametrize("backbone", ship.REFINABLE)
def test_detached_is_the_plain_model_bit_for_bit(folder, backbone):
    plain = build_world(backbone, folder)
    world = build_world(enhance(backbone, "rows"), folder)
    batch = ship.first_test_batch(plain)
    ship.as_if_trained(world.model)
    ship.scores(world.model, batch)  # what the model keeps of an evaluation must not survive
    for table in world.model.enhancers.anatomy.tables:
        assert not torch.equal(
            getattr(table.owner, table.parameter), table.owner._parameters[table.parameter]
        )
    detached = detach(world.model)
    assert detached is world.model
    assert type(detached) is type(plain.model)
    wanted, got = plain.model.state_dict(), detached.state_dict()
    assert list(wanted) == list(got)
    assert all(torch.equal(wanted[key], got[key]) for key in wanted)
    assert [n for n, _ in detached.named_parameters()] == [n for n, _ in plain.model.named_parameters()]
    ship.assert_scores_equal(ship.scores(plain.model, batch), ship.scores(detached, batch))
    for one, other in zip(plain.model.modules(), detached.modules(), strict=True):
        assert type(one) is type(other)
        # SGL draws two graphs whenever it is put into training mode.
        assert set(vars(one)) == set(vars(other)) - {"sub_graph1", "sub_graph2"}


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec", "DeepFM", "MultiVAE", "CKE"])
def test_trained_tables_stay_and_training_goes_on_as_without_enhancers(folder, backbone):
    world = build_world(enhance(backbone, "rows"), folder)
    world.trainer.fit(world.train, saved=False, verbose=False)
    trained = {k: v.clone() for k, v in world.model.state_dict().items() if not k.startswith("enhancers.")}
    plain = build_world(backbone, folder).model
    plain.load_state_dict(trained)
    detached = detach(world.model)
    assert all(torch.equal(trained[key], value) for key, value in detached.state_dict().items())
    batch, losses = world.batch(), []
    for model in (plain, detached):
        torch.manual_seed(3)
        loss = model.train().calculate_loss(copy.copy(batch))
        losses.append(sum(loss) if isinstance(loss, tuple) else loss)
    assert torch.equal(*losses)


def test_what_is_left_pickles_without_burnish(folder):
    world = build_world(enhance("BPR", "rvrec"), folder)
    pickled = pickle.dumps(detach(world.model))
    assert b"burnish" not in pickled


def test_a_table_that_is_a_parameter_of_the_model_itself(folder):
    from recbole.model.general_recommender import BPR

    class Own(BPR):
        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.item_extra = nn.Parameter(torch.zeros(self.n_items, 8))

    Own.__name__ = "BPR"
    world = build_world(enhance(Own, "rows"), folder)
    assert "item_extra" in {table.name for table in world.model.enhancers.anatomy.tables}
    assert type(detach(world.model)) is Own
    assert isinstance(world.model.item_extra, nn.Parameter)


def test_refusals(folder):
    plain = build_world("BPR", folder).model
    with pytest.raises(ConfigurationError, match=r"no enhancer is attached to this BPR.*enhance\('BPR'"):
        detach(plain)

    class Derived(enhance("BPR", "rows")):
        pass

    Derived.__name__ = "BPR"
    world = build_world(Derived, folder)
    before = list(world.model.state_dict())
    with pytest.raises(UnsupportedError, match="was derived from an enhanced class"):
        detach(world.model)
    assert list(world.model.state_dict()) == before


# ---------------------------------------------------------------------- one of several


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec", "DeepFM", "CDAE"])
def test_one_of_several_leaves_the_others_as_they_are(folder, backbone):
    both = build_world(enhance(backbone, "rows", "shift"), folder)
    ship.as_if_trained(both.model)
    alone = build_world(enhance(backbone, "rows"), folder)
    alone.model.enhancers["rows"].load_state_dict(both.model.enhancers["rows"].state_dict())
    batch = ship.first_test_batch(both)
    ship.scores(both.model, batch)
    assert detach(both.model, "shift") is both.model
    assert type(both.model) is type(alone.model)
    wanted, got = alone.model.state_dict(), both.model.state_dict()
    assert list(wanted) == list(got)
    assert all(torch.equal(wanted[key], got[key]) for key in wanted)
    ship.assert_scores_equal(ship.scores(alone.model, batch), ship.scores(both.model, batch))
    both.model.train().calculate_loss(both.batch())
    assert torch.equal(
        burnish.bake(both.model).get_parameter(both.model.enhancers.anatomy.tables[0].name),
        burnish.bake(alone.model).get_parameter(alone.model.enhancers.anatomy.tables[0].name),
    )
    plain = detach(both.model, "rows")  # the last one
    assert type(plain).__module__.startswith("recbole.")


def test_one_that_refined_alone_leaves_plain_tables(folder):
    world = build_world(enhance("BPR", "rows", shift.Weights(values=(0.5, 1.5))), folder)
    detach(world.model, "rows")
    assert type(world.model.user_embedding) is nn.Embedding
    world.model.item_embedding = nn.Embedding(61, 8)  # is watched no longer
    assert burnish.status(world.model).enhancers[0].name == "weights"
    batch = world.batch()
    plain = build_world("BPR", folder).model
    plain.load_state_dict(burnish.detach(copy.deepcopy(world.model)).state_dict())
    weighted = world.model.train().calculate_loss(batch)
    assert not torch.equal(weighted, plain.calculate_loss(batch))
    detach(world.model, "weights")
    assert torch.equal(world.model.calculate_loss(batch), plain.calculate_loss(batch))


def test_one_that_weighs_or_refines_the_output_leaves_nothing(folder):
    world = build_world(
        enhance("LightGCN", "rows", shift.Shift(site="output"), shift.Weights(values=(0.5, 1.5))), folder
    )
    ship.as_if_trained(world.model)
    alone = build_world(enhance("LightGCN", "rows"), folder)
    ship.as_if_trained(alone.model)
    alone.model.enhancers["rows"].load_state_dict(world.model.enhancers["rows"].state_dict())
    for name in ("shift", "weights"):
        detach(world.model, name)
    batch = world.batch()
    losses = [model.train().calculate_loss(copy.copy(batch)) for model in (alone.model, world.model)]
    assert torch.equal(losses[0], losses[1])
    with pytest.raises(UnknownNameError, match="Did you mean 'rows'"):
        detach(world.model, "row")

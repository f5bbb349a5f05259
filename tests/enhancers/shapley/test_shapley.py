"""The enhancer `shapley`: schedule, weights, every backbone, resuming, and what it may not see."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import random

import numpy as np
import pytest
import torch

from burnish import RVRec, Shapley, enhance, save_pretrained
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.subject import assert_equal_states, copied_state, train
from burnish.enhancers.conformance.suite import check_backbone, check_enhancer
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.shapley.controls import permuted_within
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.profile_reasons import contributions
from burnish.enhancers.shapley.reweighting import weights_from
from burnish.enhancers.shapley.shapley import item_vectors
from burnish.enhancers.weights.loss import RULES
from burnish.errors import ConfigurationError, UnsupportedError

#: Two epochs in which values act in the second.
SOON = {"epochs": 2, "pretrain_epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("worlds")
    write_data(folder)
    return folder


def world_of(model, folder, *enhancers, options=None):
    with contextlib.redirect_stdout(io.StringIO()):
        return build_world(
            enhance(model, *enhancers) if enhancers else model, folder, options=options or SOON
        )


def trained(model, folder, *enhancers, options=None):
    with contextlib.redirect_stdout(io.StringIO()):
        return train(world_of(model, folder, *enhancers, options=options))


@pytest.mark.parametrize("model", sorted(RULES))
def test_every_backbone_trains_with_values(model, folder):
    try:
        world = trained(model, folder, Shapley(warmup_epochs=1))
    except UnsupportedError:
        assert model == "LR"  # its tables are biases
        return
    shapley = world.model.enhancers["shapley"]
    feat = world.train._dataset.inter_feat
    assert shapley.values.shape == shapley.weights.shape == (len(feat),)
    assert (shapley.weights - 1).abs().max() > 0.1
    assert all(math.isfinite(float(loss)) for loss in world.trainer.train_loss_dict.values())
    label = world.config["LABEL_FIELD"]
    liked = feat[label] > 0 if label in feat.interaction else torch.ones(len(feat), dtype=torch.bool)
    assert bool((shapley.weights[~liked] == 1).all())
    users = feat[world.config["USER_ID_FIELD"]]
    for user in users[liked].unique():
        assert shapley.weights[liked & (users == user)].mean() == pytest.approx(1, abs=1e-5)


def test_schedule_and_smoothing(folder):
    options = {"warmup_epochs": 2, "refresh": 3, "smoothing": 0.25, "beta": 1.0, "folds": 4}
    world = world_of("BPR", folder, Shapley(**options, values="profile", beyond_popularity=False))
    host, shapley = world.model.enhancers, world.model.enhancers["shapley"]
    users = world.train._dataset.inter_feat["user_id"]
    items = world.train._dataset.inter_feat["item_id"]
    expected = torch.zeros(len(users))
    seen = 0
    for epoch in range(9):
        host.on_epoch(epoch)
        if epoch in (2, 5, 8):
            raw = cross_fitted(
                users, items, world.model.item_embedding.weight.detach(), folds=4, seed=host.state.seed
            )
            z = torch.zeros(len(users))
            for user in users.unique():
                own = raw[users == user]
                z[users == user] = (own - own.mean()) / own.std(correction=0)
            expected = z if not seen else 0.25 * expected + 0.75 * z
            seen += 1
        assert (shapley.interaction_weights() is None) == (seen == 0)
        assert torch.allclose(shapley.values, expected, atol=1e-4)
        with torch.no_grad():
            world.model.item_embedding.weight.add_(0.3 * torch.randn_like(world.model.item_embedding.weight))
    assert seen == 3
    assert torch.allclose(shapley.weights, weights_from(expected, users, beta=1.0), atol=1e-3)


def test_the_warm_up_is_plain_training(folder):
    options = {"epochs": 3}
    plain = trained("BPR", folder, options=options)
    waiting = trained("BPR", folder, Shapley(warmup_epochs=3), options=options)
    acting = trained("BPR", folder, Shapley(warmup_epochs=2), options=options)
    assert plain.trainer.train_loss_dict == waiting.trainer.train_loss_dict
    assert torch.equal(plain.model.item_embedding.weight, waiting.model.item_embedding.weight)
    assert not torch.equal(plain.model.item_embedding.weight, acting.model.item_embedding.weight)


def test_permuted_weights_are_the_same_weights_elsewhere(folder):
    plain, control = (
        world_of("BPR", folder, Shapley(warmup_epochs=0, control=c)) for c in ("none", "permuted")
    )
    for world in (plain, control):
        world.model.enhancers.on_epoch(0)
    users = plain.train._dataset.inter_feat["user_id"]
    one, other = plain.model.enhancers["shapley"], control.model.enhancers["shapley"]
    assert torch.equal(one.values, other.values)
    order = permuted_within(users, plain.model.enhancers.state.seed)
    assert torch.equal(one.weights[order], other.weights)
    assert not torch.equal(one.weights, other.weights)


def test_popularity_as_a_control_takes_the_place_of_values(folder):
    world = world_of("BPR", folder, Shapley(warmup_epochs=0, control="popularity"))
    world.model.enhancers.on_epoch(0)
    feat = world.train._dataset.inter_feat
    users, counts = feat["user_id"], torch.bincount(feat["item_id"])[feat["item_id"]]
    weights = world.model.enhancers["shapley"].weights
    for user in users.unique()[:5]:
        own = users == user
        for i, j in itertools.combinations(own.nonzero().flatten().tolist(), 2):
            more = (counts[i] - counts[j]).sign()
            assert (weights[i] - weights[j]) * more >= 0
    assert weights.std() > 0.1


def test_graph_backbones_are_valued_by_propagated_vectors(folder):
    world = world_of("LightGCN", folder, Shapley(warmup_epochs=0))
    host = world.model.enhancers
    vectors = item_vectors(host.anatomy, host.state, "shapley")
    with torch.no_grad():
        assert torch.equal(vectors, world.model.eval().forward()[1])
    assert not torch.allclose(vectors, world.model.item_embedding.weight)


def test_propagated_weights_change_the_graph(folder):
    world = world_of("LightGCN", folder, Shapley(warmup_epochs=0, propagate=True))
    before = world.model.norm_adj_matrix.coalesce().values().clone()
    world.model.begin_epoch(0)
    assert not torch.equal(before, world.model.norm_adj_matrix.coalesce().values())


def test_autoencoders_are_valued_by_the_decoder(folder):
    world = world_of("MultiDAE", folder, Shapley())
    host = world.model.enhancers
    assert torch.equal(item_vectors(host.anatomy, host.state, "shapley"), world.model.decoder[-1].weight)


@pytest.mark.parametrize("model", ["BPR", "SASRec", "LightGCN", "MultiVAE", "NeuMF"])
def test_other_splits_change_no_value(model, folder):
    """Validation and test rows are swapped for others before the model is built."""
    worlds = []
    for change in (False, True):
        world = world_of(model, folder, Shapley(warmup_epochs=0))
        if change:
            for part in (world.valid, world.test):
                feat = part._dataset.inter_feat
                for column in feat.interaction.values():
                    if not column.is_floating_point():
                        column.copy_(column.flip(0))
                feat[world.config["ITEM_ID_FIELD"]].fill_(1)
            again = enhance(model, Shapley(warmup_epochs=0))
            from recbole.utils import init_seed

            init_seed(world.config["seed"], world.config["reproducibility"])
            world.model = again(world.config, world.train._dataset)
        else:
            from recbole.utils import init_seed

            init_seed(world.config["seed"], world.config["reproducibility"])
            world.model = type(world.model)(world.config, world.train._dataset)
        world.model.begin_epoch(0)
        worlds.append(world.model.enhancers["shapley"])
    assert torch.equal(worlds[0].values, worlds[1].values)
    assert worlds[0].values.abs().max() > 0


# ------------------------------------------------------------------ with rvrec


@pytest.mark.parametrize("model", ["BPR", "SASRec", "MultiVAE", "DeepFM"])
def test_weights_enter_the_contrast_of_rvrec_where_asked_for(model, folder):
    gaussian = RVRec(sample=None, negatives=None, guard=0.0, weighted=True)
    world = world_of(model, folder, gaussian, Shapley(warmup_epochs=0))
    model, host = world.model.train(), world.model.enhancers
    model.begin_epoch(0)
    rvrec, weights = host["rvrec"], host["shapley"].weights
    batch = world.batch()
    seen = {}
    compute = rvrec.loss

    def loss(batch):
        given = compute(batch)["contrast"]
        rows, cells = host.state.weights, host.state.cell_weights
        host.state.weights = host.state.cell_weights = None
        host.state._generators.clear()  # the same draws again
        plain = compute(batch)["contrast"]
        host.state.weights, host.state.cell_weights = rows, cells
        seen.update(given=given.detach(), plain=plain.detach(), rows=rows, cells=cells)
        return {"contrast": given}

    rvrec.loss = loss
    model.calculate_loss(batch)
    ratio = seen["given"] / seen["plain"]
    if seen["cells"] is None:
        expected = weights[batch["burnish_interaction_row"]]
        assert torch.equal(seen["rows"], expected)
    else:
        assert seen["rows"] is None
        expected = None
    counted = seen["plain"].abs() > 1e-6
    if expected is not None:
        assert torch.allclose(ratio[counted], expected[counted], rtol=1e-4)
    else:  # an item of each user's history was drawn: its weight is among those of their interactions
        users = world.train._dataset.inter_feat["user_id"]
        for place in counted.nonzero().flatten().tolist():
            own = weights[users == batch["user_id"][place]]
            assert (own - ratio[place]).abs().min() < 1e-4
    assert (ratio[counted] - 1).abs().max() > 0.1
    assert host.state.weights is None  # not beyond the step


def test_by_default_weights_stay_in_the_loss_of_the_backbone(folder):
    world = world_of("BPR", folder, RVRec(sample=None, negatives=None), Shapley(warmup_epochs=0))
    model, rvrec = world.model.train(), world.model.enhancers["rvrec"]
    model.begin_epoch(0)
    seen = {}
    compute = rvrec.loss

    def loss(batch):
        state = rvrec.state
        given = compute(batch)["contrast"]
        rows, state.weights = state.weights, None
        state._generators.clear()  # the same draws again
        seen.update(rows=rows, given=given.detach(), plain=compute(batch)["contrast"].detach())
        state.weights = rows
        return {"contrast": given}

    rvrec.loss = loss
    model.calculate_loss(world.batch())
    assert (seen["rows"] - 1).abs().max() > 0.1
    assert torch.equal(seen["given"], seen["plain"])


def test_each_half_trains_alone_and_together(folder):
    for block in itertools.product((False, {}), repeat=2):
        options = {
            **SOON,
            "enhancers": {"rvrec": block[0], "shapley": {"warmup_epochs": 1} if block[1] == {} else False},
        }
        world = trained("BPR", folder, options=options)
        names = (
            [e.name for e in world.model.enhancers.enhancers()] if hasattr(world.model, "enhancers") else []
        )
        assert names == [n for n, b in zip(("rvrec", "shapley"), block, strict=True) if b == {}]


# ------------------------------------------------------------------ resuming, promises, explanations


@pytest.mark.parametrize("values", ["cross-fit", "both"])
def test_resuming_is_bit_exact(values, folder):
    """Two epochs, a checkpoint, and three more: in the same trainer, and in another process's stead."""
    options = {"epochs": 5, "stopping_step": 100}
    enhancer = Shapley(warmup_epochs=1, refresh=2, values=values, in_run_share=0.5)
    fit = {"verbose": False, "show_progress": False}
    whole = world_of("BPR", folder, enhancer, options=options)
    whole.trainer.epochs = 2
    whole.trainer.fit(whole.train, saved=True, **fit)
    streams = torch.get_rng_state(), np.random.get_state(), random.getstate()
    order = whole.train.generator.get_state()
    resumed = world_of("BPR", folder, enhancer, options=options)
    resumed.trainer.resume_checkpoint(whole.trainer.saved_model_file)
    shapley = resumed.model.enhancers["shapley"]
    assert shapley.interaction_weights() is not None
    assert torch.equal(shapley.weights, whole.model.enhancers["shapley"].weights)
    for world in (whole, resumed):
        world.train.generator.set_state(order)
        torch.set_rng_state(streams[0])
        np.random.set_state(streams[1])
        random.setstate(streams[2])
        world.trainer.epochs, world.trainer.start_epoch = 5, 2
        world.trainer.fit(world.train, saved=False, **fit)
    assert shapley._valuations == 2
    assert_equal_states(copied_state(whole.model), copied_state(resumed.model))


#: Starting two processes takes seconds: on one backbone only.
PROMISES = [
    check
    for check in check_enhancer(Shapley(warmup_epochs=0), backbones=["BPR", "LightGCN", "MultiVAE", "SASRec"])
    if check.name != "two processes" or check.subject.backbone.__name__ == "BPR"
]


@pytest.mark.parametrize("check", PROMISES, ids=repr)
def test_promises(check):
    assert check().status in ("passed", "not applicable")


def test_valuing_draws_no_graphs_of_the_backbones():
    """SGL draws new graphs whenever it is told to train."""
    (check,) = check_backbone("SGL", enhancers=[Shapley(warmup_epochs=0)], only=["same random stream"])
    assert check().status == "passed"


def test_saving_apart_from_the_graphs_weights_is_refused(folder, tmp_path):
    """Scores of a model with weighted edges need the weights, which belong to rows of one training split."""
    world = trained("LightGCN", folder, Shapley(warmup_epochs=1, propagate=True))
    with pytest.raises(UnsupportedError, match="weighs the edges"):
        save_pretrained(world.model, tmp_path / "saved", world.train._dataset)
    assert not (tmp_path / "saved").exists()


def test_explanations_sum_to_the_score(folder):
    world = trained("BPR", folder, Shapley(warmup_epochs=1))
    shapley = world.model.enhancers["shapley"]
    feat = world.train._dataset.inter_feat
    user = int(feat["user_id"].mode().values)
    history = feat["item_id"][feat["user_id"] == user].unique()
    item = next(i for i in range(1, world.dataset.item_num) if i not in history)
    reasons = shapley.explain(user, item)
    vectors = world.model.item_embedding.weight.detach()
    assert len(reasons) == len(history)
    assert sum(r.contribution for r in reasons) == pytest.approx(
        float(vectors[history].mean(0) @ vectors[item]), abs=1e-6
    )
    assert [r.contribution for r in reasons] == sorted((r.contribution for r in reasons), reverse=True)
    tokens = world.dataset.field2id_token["item_id"]
    assert {r.evidence["item"] for r in reasons} == {str(tokens[i]) for i in history}
    assert reasons[0].evidence["item"] in reasons[0].text


def test_contributions_are_shapley_values():
    generator = torch.Generator().manual_seed(5)
    vectors = torch.randn(5, 3, generator=generator, dtype=torch.double)
    target = torch.randn(3, generator=generator, dtype=torch.double)

    def value(members):
        return float(vectors[list(members)].mean(0) @ target) if members else 0.0

    orders = list(itertools.permutations(range(5)))
    expected = [
        sum(value(o[: o.index(k) + 1]) - value(o[: o.index(k)]) for o in orders) / len(orders)
        for k in range(5)
    ]
    assert contributions(vectors, target).tolist() == pytest.approx(expected, abs=1e-12)
    assert contributions(vectors[:1], target).tolist() == pytest.approx([float(vectors[0] @ target)])


def test_a_user_without_history_has_no_reasons(folder):
    world = world_of("BPR", folder, Shapley())
    assert world.model.enhancers["shapley"].explain(0, 1) is None


def test_options_are_checked():
    with pytest.raises(ConfigurationError, match="low"):
        Shapley(low=0.0)
    with pytest.raises(ConfigurationError, match="warmup_epochs"):
        Shapley(values="in-run", warmup_epochs=0)
    with pytest.raises(ConfigurationError, match="folds"):
        Shapley(folds=1)

"""Weights where a loss has no place for them, in the graph, and in RecBole's trainers."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import ideal
import numpy as np
import pytest
import torch
from recbole.model.general_recommender import BPR
from recbole.utils import init_seed
from torch import Tensor, nn

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.detach import detach
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import register
from burnish.enhancers.weights.interactions import ROW_FIELD
from burnish.enhancers.weights.loss import weighting_of
from burnish.enhancers.weights.rules import rule_for
from burnish.errors import ConfigurationError, UnsupportedError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("worlds")


def uneven(n: int) -> Tensor:
    values = torch.arange(n) % 4 + 0.25
    return values / values.mean()


class _Uneven(Enhancer[Any]):
    """Every fourth interaction counts much, and a parameter of its own has a loss."""

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.dataset = dataset
        self.values = uneven(len(dataset.inter_feat))
        self.own = nn.Parameter(torch.zeros(1))

    def interaction_weights(self) -> Tensor | None:
        return self.values

    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"own": (self.own - 1).square().expand(len(batch))}


@register
class ByLoss(_Uneven):
    name = "uneven_by_loss"


@register
class ByEither(_Uneven):
    name = "uneven_by_either"
    weighs_by = "loss or resampling"


@register
class ByDrawing(_Uneven):
    name = "uneven_by_drawing"
    weighs_by = "resampling"


@register
class InGraph(_Uneven):
    name = "uneven_in_graph"
    propagates = True


@register
class Misspelt(_Uneven):
    name = "uneven_misspelt"
    weighs_by = "sampling"


class NoRows(BPR):
    """A loss in which rows are mixed before anything could be weighted."""

    def calculate_loss(self, interaction: Any) -> Tensor:
        self.seen = [*getattr(self, "seen", []), interaction[ROW_FIELD]]
        user, item = self.forward(interaction["user_id"], interaction["item_id"])
        return (user.t() @ item).diagonal().mean().square()


class WithState(BPR):
    """A loss of its own, with everything that a second computation could disturb."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.norm = nn.BatchNorm1d(self.embedding_size)
        self.update, self.seen, self.history = 0, [], torch.zeros(3)

    def calculate_loss(self, interaction: Any) -> Tensor:
        self.update += 1
        self.history[self.update % 3] = torch.rand(())
        self.seen.append(self.update)
        user, item = self.forward(interaction["user_id"], interaction["item_id"])
        score = (self.norm(user) * item).sum(1)
        return torch.nn.functional.softplus(-score).mean()


@register
class Summing(Enhancer[Any]):
    """Changes nothing, by a detour over a reduction to one number."""

    name = "summing"

    def refines(self, table: Any) -> bool:
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        return rows + (rows.sum() - rows.sum().detach())

    def refines_output(self) -> bool:
        return self.anatomy.output is not None

    def refine_output(self, rows: Tensor, side: Any) -> Tensor:
        return rows + (rows.mean() - rows.mean().detach())

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.anatomy = anatomy


@pytest.mark.parametrize("name", ["ConvNCF", "SimpleX", "CDAE", "SGL", "LINE", "ENMF"])
def test_what_refines_is_not_weighted(name, folder, monkeypatch):
    """Reductions of an enhancer inside the loss are not the backbone's, and are not counted as such."""
    with ideal.doubles(monkeypatch):
        epochs = []
        for others in ((), (Summing(),)):
            world, given = ideal.weighed_world(name, folder, others)
            batch = ideal.first_rows(world)
            given.rows = ideal.WEIGHTS.repeat(len(batch) // ideal.ROWS)
            epochs.append(ideal.losses(world.model, batch)[0].detach())
        torch.testing.assert_close(*epochs)


# ---------------------------------------------------------------------- losses without a rule


def test_a_probe_leaves_no_trace(folder):
    world = build_world(enhance(WithState, ByLoss()), folder)
    model, batch = world.model.train(), world.batch()
    torch.manual_seed(9)
    loss = model.calculate_loss(batch)
    after = torch.rand(3)
    assert (model.update, model.seen, int(model.norm.num_batches_tracked)) == (1, [1], 1)

    plain = build_world(WithState, folder).model.train()
    torch.manual_seed(9)
    plain.calculate_loss(batch)
    assert torch.equal(after, torch.rand(3))
    assert torch.equal(plain.history, model.history)
    assert torch.equal(plain.norm.running_mean, model.norm.running_mean)

    model.train()
    score = (model.norm(model.user_embedding(batch["user_id"])) * model.item_embedding(batch["item_id"])).sum(
        1
    )
    weights = uneven(len(world.train._dataset.inter_feat))[batch[ROW_FIELD]]
    own = model.enhancers["uneven_by_loss"]
    wanted = (weights * torch.nn.functional.softplus(-score)).mean() + (own.own - 1).square().sum()
    torch.testing.assert_close(loss, wanted)


def test_a_loss_without_rows_is_refused(folder):
    world = build_world(enhance(NoRows, ByLoss()), folder)
    with pytest.raises(UnsupportedError, match="NoRows has no loss for single interactions"):
        world.trainer.fit(world.train, saved=False)


def test_resampling_stands_in_where_it_was_declared(folder):
    world = build_world(
        enhance(NoRows, ByEither()),
        folder,
        options={"epochs": 40, "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}},
    )
    collate = world.train.collate_fn
    with pytest.warns(
        UserWarning, match="NoRows has no loss for single interactions.*drawn with probability"
    ):
        world.trainer.fit(world.train, saved=False)
    model, n = world.model, len(world.train._dataset.inter_feat)
    steps = 40 * len(world.train)
    assert world.train.collate_fn == collate  # put back
    drawn = torch.cat(
        model.seen[-steps:]
    )  # the first batch, which found no place for weights, was seen once more
    counts = torch.bincount(drawn, minlength=n).double() / 40
    weights = uneven(n).double()
    by_class = torch.stack([counts[k::4].mean() for k in range(4)])
    torch.testing.assert_close(by_class, weights[:4], rtol=0.06, atol=0.02)
    assert model.enhancers.state.step == steps


def test_drawn_epochs_depend_on_the_seed_and_the_epoch(folder):
    def rows(seed: int) -> list[Tensor]:
        world = build_world(enhance("BPR", ByDrawing()), folder, options={"seed": seed})
        weigher = world.model.enhancers.weigher
        epochs = []
        for epoch in (0, 1, 0):
            with weigher.epoch(world.train, epoch):
                epochs.append(torch.sort(torch.cat([batch[ROW_FIELD] for batch in world.train]))[0])
        return epochs

    first, again = rows(1), rows(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], rows(2)[0])


def test_a_loader_of_users_draws_users(folder):
    world = build_world(enhance("MultiDAE", ByDrawing()), folder)
    weigher = world.model.enhancers.weigher
    weights = torch.zeros(weigher.interactions.count)
    chosen = weigher.interactions.users == weigher.interactions.users[0]
    weights[torch.as_tensor(chosen)] = 1.0
    world.model.enhancers["uneven_by_drawing"].values = weights / weights.mean()
    with weigher.epoch(world.train, 0):
        users = torch.cat([batch["user_id"] for batch in world.train])
    # Users without interactions (the padding) keep the weight 1.
    assert set(users.tolist()) <= {0, int(weigher.interactions.users[0])}
    assert len(users) == world.train.sample_size


def test_a_misspelt_way_is_an_error(folder):
    with pytest.raises(ConfigurationError, match="weighs_by = 'sampling' is none of 'loss'"):
        build_world(enhance("BPR", Misspelt()), folder)


# ---------------------------------------------------------------------- the graph


def dense(matrix: Tensor) -> np.ndarray:
    return matrix.to_dense().double().numpy()


GRAPHS = {
    "LightGCN": ["norm_adj_matrix"],
    "NGCF": ["norm_adj_matrix"],
    "NCL": ["norm_adj_mat"],
    "SGL": ["train_graph"],
    "SpectralCF": ["A_hat"],
    "GCMC": ["Graph"],
    "KGIN": ["interact_mat"],
    "MCCLK": ["inter_matrix", "inter_graph"],
}


def wanted_edges(name: str, counts: np.ndarray, original: np.ndarray) -> np.ndarray:
    """A matrix of the shape of `original` with the normalised weighted counts where its edges are, dense."""
    rows, columns = counts.sum(1, keepdims=True), counts.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        if name in ("KGIN", "MCCLK", "SpectralCF"):  # D^-1 A
            there, back = np.nan_to_num(counts / rows), np.nan_to_num(counts / columns).T
        else:
            there = np.nan_to_num(counts / np.sqrt(rows * columns))
            back = there.T
    wanted = np.zeros_like(original)
    shift = len(counts) if len(original) > len(counts) else 0
    wanted[: len(counts), shift : shift + counts.shape[1]] = there
    if shift:
        wanted[shift : shift + counts.shape[1], : len(counts)] = back
        wanted = np.where(wanted > 0, np.sign(original) * wanted, original * np.eye(len(wanted)))
    return wanted


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_edges_are_those_of_weighted_counts(name, folder):
    world = build_world(
        enhance(name, InGraph()), folder, options={"node_dropout_rate": 0.0, "mess_dropout_rate": 0.0}
    )
    model, data = world.model.eval(), world.train._dataset
    model.enhancers.release()
    before = {key: getattr(model, key) for key in GRAPHS[name]}
    kept = {key: dense(value) for key, value in before.items()}
    batch = world.batch()
    predict = model.predict if name == "GCMC" else model.full_sort_predict
    with torch.no_grad():
        plain = predict(batch)
    counts = np.zeros((model.n_users, model.n_items))
    weights = uneven(len(data.inter_feat)).double().numpy()
    counts[data.inter_feat["user_id"].numpy(), data.inter_feat["item_id"].numpy()] = weights

    model.begin_epoch(0)
    for key, original in kept.items():
        np.testing.assert_allclose(
            dense(getattr(model, key)), wanted_edges(name, counts, original), rtol=2e-5, atol=1e-7
        )
    with torch.no_grad():
        assert not torch.allclose(predict(batch), plain)

    copied = copy.deepcopy(model)
    copied.enhancers.release()
    assert all((dense(getattr(copied, key)) == kept[key]).all() for key in kept)
    model.enhancers.release()
    assert all(getattr(model, key) is before[key] for key in before)
    assert all((dense(before[key]) == kept[key]).all() for key in kept)
    with torch.no_grad():
        assert torch.equal(predict(batch), plain)


def test_weights_of_one_leave_the_graph_alone(folder):
    world = build_world(enhance("LightGCN", InGraph()), folder)
    world.model.enhancers.release()
    original = dense(world.model.norm_adj_matrix)
    world.model.enhancers["uneven_in_graph"].values = torch.ones(len(world.train._dataset.inter_feat))
    world.model.begin_epoch(0)
    np.testing.assert_array_equal(dense(world.model.norm_adj_matrix), original)


def test_a_loaded_model_propagates_as_the_saved_one(folder):
    world = build_world(enhance("LightGCN", InGraph()), folder)
    world.trainer.fit(world.train, world.valid)
    batch = world.batch()
    with torch.no_grad():
        wanted = world.model.eval().full_sort_predict(batch)
    again = build_world(enhance("LightGCN", InGraph()), folder)
    again.trainer.resume_checkpoint(world.trainer.saved_model_file)
    with torch.no_grad():
        assert torch.equal(again.model.eval().full_sort_predict(batch), wanted)


def test_detaching_puts_the_graph_back(folder):
    world, plain = build_world(enhance("LightGCN", InGraph()), folder), build_world("LightGCN", folder)
    assert not torch.equal(world.model.norm_adj_matrix.to_dense(), plain.model.norm_adj_matrix.to_dense())
    detach(world.model)
    assert torch.equal(world.model.norm_adj_matrix.to_dense(), plain.model.norm_adj_matrix.to_dense())


@pytest.mark.parametrize("name", ["BPR", "DGCF", "KGAT"])
def test_a_backbone_without_such_a_matrix_is_refused(name, folder):
    with pytest.raises(UnsupportedError, match=f"{name} keeps no normalised sparse matrix"):
        build_world(enhance(name, InGraph()), folder)


# ---------------------------------------------------------------------- RecBole's trainers


@pytest.mark.parametrize(
    "name", ["MKR", "RecVAE", "S3Rec", "RaCT", "KGAT", "KTUP", "CKE", "NCL", "BPR", "DIEN"]
)
def test_trainers_train_with_weights(name, folder):
    init_seed(3, True)
    options: dict[str, Any] = {"warm_up_step": 1, "epochs": 2}
    world = build_world(enhance(name, ByLoss()), folder, options=options)
    if name == "NCL":  # RecBole clusters with a package that need not be there
        world.model.__dict__["e_step"] = lambda: None
        world.model.__dict__["ProtoNCE_loss"] = lambda *args: torch.zeros(())
    own = world.model.enhancers["uneven_by_loss"].own
    before = {key: value.clone() for key, value in world.model.named_parameters()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        world.trainer.fit(world.train, world.valid, saved=False)
    assert float(own) > 0  # its own loss pulls it to 1
    assert any(
        not torch.equal(value, before[key])
        for key, value in world.model.named_parameters()
        if "own" not in key
    )
    assert world.model.enhancers.state.step > 0


def test_nothing_is_carried_where_nothing_weighs(folder):
    world = build_world(enhance("BPR", "rvrec"), folder)
    assert not world.model.enhancers.weigher
    assert ROW_FIELD not in world.train._dataset.inter_feat.interaction
    assert world.model.enhancers.weigher.interactions is None


@pytest.mark.parametrize("name", ["BPR", "SGL"])
def test_mixed_precision_weighs_too(name, folder):
    world = build_world(enhance(name, ByLoss()), folder)
    model, batch = world.model.eval(), world.batch()
    plain = build_world(name, folder).model.eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weighted = float(model.calculate_loss(batch)) - 1.0
    assert weighted == pytest.approx(float(model.calculate_loss(batch)) - 1.0, rel=2e-2)


def test_a_rule_holds_for_classes_that_keep_the_loss():
    class Renamed(BPR):
        pass

    assert rule_for(enhance(Renamed, ByLoss())) == weighting_of("BPR")
    assert rule_for(enhance("MKR", ByLoss())) == weighting_of("MKR")
    assert rule_for(enhance(WithState, ByLoss())) is None

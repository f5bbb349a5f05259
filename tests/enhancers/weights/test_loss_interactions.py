"""Weights of training interactions: brought along by loaders, and exact in losses over whole users."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ideal
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from burnish.enhancers.conformance.world import prepare_folder
from burnish.enhancers.weights.interactions import ROW_FIELD
from burnish.enhancers.weights.loss import RULES
from burnish.enhancers.weights.modules import WeightedModules
from burnish.errors import ConfigurationError, UnsupportedError

OF_USERS = {name for name, rule in RULES.items() if rule.cells != "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("worlds")


def weights_of(n: int, seed: int = 4) -> Tensor:
    values = torch.rand(n, generator=torch.Generator().manual_seed(seed)).double() + 0.1
    return values / values.mean()


@pytest.mark.parametrize("name", sorted(set(RULES) - OF_USERS))
def test_loaders_bring_the_weights_along(name, folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world(name, folder)
        table = given.dataset.inter_feat
        batch = world.batch()
        rows = batch[ROW_FIELD]
        assert torch.equal(table["user_id"][rows], batch["user_id"])
        positive = (
            batch["label"] > 0 if "label" in batch.interaction else torch.ones(len(batch), dtype=torch.bool)
        )
        assert torch.equal(table["item_id"][rows][positive], batch["item_id"][positive])
        batch = ideal.first_rows(world)
        given.all = weights_of(len(table))
        got = ideal.losses(world.model, batch)
        given.rows, given.all = given.all[batch[ROW_FIELD]], None
        assert ideal.losses(world.model, batch) == got
        given.rows = None
        assert ideal.losses(world.model, batch) != got
        assert ROW_FIELD not in world.valid._dataset.inter_feat.interaction
        assert ROW_FIELD not in given.dataset.field2type


def cells_of(given: Any, users: Tensor, n_items: int) -> Tensor:
    """The weight of each cell, by a loop over the training interactions."""
    cells = torch.ones(len(users), n_items)
    table = given.dataset.inter_feat
    for user, item, weight in zip(
        table["user_id"].tolist(), table["item_id"].tolist(), given.all, strict=True
    ):
        for row in (users == user).nonzero()[:, 0].tolist():
            cells[row, item] = weight
    return cells


def change(model: Any, users: Tensor, cells: Tensor, of_users: Tensor) -> Tensor:
    """What the cells' weights add to the loss of users that count `of_users`, by hand."""
    name = type(model).__name__
    if name == "ENMF":
        score, c = model.forward(users), model.negative_weight
        extra = cells.gather(1, model.history_item_matrix[users]) - 1
        return (of_users.unsqueeze(1) * extra * ((1 - c) * score.square() - 2 * score)).sum()
    ratings = model.get_rating_matrix(users)
    if name == "CDAE":
        terms = F.binary_cross_entropy_with_logits(model.forward(ratings, users), ratings, reduction="none")
        return (of_users.unsqueeze(1) * (cells - 1) * terms).sum()
    steps, chance = model.sample_timesteps(len(users), "cpu", "") if "DiffRec" in name else (None, None)
    if name == "DiffRec":
        terms = (ratings - model.mlp(ratings, steps)).square().mean(1, keepdim=True) * 0
        terms = terms + (ratings - model.mlp(ratings, steps)).square() / model.n_items
        snr = model.SNR(steps - 1) - model.SNR(steps) if model.reweight else torch.ones(len(users))
        return ((snr * of_users / chance).unsqueeze(1) * (cells - 1) * terms).sum() / len(users)
    if name == "LDiffRec":
        ratings, latent, _ = model.autoencoder.Encode(ratings)
        scores = model.autoencoder.Decode(model.mlp(latent, steps))
        order = getattr(model.autoencoder, "category_idx", None)
        cells = torch.cat([cells[:, index] for index in order], 1) if order else cells
    else:
        scores = model.forward(ratings, *([0] if name == "RecVAE" else []))
        scores = scores[0] if isinstance(scores, tuple) else scores
    return -(of_users.unsqueeze(1) * (cells - 1) * ratings * F.log_softmax(scores, 1)).sum() / len(users)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", sorted(OF_USERS))
def test_cells_of_users_losses(name, together, folder, monkeypatch):
    """Alone, and together with weights of whole users."""
    check_cells(name, folder, monkeypatch, ideal.WEIGHTS if together else torch.ones(ideal.ROWS))


def check_cells(name: str, folder: Path, monkeypatch: Any, of_users: Tensor, **options: Any) -> None:
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world(name, folder, **options)
        model, batch = world.model, ideal.first_rows(world)
        users = batch["user_id"]
        given.rows = None if bool((of_users == 1).all()) else of_users
        without = ideal.losses(model, batch)[0]
        given.all = weights_of(len(given.dataset.inter_feat))
        got = ideal.losses(model, batch)[0]
        wanted = without + change(model, users, cells_of(given, users, model.n_items), of_users)
        assert abs(float(got - without)) > 1e-6
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)
        one, other = ideal.gradients(model, got), ideal.gradients(model, wanted)
        for key, gradient in one.items():
            torch.testing.assert_close(gradient, other[key], rtol=1e-7, atol=1e-10)


def test_ldiffrec_with_items_in_categories(folder, monkeypatch):
    """It then compares items in the order of their categories, without the padding item."""

    def kmeans(X: Tensor, num_clusters: int, **_: Any) -> tuple[Tensor, None]:
        return torch.arange(len(X)) * 7 % 5 % num_clusters, None

    monkeypatch.setitem(sys.modules, "kmeans_pytorch", SimpleNamespace(kmeans=kmeans))
    prepare_folder(folder)
    np.save(folder / "conformance" / "item_emb.npy", np.random.default_rng(1).normal(size=(60, 4)))
    options = {"n_cate": 2, "in_dims": [12], "dims_dnn": [8]}
    check_cells("LDiffRec", folder, monkeypatch, torch.ones(ideal.ROWS), **options)


def test_both_kinds_of_weights_multiply(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BPR", folder)
        batch = ideal.first_rows(world)
        given.all, given.rows = weights_of(len(given.dataset.inter_feat)), ideal.WEIGHTS
        got = ideal.losses(world.model, batch)
        given.rows, given.all = ideal.WEIGHTS * given.all[batch[ROW_FIELD]], None
        assert ideal.losses(world.model, batch) == got


@pytest.mark.parametrize(
    "name", ["BPR", "SASRec", "MultiVAE", "GCMC", "CFKG", "BERT4Rec", "ENMF", "DeepFM", "LINE"]
)
def test_a_batch_of_one(name, folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world(name, folder)
        batch = ideal.taken(ideal.first_rows(world), [3])
        plain = ideal.losses(world.model, batch)[0]
        given.rows = torch.tensor([3.0])
        got = ideal.losses(world.model, batch)[0]
        if name == "CFKG":  # half of its rows are the graph's
            assert plain < got < 3 * plain
        else:
            torch.testing.assert_close(got, 3 * plain)


def test_modules_with_ignored_targets_and_class_weights():
    """Their mean divides by what counts; a weighted one does too."""
    torch.manual_seed(0)
    logits, target = torch.randn(6, 4).double(), torch.tensor([0, 3, 1, 1, 2, 0])
    weights, of_class = weights_of(6), torch.tensor([1.0, 2.0, 0.5, 3.0]).double()

    class Model(torch.nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.loss = torch.nn.CrossEntropyLoss(**options)

    for options in ({"ignore_index": 1}, {"weight": of_class}, {"reduction": "sum"}):
        model = Model(**options)
        with WeightedModules(model, "rows").applied(torch.ones(6)):
            torch.testing.assert_close(model.loss(logits, target), Model(**options).loss(logits, target))
        rows = torch.nn.CrossEntropyLoss(**{**options, "reduction": "none"})(logits, target)
        counts = (target != 1).double().sum() if "ignore_index" in options else of_class[target].sum()
        with WeightedModules(model, "rows").applied(weights):
            total = 1.0 if "reduction" in options else counts
            torch.testing.assert_close(model.loss(logits, target), (weights * rows).sum() / total)
        assert "forward" not in vars(model.loss)


def test_ract_counts_users_by_their_mean_where_no_item_has_a_term(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("RaCT", folder)
        model, batch = world.model, ideal.first_rows(world)
        model.train_stage = "critic_pretrain"
        given.all = weights_of(len(given.dataset.inter_feat))
        got = ideal.losses(model, batch)[0]
        owner = given.dataset.inter_feat["user_id"]
        given.rows = torch.stack([given.all[owner == user].mean() for user in batch["user_id"]])
        given.all = None
        torch.testing.assert_close(got, ideal.losses(model, batch)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: torch.ones(n - 1), r"shape \(\d+,\); it needs one weight for each of the \d+ training"),
        (lambda n: torch.ones(n) * 2, "mean 2; divide"),
        (
            lambda n: torch.cat([-torch.ones(1), torch.ones(n - 1) * (n + 1) / (n - 1)]),
            "negative or not finite",
        ),
        (lambda n: torch.full((n,), float("nan")), "not finite"),
    ],
)
def test_weights_are_checked(make, message, folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BPR", folder)
        given.all = make(len(given.dataset.inter_feat))
        with pytest.raises(ConfigurationError, match=message):
            world.model.calculate_loss(world.batch())


def test_a_batch_from_elsewhere_is_refused(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BPR", folder)
        given.all = weights_of(len(given.dataset.inter_feat))
        batch = world.batch()
        del batch.interaction[ROW_FIELD]
        with pytest.raises(UnsupportedError, match="take batches from the training loader"):
            world.model.calculate_loss(batch)


def test_weights_of_a_batch_have_its_length(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BPR", folder)
        given.rows = torch.ones(3)
        with pytest.raises(ConfigurationError, match="weigh gave shape"):
            world.model.calculate_loss(world.batch())


def test_values_are_read_at_each_batch(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BPR", folder)
        batch, n = ideal.first_rows(world), len(given.dataset.inter_feat)
        given.all = torch.ones(n)
        before = ideal.losses(world.model, batch)[0]
        given.all.copy_(weights_of(n))  # in place, as a schedule would
        assert ideal.losses(world.model, batch)[0] != before

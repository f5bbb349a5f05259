"""Weights on rows of a batch: the loss of every backbone equals its ideal weighted loss, gradients included."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import ideal
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from recbole.utils import init_seed

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.unchanged import unchanged
from burnish.enhancers.weights.loss import RULES, weighting_of
from burnish.enhancers.zoo import list_backbones
from burnish.errors import UnknownNameError

#: By hand below, as their rows have several terms or share the loss with others.
BY_HAND = {"BERT4Rec", "CFKG", "S3Rec"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("worlds")


def compare(model: Any, got: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-10)
    one, other = ideal.gradients(model, got), ideal.gradients(model, wanted)
    assert any(bool(g.abs().max() > 0) for g in other.values())
    for name, gradient in one.items():
        torch.testing.assert_close(
            gradient, other[name], rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


def check_rows(name: str, folder: Path, monkeypatch: Any, prepare: Any = None, **options: Any) -> None:
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world(name, folder, **options)
        model, batch = world.model, ideal.first_rows(world)
        if prepare:
            prepare(model)
        plain = ideal.losses(model, batch)
        wanted = torch.zeros(())
        for row, weight in enumerate(ideal.WEIGHTS):
            wanted = wanted + weight * ideal.losses(model, ideal.alone(model, batch, row))[0]
        wanted = wanted / (2 if name in ideal.SUMS else ideal.ROWS)
        given.rows = ideal.WEIGHTS.repeat(len(batch) // ideal.ROWS)
        got = ideal.losses(model, batch)
        assert abs(float(got[0] - plain[0])) > 1e-8  # the weights are not all 1, and it shows
        compare(model, got[0], wanted)
        for other, same in zip(got[1:], plain[1:], strict=True):  # graph, alignment, contrast
            torch.testing.assert_close(other, same)


@pytest.mark.parametrize("name", sorted(set(RULES) - BY_HAND))
def test_weighted_loss_is_ideal(name, folder, monkeypatch):
    check_rows(name, folder, monkeypatch)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "SASRec",
            {"loss_type": "BPR", "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1}},
        ),
        ("CDAE", {"loss_type": "MSE"}),
        ("MCCLK", {"loss_type": "BCE"}),
        ("LINE", {"order": 1}),
        ("SINE", {"loss_type": "NLL"}),
        ("SimpleX", {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 3}}),
        ("BPR", {"train_neg_sample_args": {"distribution": "uniform", "sample_num": 2}}),
    ],
)
def test_options_that_change_the_loss(name, options, folder, monkeypatch):
    check_rows(name, folder, monkeypatch, **options)


@pytest.mark.parametrize("seed_sends", [0.2, 0.9])
def test_line_on_both_ways_of_sampling(seed_sends, folder, monkeypatch):
    monkeypatch.setattr(
        "random.random", lambda: seed_sends
    )  # below a half it takes the sampled item, else a user
    check_rows("LINE", folder, monkeypatch)


def test_ract_in_its_last_stage(folder, monkeypatch):
    def finetune(model: Any) -> None:
        model.train_stage = "finetune"
        for parameter in model.critic_net.parameters():  # a critic that is not saturated
            parameter.data = parameter.data.abs() * 0.05

    check_rows("RaCT", folder, monkeypatch, finetune)


@pytest.mark.parametrize("loss_type", ["CE", "BPR"])
def test_bert4rec_has_several_rows_an_interaction(loss_type, folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("BERT4Rec", folder, loss_type=loss_type)
        model, batch = world.model, world.batch()
        masked = (batch[model.MASK_INDEX] > 0).sum(1)
        batch = ideal.taken(batch, masked.nonzero()[: ideal.ROWS, 0].tolist())
        n = (batch[model.MASK_INDEX] > 0).sum(1)
        assert len(set(n.tolist())) > 1
        parts = [ideal.losses(model, ideal.alone(model, batch, row))[0] for row in range(ideal.ROWS)]
        wanted = sum(w * k * part for w, k, part in zip(ideal.WEIGHTS, n, parts, strict=True)) / n.sum()
        given.rows = ideal.WEIGHTS
        compare(model, ideal.losses(model, batch)[0], wanted)


@pytest.mark.parametrize("kind", ["inner_product", "transe"])
def test_cfkg_leaves_the_graphs_triples_alone(kind, folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("CFKG", folder, loss_function=kind, margin=1.0)
        model, batch = world.model, ideal.first_rows(world)
        given.rows = ideal.WEIGHTS
        got = ideal.losses(model, batch)[0]
        user, pos, neg, relation = model._get_rec_embedding(
            batch["user_id"], batch["item_id"], batch["neg_item_id"]
        )
        head, tail, other, kind_of = model._get_kg_embedding(
            batch["head_id"], batch["tail_id"], batch["neg_tail_id"], batch["relation_id"]
        )

        def rows(anchor, near, far):
            if kind == "transe":
                return torch.relu(
                    torch.norm(anchor - near + 1e-6, dim=1) - torch.norm(anchor - far + 1e-6, dim=1) + 1
                )
            return F.softplus(-(anchor * near).sum(1)) + F.softplus((anchor * far).sum(1))

        wanted = (ideal.WEIGHTS * rows(user + relation, pos, neg)).sum() + rows(
            head + kind_of, tail, other
        ).sum()
        compare(model, got, wanted / (2 * ideal.ROWS))


def test_s3rec_in_pretraining(folder, monkeypatch):
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("S3Rec", folder)
        model, batch = world.model, ideal.first_rows(world)
        drawn = model.reconstruct_pretrain_data(batch[model.ITEM_SEQ], batch[model.ITEM_SEQ_LEN])
        chosen = list(range(ideal.ROWS))
        monkeypatch.setitem(
            model.__dict__, "reconstruct_pretrain_data", lambda *_: tuple(part[chosen] for part in drawn)
        )
        given.rows = ideal.WEIGHTS
        got = ideal.losses(model, batch)[0]
        given.rows, wanted = None, torch.zeros(())
        for row, weight in enumerate(ideal.WEIGHTS):
            chosen[:] = [row]
            wanted = wanted + weight * ideal.losses(model, ideal.taken(batch, [row]))[0]
        compare(model, got, wanted)


def test_s3rec_in_finetuning(folder, monkeypatch):
    def finetune(model: Any) -> None:
        model.train_stage, model.loss_type, model.loss_fct = "finetune", "CE", torch.nn.CrossEntropyLoss()

    monkeypatch.setattr(ideal, "SUMS", ideal.SUMS - {"S3Rec"})
    check_rows("S3Rec", folder, monkeypatch, finetune)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGL", {"ssl_weight": 0.3}),
        ("NCL", {"ssl_reg": 0.1}),
        ("KGNNLS", {"ls_weight": 0.5}),
        ("MCCLK", {"beta": 0.3}),
        ("RepeatNet", {"joint_train": True}),
        ("RippleNet", {"kg_weight": 0.1}),
        ("FEARec", {"contrast": "us", "sim": "dot", "tau": 1.0, "lmd": 0.1, "lmd_sem": 0.1}),
        ("KTUP", {"align_weight": 0.5}),
        ("DIEN", {"alpha": 0.5}),
        ("MKR", {"reg_weight": 0.1}),
        ("KGIN", {"sim_regularity": 0.1}),
    ],
)
def test_auxiliary_terms_stay_plain(name, options, folder, monkeypatch):
    """Weighting changes the loss by as much with an auxiliary term as without it."""
    changes = []
    for auxiliary in (options, {"joint_train": False, **ideal.OPTIONS.get(name, {})}):
        with ideal.doubles(monkeypatch):
            world, given = ideal.weighed_world(name, folder, **auxiliary)
            batch = ideal.first_rows(world)
            plain = sum(ideal.losses(world.model, batch))
            given.rows = ideal.WEIGHTS
            changes.append((float(sum(ideal.losses(world.model, batch)) - plain), float(plain)))
    (with_term, one), (without, other) = changes
    assert one != other  # the term is there
    assert with_term == pytest.approx(without, rel=1e-9)


def test_kd_dagfm_in_distillation(folder, monkeypatch):
    """The term that imitates the teacher stays plain."""
    with ideal.doubles(monkeypatch):
        world, given = ideal.weighed_world("KD_DAGFM", folder)
        model, batch = world.model, ideal.first_rows(world)
        model.phase, changes = "distillation", []
        model.train()  # the teacher runs in training only
        for beta in (0.0, 0.7):
            model.alpha, model.beta, given.rows = 1.0, beta, None
            plain = ideal.losses(model, batch)[0]
            given.rows = ideal.WEIGHTS
            changes.append((float(plain), float(ideal.losses(model, batch)[0] - plain)))
        assert changes[0][0] != changes[1][0]
        assert changes[0][1] == pytest.approx(changes[1][1], rel=1e-9) != 0.0


@pytest.mark.parametrize("name", sorted(RULES))
def test_weights_of_one_change_nothing_in_training(name, folder):
    """Neither the loss nor the random numbers drawn, with dropout and sampling at work."""
    world = build_world(enhance(name, ideal.Given()), folder)
    model, batch, given = world.model.train(), world.batch(), world.model.enhancers["given_weights"]
    if name == "NCL":
        model.__dict__["ProtoNCE_loss"] = lambda *args: torch.zeros(())
    results = []
    for rows in (None, torch.ones(len(batch))):
        given.rows = rows
        with unchanged(model):
            init_seed(5, True)
            total = sum(part.sum() for part in ideal.losses(model, batch))
            results.append((total.detach(), torch.rand(1), random.random(), np.random.rand()))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    assert results[0][1:] == results[1][1:]


def test_every_rule_is_of_a_backbone():
    assert set(RULES) <= set(list_backbones())
    assert len(RULES) == 84
    assert weighting_of("BPR").route == "modules"
    with pytest.raises(UnknownNameError, match="Did you mean 'SASRec'"):
        weighting_of("SASrec")

"""Noise enters training only; a part of it is trained on as if it were all; the study finds what it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.benchmarks.valuation.detection_study import detection_study, stability_study, summary
from burnish.benchmarks.valuation.experiment import evaluate, make_experiment, scorer_of, train
from burnish.benchmarks.valuation.judges import Judge, find_judges, train_backbone
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import prepare_folder
from burnish.errors import DataError, UnknownNameError


@pytest.fixture
def options(tmp_path):
    prepare_folder(tmp_path)
    return {**preset("BPR"), "data_path": str(tmp_path)}


def test_noise_is_in_the_training_split_only(options):
    clean, noisy = (
        make_experiment("BPR", NAME, options),
        make_experiment("BPR", NAME, options, kind="uniform", share=0.2),
    )
    n = len(clean.users)
    assert not clean.is_noise.any()
    assert noisy.is_noise.sum() == round(0.2 * n)
    features = noisy.training.inter_feat
    np.testing.assert_array_equal(features["user_id"], noisy.users)
    np.testing.assert_array_equal(features["item_id"], noisy.items)
    for before, after in zip(clean.rest[1:], noisy.rest[1:], strict=True):
        for field in before.inter_feat.interaction:
            assert torch.equal(before.inter_feat[field], after.inter_feat[field])
    pairs = set(zip(noisy.users[noisy.is_noise], noisy.items[noisy.is_noise], strict=True))
    for part in clean.rest[1:]:
        held = zip(part.inter_feat["user_id"].tolist(), part.inter_feat["item_id"].tolist(), strict=True)
        assert not pairs & set(held)


def test_training_on_a_part_never_sees_the_rest(options):
    experiment = make_experiment("BPR", NAME, options)
    rows = np.flatnonzero(experiment.users % 2 == 0)
    start = train(experiment, rows, epochs=0, seed=1).user_embedding.weight.detach().clone()
    end = train(experiment, rows, epochs=2, seed=1).user_embedding.weight.detach()
    moved = (start != end).any(1).nonzero()[:, 0].tolist()
    assert set(moved) == set(experiment.users[rows].tolist())
    with pytest.raises(DataError, match="no interactions left"):
        train(experiment, np.empty(0, np.int64), epochs=1, seed=1)


def test_scores_and_metrics(options):
    experiment = make_experiment("BPR", NAME, options)
    model = train(experiment, epochs=1, seed=0)
    users, items = torch.tensor([1, 2, 3]), torch.tensor([3, 2, 1])
    want = (model.user_embedding.weight[users] * model.item_embedding.weight[items]).sum(1)
    torch.testing.assert_close(scorer_of(experiment, model, batch=2)(users, items), want.detach())
    found = evaluate(experiment, model, experiment.test)
    assert all(0.0 <= value <= 1.0 for value in found.values())


def test_a_study_sees_an_oracle(options):
    marks = {}
    oracle = Judge("oracle", "", lambda trained: -torch.as_tensor(trained.experiment.is_noise).float(), False)
    judges = [*find_judges(["random", "loss_course", "joint", "gradient_norm", "one_slice"]), oracle]
    results = detection_study(
        judges,
        model="BPR",
        dataset=NAME,
        options=options,
        kinds=("uniform", "popular"),
        share=0.2,
        seeds=(0, 1),
        epochs=2,
        report=lambda text: marks.setdefault(text, text),
    )
    assert len(results) == 2 * 2 * len(judges)
    assert len(marks) == 4
    rows = {(row["judge"], row["kind"]): row for row in summary(results)}
    assert rows["oracle", "uniform"]["auc"] == 1.0
    assert rows["oracle", "popular"]["average_precision"] == 1.0
    assert rows["oracle", "popular"]["auc_spread"] == 0.0
    assert 0.2 < rows["random", "uniform"]["auc"] < 0.8


def test_stability_of_a_constant_order(options):
    fixed = Judge("rows", "", lambda trained: torch.arange(len(trained.users)).float(), False)
    found = stability_study(
        [fixed, *find_judges(["random"])],
        model="BPR",
        dataset=NAME,
        options=options,
        seeds=(0, 1, 2),
        epochs=1,
    )
    assert found["rows"] == pytest.approx(1.0)
    assert abs(found["random"]) < 0.5


def test_out_of_sample_and_graphs(options, tmp_path):
    experiment = make_experiment(
        "LightGCN", NAME, {**preset("LightGCN"), "data_path": str(tmp_path)}, kind="uniform"
    )
    trained = train_backbone(experiment, epochs=1, seed=0)
    assert trained.item_vectors.shape[0] == experiment.n_items
    assert torch.isfinite(trained.course.losses()).all()
    (judge,) = find_judges(["out_of_sample"])
    assert judge.compute(trained).shape == trained.users.shape
    with pytest.raises(UnknownNameError, match="joint"):
        find_judges(["jiont"])

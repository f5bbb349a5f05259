"""Values of a trained model's training interactions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.shapley.cross_fit import cross_fitted
from burnish.enhancers.shapley.objectives import standardised
from burnish.enhancers.shapley.ranking import ranking_values
from burnish.enhancers.shapley.regression import regression_values
from burnish.enhancers.wasserstein.rvrec import RVRec
from burnish.errors import ConfigurationError, NonFiniteError, UnknownNameError, UnsupportedError
from burnish.trained.finished_shards import FinishedShards, shards_folder
from burnish.trained.value import Valuer, value
from burnish.trained.value_objectives import OBJECTIVES
from burnish.trained.valued_interactions import ModelScorer, valued_interactions
from burnish.training.trained_model import TrainedModel


def open_world(model: Any, folder: Path) -> TrainedModel:
    world = build_world(model, folder)
    return TrainedModel(world.config, world.dataset, world.train, world.valid, world.test, world.model)


@pytest.fixture(scope="module")
def bpr(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return open_world("BPR", tmp_path_factory.mktemp("bpr"))


def plain_similarity(source: TrainedModel) -> np.ndarray:
    """The cosine of each item to the sum of the directions of the user's others, one by one."""
    table = source.model.item_embedding.weight.detach().double().numpy()
    directions = table / np.linalg.norm(table, axis=1, keepdims=True).clip(1e-12)
    users = source.splits.training.inter_feat["user_id"].numpy()
    items = source.splits.training.inter_feat["item_id"].numpy()
    cosines = []
    for row, (user, item) in enumerate(zip(users, items, strict=True)):
        others = [place for place in np.flatnonzero(users == user) if place != row]
        profile = directions[items[others]].sum(axis=0)
        size = np.linalg.norm(profile)
        cosines.append(directions[item] @ profile / size if others and size else 0.0)
    return np.array(cosines)


def test_against_the_plain_formula_with_original_ids(bpr: TrainedModel) -> None:
    valuation = value(bpr, "similarity")
    np.testing.assert_allclose(valuation.values[:, 0].numpy(), plain_similarity(bpr), atol=1e-5)
    assert torch.equal(valuation.standard_error, torch.zeros_like(valuation.values))
    assert valuation.converged
    assert valuation.evaluations == 0
    frame = valuation.players
    assert frame is not None
    assert frame["row"].tolist() == list(range(len(bpr.splits.training.inter_feat)))
    for name, field in (("user", "user_id"), ("item", "item_id")):
        assert frame[name].tolist() == bpr.tokens(field, bpr.splits.training.inter_feat[field].numpy())


def test_profile_is_the_mean_of_cross_fits(bpr: TrainedModel) -> None:
    valuation = value(bpr, "profile", repeats=400)
    users = bpr.splits.training.inter_feat["user_id"] - 1
    items = bpr.splits.training.inter_feat["item_id"] - 1
    vectors = bpr.model.item_embedding.weight.detach()[1:]
    reference = cross_fitted(users, items, vectors, seed=99, repeats=2000).double()
    apart = (valuation.values[:, 0] - reference).abs()
    errors = valuation.standard_error[:, 0] * (1 + 400 / 2000) ** 0.5
    free = errors > 1e-9
    assert free.float().mean() > 0.9
    covered = (apart <= 2 * errors + 1e-7)[free].float().mean()
    assert 0.9 < covered <= 1  # 95% for independent normal errors
    assert bool((apart <= 6 * errors + 1e-6).all())


def test_dimensions_add_up_to_the_profile(bpr: TrainedModel) -> None:
    valuation = value(bpr, "profile,dimensions", repeats=2)
    width = bpr.model.item_embedding.weight.shape[1]
    assert valuation.outputs == ("profile", *(f"dimensions.{k}" for k in range(width)))
    torch.testing.assert_close(
        valuation.values[:, 1:].sum(dim=1), valuation.values[:, 0], rtol=1e-4, atol=1e-6
    )


def test_joint_is_made_of_three_games(bpr: TrainedModel) -> None:
    names = ("profile", "profile_beyond_popularity", "regression", "joint")
    valuation = value(bpr, names, repeats=1)
    users, items = (bpr.splits.training.inter_feat[name] - 1 for name in ("user_id", "item_id"))
    vectors = bpr.model.item_embedding.weight.detach()[1:]
    torch.testing.assert_close(
        valuation.values[:, 2], regression_values(users, items, len(vectors)).double(), rtol=0, atol=0
    )
    parted = Valuer(bpr, "regression", shard=30).run()
    assert torch.equal(parted.values[:, 0], valuation.values[:, 2])  # of all users, whatever the shards
    weights = [1.0, 1.0, 2.0]
    parts = [weight * standardised(valuation.values[:, k], users) for k, weight in enumerate(weights)]
    torch.testing.assert_close(valuation.values[:, 3], sum(parts), rtol=1e-3, atol=1e-3)
    # Less the interactions' mean direction, what all interactions share is worth about nothing on average.
    assert abs(valuation.values[:, 1].mean()) < abs(valuation.values[:, 0].mean())


def test_ranking_is_of_popularity_among_all_users(bpr: TrainedModel) -> None:
    """Folds of one interaction each leave nothing to chance, so that shards have the values of the whole."""
    users, items = (bpr.splits.training.inter_feat[name] - 1 for name in ("user_id", "item_id"))
    vectors = bpr.model.item_embedding.weight.detach()[1:]
    expected = ranking_values(users, items, vectors, folds=1000).double()
    whole = Valuer(bpr, "ranking", folds=1000, repeats=1)
    parted = Valuer(bpr, "ranking", folds=1000, repeats=1, shard=40)
    assert (whole.n_shards, parted.n_shards > 4) == (1, True)
    for valuer in (whole, parted):
        torch.testing.assert_close(valuer.run().values[:, 0], expected, rtol=1e-4, atol=1e-6)
    profile = value(bpr, "profile", folds=1000, repeats=1).values[:, 0]
    assert not torch.allclose(profile, expected, rtol=1e-2)


def test_more_repeats_smaller_errors(bpr: TrainedModel) -> None:
    few, many = (value(bpr, "profile", repeats=repeats).standard_error for repeats in (4, 64))
    assert many.mean() < 0.4 * few.mean()
    single = value(bpr, "profile,similarity", repeats=1)
    assert torch.isnan(single.standard_error[:, 0]).all()
    assert (single.standard_error[:, 1] == 0).all()
    assert not single.converged


def test_combined_is_the_standardised_sum(bpr: TrainedModel) -> None:
    valuation = value(bpr, ["similarity", "fit"], combine=True, repeats=1)
    users = bpr.splits.training.inter_feat["user_id"].numpy()
    expected = np.zeros(len(users))
    for column in valuation.values[:, :2].numpy().T:
        for user in np.unique(users):
            mine = column[users == user]
            expected[users == user] += (mine - mine.mean()) / (mine.std() or 1.0)
    np.testing.assert_allclose(valuation.values[:, 2].numpy(), expected, atol=1e-5)


def test_the_seed_decides(bpr: TrainedModel) -> None:
    first, again, other = (value(bpr, "profile,fit", seed=seed).values for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_global_random_numbers_are_left_alone(bpr: TrainedModel) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    value(bpr, "profile,fit,standing", repeats=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_and_test_data_change_nothing(tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path)
    before = value(source, "profile,fit,standing,similarity", repeats=2).values
    for part in source.splits[1:]:
        feat = part.inter_feat
        feat.interaction["item_id"] = feat.interaction["item_id"].flip(0)
    assert torch.equal(value(source, "profile,fit,standing,similarity", repeats=2).values, before)
    feat = source.splits.training.inter_feat
    feat.interaction["item_id"] = feat.interaction["item_id"].flip(0)
    assert not torch.equal(value(source, "profile,similarity", repeats=2).values[:, 0], before[:, 0])


def test_finished_shards_are_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = shards_folder(tmp_path / "values.parquet")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"values\.parquet\.parts is a link.*remove it"):
        FinishedShards(folder, "")
    FinishedShards(None, "")


def test_shards(bpr: TrainedModel, tmp_path: Path) -> None:
    whole = Valuer(bpr, "similarity,standing", repeats=2)
    parted = Valuer(bpr, "similarity,standing", repeats=2, shard=40)
    assert whole.n_shards == 1
    assert parted.n_shards > 4
    torch.testing.assert_close(parted.run().values, whole.run().values, rtol=1e-5, atol=1e-6)
    users = bpr.splits.training.inter_feat["user_id"].numpy()
    seen: set[int] = set()
    for number in range(parted.n_shards):
        mine = set(users[parted._rows(number).numpy()])
        assert not mine & seen  # a user is in one shard
        seen |= mine
    assert Valuer(bpr, "similarity", shard=1).n_shards == len(seen)


class PowerCut(KeyboardInterrupt):
    """Ctrl-C at a place of our choice."""


def test_interrupted_and_gone_on_with(bpr: TrainedModel, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    settings = {"objectives": "profile,fit", "repeats": 3, "shard": 60}
    whole = Valuer(bpr, **settings).run()  # type: ignore[arg-type]

    def cut(done: int, total: int, kept: bool) -> None:
        if done == 3:
            raise PowerCut

    with pytest.raises(PowerCut):
        Valuer(bpr, **settings).run(folder, cut)  # type: ignore[arg-type]
    assert len(list(folder.iterdir())) == 3
    (folder / "000001.safetensors").write_bytes(b"damaged")
    news: list[bool] = []
    again = Valuer(bpr, **settings).run(folder, lambda done, total, kept: news.append(kept))  # type: ignore[arg-type]
    assert news[:4] == [True, False, True, False]
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.standard_error, whole.standard_error)


@pytest.mark.parametrize("change", ["seed", "weights", "data"])
def test_shards_of_something_else_are_not_taken(change: str, tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path / "world")
    Valuer(source, "profile").run(tmp_path / "parts")
    if change == "weights":
        source.model.user_embedding.weight.data[1] += 1
    if change == "data":
        source.splits.training.inter_feat.interaction["item_id"][0] = 7 + int(
            source.splits.training.inter_feat["item_id"][0] == 7
        )
    news: list[bool] = []
    valuer = Valuer(source, "profile", seed=int(change == "seed"))
    valuer.run(tmp_path / "parts", lambda done, total, kept: news.append(kept))
    assert not any(news)


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "NeuMF", "MultiVAE", "DeepFM", "CKE", "SASRec", "GCMC"])
def test_families(model: str, tmp_path: Path) -> None:
    source = open_world(model, tmp_path)
    names = "profile,similarity" if source.sequential else "profile,similarity,fit,standing"
    valuation = value(source, names, repeats=2)
    assert valuation.n_players == len(valued_interactions(source).rows)
    assert (valuation.values.std(dim=0) > 0).all()


def test_scores_are_the_models_own(tmp_path: Path) -> None:
    for model in ("LightGCN", "NeuMF", enhance("BPR", RVRec())):
        source = open_world(model, tmp_path / str(model)[-12:].strip("<>'"))
        scorer = valued_interactions(source).scorer
        assert scorer is not None
        rows = source.splits.training.inter_feat[:30]
        with torch.no_grad():
            expected = source.model.eval().predict(source.dataset.join(rows)).reshape(-1)
        scores = scorer(rows["user_id"] - 1, rows["item_id"] - 1)
        if model == "NeuMF":
            assert isinstance(scorer, ModelScorer)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_refined_vectors_are_valued(tmp_path: Path) -> None:
    source = open_world(enhance("BPR", RVRec()), tmp_path)
    with torch.no_grad():  # as if trained: at the start the refinement is the identity
        for parameter in source.model.enhancers.parameters():
            parameter += 0.3
    stored: Tensor = source.model.item_embedding._parameters["weight"].detach()[1:]
    assert not torch.allclose(valued_interactions(source).vectors, stored)


def test_negative_interactions_are_left_out(tmp_path: Path) -> None:
    source = open_world("DeepFM", tmp_path)
    label = source.config["LABEL_FIELD"]
    assert label in source.splits.training.inter_feat
    positive = np.flatnonzero(source.splits.training.inter_feat[label].numpy() > 0)
    assert 0 < len(positive) < len(source.splits.training.inter_feat)
    frame = value(source, "similarity").players
    assert frame is not None
    assert frame["row"].tolist() == positive.tolist()


def test_a_user_with_one_interaction_and_a_repeated_one(tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path)
    users = source.splits.training.inter_feat.interaction["user_id"]
    items = source.splits.training.inter_feat.interaction["item_id"]
    lonely, *others = (users == 1).nonzero().flatten().tolist()
    users[others] = 2
    first, second = (users == 3).nonzero().flatten().tolist()[:2]
    items[second] = items[first]
    valuation = value(source, "profile,similarity", repeats=300, combine=True)
    assert valuation.values[lonely].tolist() == [0.0, 0.0, 0.0]
    assert valuation.standard_error[lonely, :2].tolist() == [0.0, 0.0]
    assert valuation.values[first, 1] == pytest.approx(float(valuation.values[second, 1]), rel=1e-5)
    apart = float((valuation.values[first, 0] - valuation.values[second, 0]).abs())
    assert apart < 5 * float(valuation.standard_error[[first, second], 0].norm())
    assert bool(torch.isfinite(valuation.standard_error).all())


def test_a_model_whose_items_are_all_alike(tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path)
    source.model.item_embedding.weight.data[:] = 0.5
    valuation = value(source, "profile,standing,fit", repeats=2, combine=True)
    torch.testing.assert_close(
        valuation.values[:, 0], torch.zeros(valuation.n_players).double(), atol=1e-6, rtol=0
    )
    assert bool(torch.isfinite(valuation.values).all())


def test_a_model_whose_training_went_wrong(tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path)
    source.model.item_embedding.weight.data[3] = torch.nan
    with pytest.raises(NonFiniteError):
        value(source)


def test_options_that_no_objective_reads_are_told(bpr: TrainedModel) -> None:
    with pytest.warns(UserWarning, match="no effect") as told:
        value(bpr, "regression,fit", folds=3, repeats=2, table="item_embedding.weight")
    words = [str(one.message) for one in told if "no effect" in str(one.message)]
    assert words == [
        f"{option} has no effect on the objectives regression, fit"
        for option in ("folds = 3", "table = 'item_embedding.weight'")
    ]
    with pytest.warns(UserWarning, match="repeats = 2 has no effect on the objective similarity"):
        value(bpr, "similarity", repeats=2)
    for name in OBJECTIVES:  # what is not said to be read changes nothing
        if name in ("edges", "attributes"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain, other = (value(bpr, name, folds=folds, repeats=1).values for folds in (5, 2))
        assert torch.equal(plain, other) == ("folds" not in OBJECTIVES[name].reads), name


def test_bad_input(bpr: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'profile'"):
        value(bpr, "profil")
    with pytest.raises(ConfigurationError, match="none is named"):
        value(bpr, " , ")
    with pytest.raises(ConfigurationError, match="repeats = 0"):
        value(bpr, repeats=0)
    with pytest.raises(ConfigurationError, match="folds = 1"):
        value(bpr, folds=1)
    with pytest.raises(ConfigurationError, match="one objective only"):
        value(bpr, combine=True)
    with pytest.raises(UnknownNameError, match=r"item_embedding\.weight"):
        value(bpr, table="items")
    sequential = open_world("GRU4Rec", tmp_path / "gru")
    with pytest.raises(
        UnsupportedError,
        match="can be judged by profile, dimensions, axes, prototypes, attributes, profile_beyond_popularity",
    ):
        value(sequential, "fit")
    with pytest.raises(UnsupportedError, match="no item embeddings"):
        value(open_world("EASE", tmp_path / "ease"))

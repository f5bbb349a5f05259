"""Values in parts that mean something, of a trained model: axes, prototypes, attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.shapley.meanings import AXES, GROUPS
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, UnknownNameError, UnsupportedError
from burnish.trained.value import Valuer, value
from burnish.trained.value_picture import plot
from burnish.training.trained_model import TrainedModel

from ...support.guided_world import write_world

ALL = "profile,axes,prototypes,attributes"


def open_world(model: Any, folder: Path) -> TrainedModel:
    world = build_world(model, folder, options={"embedding_size": 16})
    return TrainedModel(world.config, world.dataset, world.train, world.valid, world.test, world.model)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def scores(folder: Path) -> str:
    return str(write_world(folder))


@pytest.fixture(scope="module")
def guided(folder: Path, scores: str) -> TrainedModel:
    return open_world(enhance("BPR", Guided(scores=scores)), folder)


def test_parts_add_up_and_are_named(guided: TrainedModel) -> None:
    valuation = value(guided, ALL, repeats=2)
    axes = [*(f"axes.{k}" for k in range(1, AXES + 1)), "axes.rest"]
    groups = [f"prototypes.{k}" for k in range(1, GROUPS + 1)]
    assert valuation.outputs == ("profile", *axes, *groups, "attributes.pace", "attributes.wit")
    for names in (axes, groups):
        parts = torch.stack([valuation.column(name) for name in names], dim=1)
        torch.testing.assert_close(parts.sum(dim=1), valuation.column("profile"), rtol=1e-4, atol=1e-6)
        assert (parts.std(dim=0) > 0).all()
    assert set(valuation.meanings) == {*axes, *groups}
    assert valuation.meanings["axes.rest"] == "the other 6 axes"
    for words in (
        valuation.meanings["axes.1"].replace(" against ", ", "),
        valuation.meanings["prototypes.1"][11:],
    ):
        named = words.split(", ")
        assert 3 <= len(named) <= 6
        assert set(named) <= set(valuation.players["title"])  # type: ignore[index]
    assert valuation.label("prototypes.2") == f"prototypes.2 ({valuation.meanings['prototypes.2']})"
    assert valuation.label("attributes.wit") == "attributes.wit"
    assert (valuation.standard_error > 0).double().mean() > 0.8


def test_attributes_are_a_game_of_the_items_scores(guided: TrainedModel, scores: str, folder: Path) -> None:
    """Attribute by attribute, of plain numbers; by the run's own scores and by the file of a run without."""
    own = value(guided, "attributes", folds=99, repeats=1)
    plain = value(open_world("BPR", folder), "attributes", folds=99, repeats=1, scores=scores)
    torch.testing.assert_close(own.values, plain.values, rtol=0, atol=1e-6)
    feat = guided.splits.training.inter_feat
    users, items = feat["user_id"].numpy(), feat["item_id"].numpy()
    lines = [line.split("\t") for line in Path(scores).read_text(encoding="utf-8").splitlines()[1:]]
    by_token = {line[0]: [float(cell) for cell in line[1:]] for line in lines}
    table = np.array([by_token[token] for token in guided.tokens("item_id", np.arange(1, 61))])
    table = (table - table.mean(0)) / table.std(0)
    centre = table[np.unique(items) - 1].mean(0)
    for row in (0, 5, 17):
        mine = np.flatnonzero(users == users[row])
        mine, n = mine[mine != row], len(mine)
        harmonic = sum(1 / k for k in range(1, n))
        total = np.zeros(2)
        for judge in mine:  # the closed form of a mean's value, n - 1 players
            others = table[[items[other] - 1 for other in mine if other != judge]].mean(axis=0)
            x = table[items[row] - 1]
            worth = (x + (harmonic - 1) * (x - others)) / (n - 1)
            total += (table[items[judge] - 1] - centre) * worth
        np.testing.assert_allclose(own.values[row], total / len(mine), atol=1e-5)


def test_a_run_without_scores_is_told_the_cure(folder: Path, scores: str) -> None:
    with pytest.raises(UnsupportedError, match=r"this one of BPR has not; give scores .*--enhancers guided"):
        value(open_world("BPR", folder), "attributes")
    control = open_world(enhance("BPR", Guided(scores=scores, control="permuted")), folder)
    with pytest.raises(UnsupportedError, match=r"control: permuted.*mean nothing; give scores"):
        value(control, "attributes")
    with pytest.warns(UserWarning, match="no effect without the objective attributes"):
        Valuer(control, "profile", scores=scores)


def test_groups_are_the_same_for_every_seed_and_shard(guided: TrainedModel, tmp_path: Path) -> None:
    """What all users have in common is of all training rows; parts of the work agree with the whole."""
    once = {"folds": 99, "repeats": 1}  # nothing is drawn
    first = Valuer(guided, ALL, seed=1, **once).run()
    other = Valuer(guided, ALL, seed=2, shard=60, **once)
    assert other.n_shards > 3
    torch.testing.assert_close(first.values, other.run().values, rtol=1e-4, atol=1e-6)
    assert first.meanings == other.run().meanings
    settings = {"repeats": 2, "shard": 60, "combine": True}
    whole = Valuer(guided, ALL, **settings).run()
    for part in (1, 0):
        Valuer(guided, ALL, **settings).run_share(tmp_path, (part, 2))
    news: list[bool] = []
    found = Valuer(guided, ALL, **settings).run(tmp_path, lambda done, total, kept: news.append(kept))
    assert all(news)
    assert torch.equal(found.values, whole.values)
    assert torch.equal(found.standard_error, whole.standard_error)


def test_shards_of_other_groups_or_scores_are_not_taken(folder: Path, scores: str, tmp_path: Path) -> None:
    source = open_world("BPR", folder)
    changed = tmp_path / "scores.tsv"
    lines = Path(scores).read_text(encoding="utf-8").splitlines()
    changed.write_text("\n".join([lines[0], "i1\t9\t9", *lines[2:]]) + "\n", encoding="utf-8")
    prints = {Valuer(source, "attributes", scores=str(one)).fingerprint() for one in (scores, changed)}
    assert len(prints) == 2
    valuer = Valuer(source, "prototypes")
    before = valuer.fingerprint()
    labels = valuer.interactions.groups().labels
    labels[0] = (labels[0] + 1) % GROUPS
    assert valuer.fingerprint() != before


def test_validation_and_test_data_change_nothing(folder: Path, scores: str) -> None:
    source = open_world(enhance("BPR", Guided(scores=scores)), folder)
    before = value(source, ALL, repeats=2)
    for part in source.splits[1:]:
        feat = part.inter_feat
        feat.interaction["item_id"] = feat.interaction["item_id"].flip(0)
    after = value(source, ALL, repeats=2)
    assert torch.equal(after.values, before.values)
    assert after.meanings == before.meanings


def test_global_random_numbers_are_left_alone(guided: TrainedModel) -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    value(guided, "axes,prototypes", repeats=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numbers).all()  # type: ignore[index]


def test_what_is_worth_most(guided: TrainedModel, tmp_path: Path) -> None:
    valuation = value(guided, ALL, repeats=2)
    table = valuation.by_part("prototypes")
    assert table["mean"].is_monotonic_decreasing
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["largest"].sum() == pytest.approx(1.0)
    first = table.iloc[0]
    column = valuation.column(f"prototypes.{first['part']}").numpy()
    assert first["mean"] == pytest.approx(column.mean())
    assert first["negative"] == pytest.approx((column < 0).mean())
    assert first["meaning"] == valuation.meanings[f"prototypes.{first['part']}"]
    assert "meaning" not in valuation.by_part("attributes")
    with pytest.raises(UnknownNameError, match="Did you mean 'axes'"):
        valuation.by_part("axis")
    summary = valuation.summary(top=3, output="profile")
    frame = valuation.frame()
    for row in summary.most.itertuples():
        same = (frame["user"] == row.user) & (frame["item"] == row.item)
        parts = frame.loc[same].iloc[0]
        assert row.attributes == max(("pace", "wit"), key=lambda name: parts[f"value.attributes.{name}"])
    for row in summary.least.itertuples():
        same = (frame["user"] == row.user) & (frame["item"] == row.item)
        parts = frame.loc[same].iloc[0]
        assert row.attributes == min(("pace", "wit"), key=lambda name: parts[f"value.attributes.{name}"])
    assert "attributes" not in valuation.summary(output="attributes.wit").most
    kept = Valuation.load(valuation.save(tmp_path / "v.parquet"))
    assert kept.meanings == valuation.meanings
    assert kept.outputs == valuation.outputs
    assert (valuation + valuation).meanings == valuation.meanings == (2 * valuation).meanings
    assert valuation.meanings["axes.2"] in plot(
        value(guided, "axes", repeats=1), tmp_path / "v.svg"
    ).read_text(encoding="utf-8")


def test_a_value_and_its_parts_count_once(guided: TrainedModel) -> None:
    """In sums of all outputs, in their summary, and where objectives are combined."""
    valuation = value(guided, "axes,prototypes,attributes", repeats=1)
    profile = value(guided, "profile", repeats=1).column()
    attributes = valuation.values[:, -2:].sum(dim=1)
    near = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(valuation.column(), profile + attributes, **near)
    torch.testing.assert_close(valuation.column("axes"), profile, **near)
    torch.testing.assert_close(valuation.column("attributes"), attributes, **near)
    torch.testing.assert_close(valuation.total(), 2 * profile + attributes, **near)
    summary = valuation.summary(top=2, output="attributes")
    assert summary.most["value"].tolist() == pytest.approx(attributes.topk(2).values.tolist())
    assert summary.most["standard_error"].isna().all()
    assert {"axes", "prototypes", "attributes"} & set(summary.most) == {"attributes"}
    assert {"axes", "prototypes", "attributes"} < set(valuation.summary(output="axes").most)
    once = value(guided, "profile,attributes", repeats=1, combine=True).column("combined")
    for names in ("profile,axes,attributes", "attributes,prototypes,axes", "dimensions,attributes"):
        found = value(guided, names, repeats=1, combine=True).column("combined")
        torch.testing.assert_close(found, once, rtol=1e-3, atol=1e-4)
    with pytest.raises(ConfigurationError, match="profile, axes are one value, profile; name several"):
        value(guided, "profile,axes", combine=True)


def test_shap_shows_what_parts_stand_for(guided: TrainedModel) -> None:
    pytest.importorskip("shap")
    valuation = value(guided, "prototypes", repeats=2)
    explanation = valuation.to_shap()
    assert explanation.values.shape == valuation.values.shape
    assert explanation.feature_names[2] == valuation.label("prototypes.3")


@pytest.mark.parametrize("model", ["LightGCN", "MultiVAE", "SASRec"])
def test_families(model: str, tmp_path: Path) -> None:
    valuation = value(open_world(model, tmp_path), "profile,axes,prototypes", repeats=1)
    for name in ("axes", "prototypes"):
        parts = torch.stack([valuation.column(one) for one in valuation.outputs if one.startswith(name)])
        torch.testing.assert_close(parts.sum(dim=0), valuation.column("profile"), rtol=1e-3, atol=1e-5)


def test_a_model_whose_items_are_all_alike(tmp_path: Path) -> None:
    source = open_world("BPR", tmp_path)
    source.model.item_embedding.weight.data[:] = 0.5
    valuation = value(source, "axes,prototypes", repeats=2)
    assert valuation.outputs[-2:] == ("axes.rest", "prototypes.1")
    torch.testing.assert_close(
        valuation.values, torch.zeros(valuation.n_players, 12).double(), atol=1e-6, rtol=0
    )

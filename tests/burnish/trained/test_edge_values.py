"""Values of the edges of trained models' graphs: what propagation and `paths` go along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.paths.paths import Paths
from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, UnsupportedError
from burnish.trained.value import Valuer, value
from burnish.training.trained_model import TrainedModel

PATHS = "user -rated-> item <-rated- user -rated-> item; user -rated-> item -class-> class <-class- item"


def open_world(model: Any, folder: Path) -> TrainedModel:
    world = build_world(model, folder)
    return TrainedModel(world.config, world.dataset, world.train, world.valid, world.test, world.model)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """LightGCN with `paths`, whose weights are as if they had been trained."""
    trained = open_world(
        enhance("LightGCN", Paths(metapaths=PATHS, hide=0.3)), tmp_path_factory.mktemp("edges")
    )
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.3)
    return trained


def test_interactions_as_edges_whatever_the_parts(walked: TrainedModel) -> None:
    whole = Valuer(walked, "edges,profile", repeats=2, seed=3).run()
    parts = Valuer(walked, "edges", repeats=2, seed=3, shard=50)
    assert parts.n_shards > 3
    assert torch.equal(whole.column("edges"), parts.run().column("edges"))
    assert bool((whole.standard_error[:, 0] > 0).all())
    assert not torch.equal(whole.column("edges"), value(walked, "edges", repeats=2, seed=4).column())


def test_edges_of_a_path_model(walked: TrainedModel, tmp_path: Path) -> None:
    found = burnish.edge_values(walked, repeats=2, seed=1)
    frame = found.frame()
    graph = walked.model.enhancers.enhancers()[0].model.graph
    assert frame["relation"].value_counts().to_dict() == {
        name: len(graph.relation(name)) for name in ("rated", "class")
    }
    train = walked.splits.training.inter_feat
    pairs = set(
        zip(*(walked.tokens(name, train[name].numpy()) for name in ("user_id", "item_id")), strict=True)
    )
    rated = frame[frame["relation"] == "rated"]
    assert set(zip(rated["from"], rated["to"], strict=True)) <= pairs
    assert rated["to_name"].str.startswith("Film number").all()
    assert set(frame.loc[frame["relation"] == "class", "to"]) <= {"drama", "comedy", "crime", "war", "music"}
    assert (frame["weight"] > 0).all()
    assert frame["value.edges"].abs().max() > 1e-3
    assert torch.equal(burnish.edge_values(walked, repeats=2, seed=1).values, found.values)
    assert not torch.allclose(burnish.edge_values(walked, repeats=2, seed=2).values, found.values)
    assert bool(burnish.edge_values(walked, repeats=1).standard_error.isnan().all())
    kept = Valuation.load(found.save(tmp_path / "edges.parquet"))
    pd.testing.assert_frame_equal(kept.frame(), frame, check_dtype=False)


def test_no_validation_or_test_row_is_read(tmp_path: Path) -> None:
    """Other items in the rows of validation and test, in the files: the same values, by every objective."""
    found = []
    for other in (False, True):
        folder = tmp_path / str(other)
        trained = open_world("LightGCN", folder)
        if other:
            file = folder / "conformance" / "conformance.inter"
            _change_rows_outside_training(trained, file)
            trained = open_world("LightGCN", folder)
        with torch.no_grad():
            draw = torch.Generator().manual_seed(1)
            for parameter in trained.model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))
        valuation = value(trained, "edges,profile,axes,prototypes,joint,fit,standing,similarity", repeats=2)
        assert valuation.players is not None
        found.append((valuation.players[["user", "item"]], valuation.values))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def _change_rows_outside_training(trained: TrainedModel, file: Path) -> None:
    """Other items in the rows of the file that are not in training, such that no item gets another internal id."""
    train = trained.splits.training.inter_feat
    mine = set(
        zip(*(trained.tokens(name, train[name].numpy()) for name in ("user_id", "item_id")), strict=True)
    )
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    columns = head.split("\t")
    user, item = columns.index("user_id:token"), columns.index("item_id:token")
    rows = [line.split("\t") for line in lines]
    seen, last, changed = {rows[0][item]}, rows[0][item], 0
    for row in rows:  # RecBole numbers items as they come: the first row of each stays
        own = row[item]
        if own in seen and (row[user], own) not in mine:
            row[item], changed = last, changed + 1
        seen.add(own)
        last = own
    assert changed > 30
    file.write_text("\n".join([head, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")


def test_noise_is_worth_less(tmp_path: Path) -> None:
    """Two groups with tastes of their own; a tenth of the interactions are of the other taste."""
    draw = np.random.default_rng(5)
    rows, noise = [], set()
    for user in range(40):
        own = draw.choice(20, 10, replace=False) + 20 * (user % 2)
        rows += [(user, item) for item in own]
        other = int(draw.integers(20)) + 20 * ((user + 1) % 2)
        noise.add((f"u{user}", f"i{other}"))
        rows.append((user, other))
    (tmp_path / "tastes").mkdir()
    lines = ["user_id:token\titem_id:token", *(f"u{user}\ti{item}" for user, item in rows)]
    (tmp_path / "tastes" / "tastes.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "epochs": 10,
        "eval_step": 0,
        "learning_rate": 0.02,
        "embedding_size": 8,
        "data_path": str(tmp_path),
    }
    settings |= {"load_col": {"inter": ["user_id", "item_id"]}, "checkpoint_dir": str(tmp_path / "saved")}
    run = burnish.run("LightGCN", "tastes", config=settings | {"train_batch_size": 128})
    frame = value(run, "edges", repeats=3).frame()
    wrong = np.array([pair in noise for pair in zip(frame["user"], frame["item"], strict=True)])
    values = frame["value.edges"].to_numpy()
    auc = (values[~wrong][:, None] > values[wrong]).mean()
    assert 20 < wrong.sum() < 50
    assert auc > 0.8, auc


def test_refuses(walked: TrainedModel, tmp_path: Path) -> None:
    plain = open_world("BPR", tmp_path)
    with pytest.raises(UnsupportedError, match="BPR keeps no graph of them"):
        value(plain, "edges")
    with pytest.raises(UnsupportedError, match="BPR was trained without a path model"):
        burnish.edge_values(plain)
    with pytest.raises(ConfigurationError, match="repeats"):
        burnish.edge_values(walked, repeats=0)

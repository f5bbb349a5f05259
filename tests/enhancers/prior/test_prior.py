"""`prior`: popularity on top of a backbone's scores, counted from training rows, chosen on validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data.interaction import Interaction

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.prior.prior import Prior
from burnish.errors import ConfigurationError, UnsupportedError


@pytest.mark.parametrize("backbone", ["BPR", "LightGCN", "SASRec", "NeuMF"])
def test_scores(world: Any, backbone: str) -> None:
    made, plain = world(enhance(backbone, Prior(strengths=(0.0, 0.5)))), world(backbone)
    prior, dataset = made.model.enhancers["prior"], made.train._dataset
    batch = dataset[torch.arange(9)]
    for model in (made.model, plain.model):
        model.eval()
    with torch.no_grad():
        own = plain.model.predict(batch)
        torch.testing.assert_close(made.model.predict(batch), own)
        prior.try_candidate(1)
        rows = prior._rows
        counts = torch.zeros(made.model.n_items)
        for item in dataset.inter_feat["item_id"].tolist():
            counts[item] += 1
        if backbone == "SASRec":  # the first item of a history is never a target
            first = dataset.inter_feat["item_length"] == 1
            for item in dataset.inter_feat["item_id_list"][first][:, 0].tolist():
                counts[item] += 1
        if backbone == "NeuMF":
            spread = float(plain.model.predict(rows).double().std())
        else:
            spread = float(
                plain.model.full_sort_predict(rows).reshape(len(rows), -1)[:, 1:].double().std(1).mean()
            )
        added = 0.5 * spread * (1 + counts).log()
        torch.testing.assert_close(made.model.predict(batch), own + added[batch["item_id"]])
        if backbone != "NeuMF":
            whole = made.model.full_sort_predict(batch).reshape(9, -1)
            expected = plain.model.full_sort_predict(batch).reshape(9, -1) + added
            torch.testing.assert_close(whole[:, 1:], expected[:, 1:])


def test_from_a_run(tmp_path: Path, small: dict[str, Any]) -> None:
    folder = tmp_path / "plain"
    plain = burnish.run("BPR", "tiny", config=small, seed=1, folder=folder)
    one = {"prior": {"base": str(folder), "strengths": [0.0]}}
    same = burnish.run("BPR", "tiny", enhancers=one, config=small, seed=1)
    assert same.test_result == plain.test_result
    several = {"prior": {"base": str(folder)}}
    best = burnish.run("BPR", "tiny", enhancers=several, config=small, seed=1, folder=tmp_path / "prior")
    assert best.n_epochs == len(Prior().config.strengths)
    assert best.valid_result["ndcg@10"] >= plain.valid_result["ndcg@10"]
    users = Interaction({"user_id": torch.arange(1, 9)})
    loaded = burnish.load_run(tmp_path / "prior").model
    torch.testing.assert_close(loaded.full_sort_predict(users), best.model.full_sort_predict(users))
    with pytest.raises(UnsupportedError, match="prior"):
        burnish.bake(loaded)


def test_strengths() -> None:
    for strengths in ([], [float("inf")], ["high"]):
        with pytest.raises(ConfigurationError, match="strengths"):
            Prior(strengths=strengths)

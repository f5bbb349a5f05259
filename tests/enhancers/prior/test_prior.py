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
    strength = Prior().config.strengths[best.best_epoch - 1]
    told = f"candidate {best.best_epoch} of 11, chosen by validation: popularity with strength {strength:g}"
    for model in (best.model, loaded):
        assert f"prior: holds {told}" in str(burnish.status(model))
    torch.testing.assert_close(loaded.full_sort_predict(users), best.model.full_sort_predict(users))
    with pytest.raises(UnsupportedError, match="prior"):
        burnish.bake(loaded)


@pytest.mark.parametrize(
    ("strengths", "said"),
    [
        ((0.0, 0.1, 0.5), ["", "", " (no higher strength was tried)"]),
        ((0.5, 0.1), [" (no higher strength was tried)", " (no lower strength was tried)"]),
        ((-0.2, 0.0), [" (no lower strength was tried)", " (no higher strength was tried)"]),
        ((0.5,), [""]),
    ],
)
def test_a_choice_at_the_edge_is_said(world: Any, strengths: tuple[float, ...], said: list[str]) -> None:
    prior = world(enhance("BPR", Prior(strengths=strengths))).model.enhancers["prior"]
    assert prior.note().startswith("no candidate is noted")
    for number, words in enumerate(said):
        prior.try_candidate(number)
        assert prior.note().endswith(f": popularity with strength {strengths[number]:g}{words}.")


def test_states_of_before_had_no_number(world: Any) -> None:
    made, fresh = (world(enhance("BPR", Prior(strengths=(0.0, 0.5)))) for _ in range(2))
    made.model.enhancers["prior"].try_candidate(1)
    state = made.model.state_dict()
    del state["enhancers.attached.prior.chosen"]
    fresh.model.load_state_dict(state)
    torch.testing.assert_close(fresh.model.enhancers["prior"].shift, made.model.enhancers["prior"].shift)
    told = fresh.model.enhancers["prior"].note()
    assert told == "which of 2 candidates validation chose was not noted when this was saved."
    fresh.model.load_state_dict(made.model.state_dict())
    assert "candidate 2 of 2" in fresh.model.enhancers["prior"].note()


def test_strengths() -> None:
    for strengths in ([], [float("inf")], ["high"]):
        with pytest.raises(ConfigurationError, match="strengths"):
            Prior(strengths=strengths)
    assert Prior(strengths=0.5).config.strengths == (0.5,)

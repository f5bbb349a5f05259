"""DReX where RecBole models are used: quick start, burnish.run, enhancers, checkpoints, resuming."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from review_world import NAME, build, write_reviews

import burnish
from burnish.backbones.drex.drex import DReX
from burnish.backbones.drex.drex_mlp import DReXMLP
from burnish.enhancers.zoo import find_backbone, list_backbones
from burnish.errors import ConfigurationError

MODELS = ("DReX", "DReXMLP")


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "embedding_size": 8,
        "train_batch_size": 16,
        "epochs": 3,
        "threads": 1,
        "learning_rate": 0.01,
        **more,
    }


def test_names() -> None:
    assert find_backbone("DReX") is DReX
    assert find_backbone("DReXMLP") is DReXMLP
    assert {"DReX", "DReXMLP"} <= set(list_backbones())


@pytest.mark.parametrize("name", MODELS)
def test_plain_quick_start(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbole.quick_start import run_recbole

    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.chdir(tmp_path)
    write_reviews(tmp_path)
    result = run_recbole(name, NAME, config_dict=options(tmp_path, show_progress=False))
    assert set(result["test_result"]) == {"rmse", "mae"}
    assert not result["valid_score_bigger"]


def test_ratings_are_compared_without_rounding(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_reviews(tmp_path)
    result = burnish.run("DReX", NAME, config=options(tmp_path), folder=folder, show_progress=False)
    model, test = result.model.eval(), result.splits[2]
    found = model.rate(test.inter_feat["user_id"], test.inter_feat["item_id"])
    expected = float((found - test.inter_feat["rating"]).abs().mean())
    assert result.test_result["mae"] == pytest.approx(expected, rel=1e-4)
    again = burnish.load_run(folder)
    everybody = torch.arange(1, model.n_users)
    torch.testing.assert_close(again.model.eval().rate_all(everybody), model.rate_all(everybody))


def test_full_ranking(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    ranking = {
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"},
        "metrics": ["NDCG"],
        "valid_metric": "NDCG@10",
    }
    result = burnish.run("DReX", NAME, config=options(tmp_path, **ranking), show_progress=False)
    assert 0 < result.test_result["ndcg@10"] <= 1
    assert result.per_user is not None


@pytest.mark.parametrize("name", MODELS)
def test_enhanced_it_begins_as_it_is_and_learns(name: str, tmp_path: Path) -> None:
    from burnish.enhancers.registry import make_enhancers

    write_reviews(tmp_path)
    plain = build(name, tmp_path)
    enhanced_class = burnish.enhance(name, *make_enhancers({"rvrec": {"strength": 1.0}, "shapley": {}}))
    world = build(enhanced_class, tmp_path)
    everybody = torch.arange(1, plain.model.n_users)
    plain.model.eval()
    world.model.eval()
    torch.testing.assert_close(
        world.model.rate_all(everybody), plain.model.rate_all(everybody), rtol=0, atol=0
    )
    before = world.model.rate_all(everybody).clone()
    world.trainer.fit(world.train, verbose=False, saved=False, show_progress=False)
    world.model.eval()
    assert not torch.equal(world.model.rate_all(everybody), before)
    assert torch.isfinite(world.model.rate_all(everybody)).all()


@pytest.mark.parametrize("name", MODELS)
def test_an_interrupted_run_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    write_reviews(tmp_path)
    whole = burnish.run(name, NAME, config=options(tmp_path), folder=tmp_path / "whole", show_progress=False)
    burnish.run(name, NAME, config=options(tmp_path, epochs=1), folder=tmp_path / "part", show_progress=False)
    on = burnish.run(resume=tmp_path / "part", config={"epochs": 3}, show_progress=False)
    assert on.losses[-2:] == whole.losses[-2:] or on.losses == whole.losses
    assert on.test_result == whole.test_result


def test_shuffled_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="shuffle = True: DReX carries states"):
        build("DReX", write_reviews(tmp_path), shuffle=True)
    with pytest.raises(ConfigurationError, match="initial_folds = 1: at least 2"):
        build("DReXMLP", tmp_path, initial_folds=1)


def test_equal_seeds_give_equal_numbers(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    runs = [
        burnish.run("DReXMLP", NAME, config=options(tmp_path, seed=s), show_progress=False) for s in (1, 1, 2)
    ]
    assert runs[0].losses == runs[1].losses != runs[2].losses

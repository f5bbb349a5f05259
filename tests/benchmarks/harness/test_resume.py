"""Interrupted and resumed equals uninterrupted, bit for bit: weights, losses, metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.benchmarks.harness.resume import saved_states
from burnish.benchmarks.harness.training import resume, train
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset

EPOCHS = 4
FEW = ["BPR", "LightGCN", "SASRec", "MultiVAE", "NeuMF", "RecVAE", "KGAT", "DeepFM", "NCL", "SGL", "DiffRec"]
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in FEW]
CASES += [("BPR", {"rvrec": {}}), ("LightGCN", {"rvrec": {}}), ("SASRec", {"rvrec": {}})]
CASES += [("BPR", {"uneven": {}})]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def options_of(model: str, data: Path, **more: Any) -> dict[str, Any]:
    own = {
        "epochs": EPOCHS,
        "stopping_step": 10,
        "data_path": str(data),
        "threads": 1,
        "pretrain_epochs": EPOCHS,
    }
    return {**preset(model), **own, **more}


def same(one: Any, other: Any) -> None:
    """Two training results agree in every bit."""
    assert one.losses == other.losses
    assert one.valid_result == other.valid_result
    assert one.test_result == other.test_result
    assert one.best_epoch == other.best_epoch
    assert one.best_valid_score == other.best_valid_score
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(mine) == list(theirs)
    for name, value in mine.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs[name])), name


class Interrupt:
    """Raises KeyboardInterrupt in the middle of an epoch (from 1)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, in_epoch: int) -> None:
        from burnish.benchmarks.harness import stages

        inner = stages.Run._watch_epochs

        def watch(run: Any) -> None:
            inner(run)
            train_epoch = run.trainer._train_epoch
            name = "calculate_rs_loss" if run.config["model"] == "MKR" else "calculate_loss"
            loss = getattr(run.model, name)
            now = {"epoch": -1, "calls": 0}

            def counted(*args: Any, **kwargs: Any) -> Any:
                now["calls"] += 1
                if now["epoch"] + 1 == in_epoch and now["calls"] == 2:
                    raise KeyboardInterrupt
                return loss(*args, **kwargs)

            def epoch(data: Any, number: int, *args: Any, **kwargs: Any) -> Any:
                now.update(epoch=number, calls=0)
                if number + 1 == in_epoch:
                    setattr(run.model, name, counted)
                return train_epoch(data, number, *args, **kwargs)

            run.trainer._train_epoch = epoch

        monkeypatch.setattr(stages.Run, "_watch_epochs", watch)


def interrupted(
    model: str, folder: Path, options: dict[str, Any], enhancers: Any, in_epoch: int = 3, save_every: int = 1
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Interrupt(patch, in_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(model, NAME, options=options, enhancers=enhancers, folder=folder, save_every=save_every)


@pytest.mark.parametrize(("model", "enhancers"), CASES, ids=str)
def test_resumed_equals_uninterrupted(
    model: str, enhancers: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    options = options_of(
        model, data, train_batch_size=64 if model not in ("MultiVAE", "RecVAE", "DiffRec") else 16
    )
    whole = train(model, NAME, options=options, enhancers=enhancers, folder=tmp_path / "whole")
    interrupted(model, tmp_path / "cut", options, enhancers)
    assert [number for number, _ in saved_states(tmp_path / "cut")] == [2, 1]
    same(resume(tmp_path / "cut"), whole)

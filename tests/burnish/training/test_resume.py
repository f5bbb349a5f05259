"""Interrupted and resumed equals uninterrupted, bit for bit: weights, losses, metrics."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.zoo import list_backbones
from burnish.errors import ConfigurationError, DataError
from burnish.training.load import load_run
from burnish.training.record import read_run
from burnish.training.state import FinishedError, saved_states
from burnish.training.train import resume, train

EPOCHS = 4
FEW = ["BPR", "LightGCN", "SASRec", "MultiVAE", "NeuMF", "RecVAE", "KGAT", "DeepFM", "NCL", "SGL", "DiffRec"]
CASES: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in FEW]
CASES += [("BPR", {"rvrec": {}}), ("LightGCN", {"rvrec": {}}), ("SASRec", {"rvrec": {}})]
CASES += [("BPR", {"uneven": {}})]
SOFTMAX = {"softmax": {"users": 8}}
CASES += [("BPR", {**one, "shapley": {"warmup_epochs": 1}}) for one in (SOFTMAX, {"rvrec": {}})]
CASES += [("LightGCN", {**SOFTMAX, "average": {}, "distil": {}})]


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
        from burnish.training import stages

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


def test_a_run_that_has_not_ended_is_used_with_a_warning(data: Path, tmp_path: Path) -> None:
    interrupted("BPR", tmp_path / "run", options_of("BPR", data, train_batch_size=64), {})
    with pytest.warns(UserWarning, match=r"holds a run that has not ended.*burnish run --resume .*run"):
        load_run(tmp_path / "run")
    resume(tmp_path / "run")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        load_run(tmp_path / "run")
    assert not any("has not ended" in str(one.message) for one in told)


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


@pytest.fixture(scope="module")
def cut(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a BPR run that was interrupted in its third epoch; not to be changed."""
    folder = tmp_path_factory.mktemp("cut")
    interrupted("BPR", folder, options_of("BPR", data), {"rvrec": {"weight": 0.2}})
    return folder


@pytest.fixture
def copy(cut: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut, tmp_path / "copy"))


def test_another_option_is_refused_by_name(copy: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"learning_rate = 0\.5 now, and 0\.01 in .*run\.json"):
        resume(copy, options={"learning_rate": 0.5})
    with pytest.raises(ConfigurationError, match="enhancers = "):
        resume(copy, enhancers={"rvrec": {"weight": 0.3}})
    with pytest.raises(ConfigurationError, match=r"epochs = 2, but the run began with 4"):
        resume(copy, options={"epochs": 2})
    with pytest.raises(ConfigurationError, match=r"model = 'NeuMF', but .* of 'BPR'"):
        resume(copy, model="NeuMF")
    with pytest.raises(ConfigurationError, match="seed = 3"):
        resume(copy, seed=3)


def test_what_is_said_again_may_be_said(copy: Path) -> None:
    result = resume(copy, model="BPR", dataset=NAME, enhancers={"rvrec": {"weight": 0.2}}, seed=2020)
    assert result.n_epochs == EPOCHS


def test_a_cut_off_state_names_the_whole_one(copy: Path) -> None:
    latest, earlier = (path for _, path in saved_states(copy))
    latest.write_bytes(latest.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"epoch-00002\.safetensors is damaged.*epoch 1 .*is whole: remove"):
        resume(copy)
    latest.unlink()
    assert resume(copy).n_epochs == EPOCHS
    assert earlier.name == "epoch-00001.safetensors"


def test_changed_data_are_noticed(copy: Path, data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "other"))
    file = other / NAME / f"{NAME}.inter"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match="interactions and has"):
        resume(copy, options={"data_path": str(other)})
    user, item, *rest = lines[-1].split("\t")
    file.write_text("\n".join([*lines[:-1], "\t".join([user, "i1" if item != "i1" else "i2", *rest])]) + "\n")
    with pytest.raises(DataError, match="differ although the counts agree"):
        resume(copy, options={"data_path": str(other)})


def test_finished_runs_are_lengthened_or_refused(data: Path, tmp_path: Path) -> None:
    long = options_of("BPR", data, epochs=3)
    whole = train("BPR", NAME, options=long, folder=tmp_path / "whole")
    train("BPR", NAME, options={**long, "epochs": 2}, folder=tmp_path / "short", save_every=1)
    with pytest.raises(FinishedError, match="finished after 2 epochs"):
        resume(tmp_path / "short")
    same(resume(tmp_path / "short", options={"epochs": 3}), whole)
    assert read_run(tmp_path / "short").finished


def test_killed_between_training_and_testing(data: Path, tmp_path: Path) -> None:
    options = options_of("LightGCN", data)
    whole = train("LightGCN", NAME, options=options, folder=tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        from burnish.training import stages

        def test(run: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(stages.Run, "test", test)
        with pytest.raises(KeyboardInterrupt):
            train("LightGCN", NAME, options=options, folder=tmp_path / "cut", save_every=3)
    same(resume(tmp_path / "cut"), whole)


def test_early_stopping_counts_on(data: Path, tmp_path: Path) -> None:
    options = options_of("BPR", data, stopping_step=1, epochs=30, learning_rate=0.3)
    whole = train("BPR", NAME, options=options, folder=tmp_path / "whole")
    assert 4 < whole.n_epochs < 30
    interrupted("BPR", tmp_path / "cut", options, None, in_epoch=whole.n_epochs)
    same(resume(tmp_path / "cut"), whole)
    with pytest.raises(FinishedError, match="stopped improving"):
        resume(tmp_path / "cut", options={"epochs": 60})


def test_evaluations_between_epochs_and_thinned_states(data: Path, tmp_path: Path) -> None:
    options = options_of("GRU4Rec", data, epochs=7, eval_step=2)
    whole = train("GRU4Rec", NAME, options=options, folder=tmp_path / "whole")
    interrupted("GRU4Rec", tmp_path / "cut", options, None, in_epoch=6, save_every=3)
    assert [number for number, _ in saved_states(tmp_path / "cut")] == [3]
    same(resume(tmp_path / "cut", save_every=3), whole)


def test_checkpoints_are_not_unpickled(copy: Path) -> None:
    (copy / "checkpoint.pth").write_bytes(b"not a pickle at all")
    assert resume(copy).n_epochs == EPOCHS


def test_a_saved_run_loads_with_the_scores_it_was_tested_with(data: Path, tmp_path: Path) -> None:
    for model in ("LightGCN", "DIN", "ItemKNN", "KGAT"):
        options = options_of(model, data, epochs=2)
        result = train(model, NAME, options=options, folder=tmp_path / model)
        loaded = load_run(tmp_path / model)
        for name, value in result.model.state_dict().items():
            assert torch.equal(value, loaded.model.state_dict()[name]), (model, name)
        batch = next(iter(loaded.test))[0]
        predict = "predict" if model == "DIN" else "full_sort_predict"
        with torch.no_grad():
            theirs = getattr(result.model.eval(), predict)(batch)
            assert torch.equal(getattr(loaded.model, predict)(batch), theirs), model


@pytest.mark.conformance
@pytest.mark.parametrize("model", [name for name, kind in list_backbones().items() if kind != "exlib"])
def test_every_backbone(model: str, data: Path, tmp_path: Path) -> None:
    options = options_of(model, data, train_batch_size=16)
    whole = train(model, NAME, options=options, folder=tmp_path / "whole")
    try:
        interrupted(model, tmp_path / "cut", options, None)
    except pytest.fail.Exception:
        assert whole.n_epochs < 3  # models without training have one epoch
        return
    same(resume(tmp_path / "cut"), whole)


@pytest.mark.parametrize(
    ("enhancers", "former"),
    [
        ({"shapley": {"warmup_epochs": 1}}, {"shapley": {"warmup_epochs": 1, "weight": 0.5}}),
        ({"rvrec": {"covariance": "full", "experimental": True}}, {"rvrec": {"covariance": "full"}}),
    ],
)
def test_runs_of_before_an_option_came_or_went_are_read_and_go_on(
    enhancers: dict[str, Any], former: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    """What an earlier burnish wrote into run.json: an option without effect; no word that an experiment is meant."""
    trained = train(
        "BPR", NAME, enhancers=enhancers, options=options_of("BPR", data), folder=tmp_path, save_every=1
    )
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "enhancers": former}))
    with pytest.warns(UserWarning, match=r"weight = 0\.5 has no effect here|covariance = 'full'"):
        loaded = load_run(tmp_path)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(loaded.model.state_dict()[name])), name
    with pytest.warns(UserWarning, match="weight|covariance"):
        assert len(resume(tmp_path, options={"epochs": EPOCHS + 1}).losses) == EPOCHS + 1

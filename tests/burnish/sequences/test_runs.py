"""Whole-sequence training where it is used: runs, resumed ones, RecBole's own entry point, the shell, processes."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import burnish
from burnish import RVRec, enhance
from burnish.cli.main import app
from burnish.enhancers.conformance.data import NAME, write_data
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import build_world, prepare_folder
from burnish.sequences.encoder import Windows
from burnish.sequences.epochs import layout_for
from burnish.training.train import resume, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


@pytest.fixture
def encoded(monkeypatch) -> list[tuple[int, int]]:
    """(rows, windows) of every batch that was encoded by windows."""
    seen: list[tuple[int, int]] = []
    inner = Windows.of.__func__

    def of(cls: type, batch: Any, length_field: str) -> Any:
        shared = inner(cls, batch, length_field)
        seen.append((len(batch), len(shared.last) if shared is not None else len(batch)))
        return shared

    monkeypatch.setattr(Windows, "of", classmethod(of))
    return seen


#: Of the preset for every model, what SASRec does not read.
UNREAD = ("mlp_hidden_size", "num_layers")


def options_of(model: str, data: Path, **more: Any) -> dict[str, Any]:
    return {**preset(model), "data_path": str(data), "threads": 1, "sequence_training": "whole", **more}


@pytest.mark.parametrize(("model", "enhancers"), [("SASRec", {}), ("GRU4Rec", {"rvrec": {}})])
def test_resumed_runs_end_in_the_same_bits(data, tmp_path, model, enhancers):
    common = {"enhancers": enhancers, "save_every": 1}
    straight = train(model, NAME, options=options_of(model, data, epochs=4), folder=tmp_path / "a", **common)
    train(model, NAME, options=options_of(model, data, epochs=2), folder=tmp_path / "b", **common)
    resumed = resume(tmp_path / "b", options={"epochs": 4})
    assert resumed.losses == straight.losses
    assert resumed.test_result == straight.test_result
    mine, theirs = straight.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(torch.as_tensor(mine[name]), torch.as_tensor(theirs[name])) for name in mine)


def test_a_run_with_whole_sequences_is_another_one_than_with_prefixes(data, tmp_path, encoded):
    options = {k: v for k, v in options_of("SASRec", data, epochs=1).items() if k not in UNREAD}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # no word about an option that nobody knows
        whole = burnish.run("SASRec", NAME, config=options, folder=tmp_path / "run", show_progress=False)
    assert sum(rows for rows, _ in encoded) >= 352
    assert sum(windows for _, windows in encoded) < sum(rows for rows, _ in encoded) / 2
    encoded.clear()
    burnish.run("SASRec", NAME, config={**options, "sequence_training": "prefix"}, show_progress=False)
    assert not encoded
    assert set(whole.test_result) == {"ndcg@5", "hit@5"}


def test_recboles_own_entry_point(data, tmp_path, monkeypatch, encoded):
    from recbole.quick_start import run_recbole

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["test"])
    file = tmp_path / "my.yaml"
    file.write_text("sequence_training: whole\nsequence_stride: exact\n", encoding="utf-8")
    options = {
        k: v for k, v in options_of("GRU4Rec", data).items() if k not in ("sequence_training", "threads")
    }
    run_recbole(model="GRU4Rec", dataset=NAME, config_file_list=[str(file)], config_dict=options, saved=False)
    assert encoded
    logging.getLogger().handlers.clear()


def test_the_shell(data, tmp_path, monkeypatch, encoded):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "small.json"
    options = {k: v for k, v in options_of("SASRec", data).items() if k != "sequence_training"}
    file.write_text(json.dumps(options), encoding="utf-8")
    words = ["run", "--model", "SASRec", "--dataset", NAME, "--config-files", str(file), "--format", "json"]
    done = CliRunner().invoke(app, [*words, "--sequence_training", "whole", "--sequence_stride=2"])
    assert done.exit_code == 0, done.output
    assert encoded
    wrong = CliRunner().invoke(app, [*words, "--sequence_training", "hole"])
    assert wrong.exit_code != 0
    assert "Did you mean 'whole'" in " ".join(wrong.output.split())


# ---------------------------------------------------------------- two processes

SGD = {
    "learner": "sgd",
    "learning_rate": 0.5,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "train_batch_size": 64,
    "sequence_training": "whole",
    "sequence_stride": "exact",
}


def test_two_processes_do_the_work_of_one(tmp_path):
    """RecBole's trainer in both, on shards; against one model that takes both shards' prefixes at once."""
    prepare_folder(tmp_path)
    torch.multiprocessing.spawn(_process, args=(tmp_path,), nprocs=2, join=True)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2)]
    built = build_world(enhance("SASRec", RVRec(weight=0.0)), tmp_path, options=SGD)
    steps = list(zip(both[0]["batches"], both[1]["batches"], strict=True))
    assert len(steps) == 6  # of 32 rows in each process
    built.model.train()
    for pair in steps:
        built.trainer.optimizer.zero_grad()
        sum(built.model.calculate_loss(batch) / 2 for batch in pair).backward()
        built.trainer.optimizer.step()
    for name, value in built.model.state_dict().items():
        if name.endswith("_extra_state"):
            continue
        assert torch.equal(both[0]["state"][name], both[1]["state"][name]), name
        torch.testing.assert_close(both[0]["state"][name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert both[0]["windows"] < 32 * 6 / 2


def _process(rank: int, folder: Path) -> None:
    from recbole.data.dataloader import TrainDataLoader

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    options = {**SGD, "checkpoint_dir": str(folder / f"saved{rank}")}
    built = build_world(enhance("SASRec", RVRec(weight=0.0)), folder, options=options)
    built.config["single_spec"], built.config["world_size"] = False, 2
    loader = TrainDataLoader(built.config, built.train._dataset, built.train._sampler, shuffle=True)
    built.trainer.distributed_model = nn.parallel.DistributedDataParallel(built.model)
    layout_for(built.trainer, loader)
    batches, windows = [], 0
    loss = built.model.calculate_loss

    def record(batch: Any) -> Any:
        nonlocal windows
        batches.append(batch)
        shared = Windows.of(batch, "item_length")
        windows += len(shared.last) if shared else len(batch)
        return loss(batch)

    built.trainer._train_epoch(loader, 0, record)
    state = {name: torch.as_tensor(value) for name, value in built.model.state_dict().items()}
    torch.save({"state": state, "batches": batches, "windows": windows}, folder / f"{rank}.pt")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()

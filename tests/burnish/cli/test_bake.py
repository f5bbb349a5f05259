"""`burnish bake`: from a run's folder and from a RecBole checkpoint to a plain one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import burnish
from burnish.cli.main import app

OPTIONS = {"epochs": 1, "embedding_size": 8, "eval_batch_size": 4096, "train_batch_size": 256}


def invoke(*words: object):
    return CliRunner().invoke(app, ["bake", *map(str, words)])


@pytest.fixture(scope="module")
def trained(shared: Path):
    """A short run of an enhanced BPR, in a folder."""
    config = {**OPTIONS, "data_path": str(shared / "dataset"), "checkpoint_dir": str(shared / "saved")}
    result = burnish.run(
        "BPR", "tiny", enhancers="rvrec", config=config, folder=shared / "out", show_progress=False
    )
    with torch.no_grad():  # one epoch moves little: the refinement must be seen
        result.model.enhancers["rvrec"].networks["item_embedding-weight"].shift[-1].weight.add_(0.3)
    return result


def plain_scores(path: Path):
    """What RecBole makes of a checkpoint: the model's class and all scores of three users."""
    from recbole.quick_start import load_data_and_model

    model = load_data_and_model(str(path))[1].eval()
    return type(model), scores(model)


def scores(model):
    from recbole.data.interaction import Interaction

    users = Interaction({"user_id": torch.tensor([1, 2, 3])})
    with torch.no_grad():
        return model.eval().full_sort_predict(users)


def test_a_runs_folder_needs_no_trust(trained, shared, tmp_path, monkeypatch):
    from burnish.training.load import load_run

    monkeypatch.chdir(tmp_path)
    done = invoke(shared / "out", "--output", tmp_path / "plain.pth")
    assert done.exit_code == 0, done.output
    cls, got = plain_scores(tmp_path / "plain.pth")
    assert cls.__module__ == "recbole.model.general_recommender.bpr"
    torch.testing.assert_close(got, scores(load_run(shared / "out").model))


def test_a_checkpoint_needs_trust(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = trained.model.enhancers.backbone_config
    torch.save(
        {
            "config": config,
            "epoch": 4,
            "cur_step": 1,
            "best_valid_score": 0.25,
            "state_dict": trained.model.state_dict(),
            "other_parameter": {},
        },
        "mine.pth",
    )
    refused = invoke("mine.pth", "--output", "plain.pth")
    assert refused.exit_code == 2
    assert "--trust" in refused.output
    assert not Path("plain.pth").exists()
    done = invoke("mine.pth", "--output", "plain.pth", "--trust")
    assert done.exit_code == 0, done.output
    assert torch.load("plain.pth", weights_only=False)["epoch"] == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.pth", "plain.pth"]
    _, got = plain_scores(Path("plain.pth"))
    torch.testing.assert_close(got, scores(trained.model))
    again = invoke("plain.pth", "--output", "twice.pth", "--trust")
    assert again.exit_code == 2
    assert "no enhancer is attached" in again.output


def test_what_is_neither(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source, message in (
        ("nothing", "does not exist"),
        ("text", "is not a checkpoint"),
        ("folder", "is not the folder of a run"),
    ):
        Path("text").write_text("hello")
        Path("folder").mkdir(exist_ok=True)
        done = invoke(source, "--output", "plain.pth", "--trust")
        assert done.exit_code == 2
        assert message in done.output
    assert not Path("plain.pth").exists()

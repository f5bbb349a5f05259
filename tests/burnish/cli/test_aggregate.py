"""`burnish aggregate`: hops over the interactions added to a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import burnish
from burnish.cli.main import app

OPTIONS = {"epochs": 3, "embedding_size": 8, "eval_batch_size": 4096, "train_batch_size": 64, "seed": 5}


def invoke(*words: object):
    return CliRunner().invoke(app, ["aggregate", *map(str, words)])


@pytest.fixture(scope="module")
def trained(shared: Path) -> tuple[Path, float]:
    config = {**OPTIONS, "data_path": str(shared / "dataset"), "metrics": ["NDCG"], "valid_metric": "NDCG@10"}
    result = burnish.run("BPR", "tiny", config=config, folder=shared / "plain", show_progress=False)
    return shared / "plain", result.valid_result["ndcg@10"]


@pytest.fixture(scope="module")
def plain(trained: tuple[Path, float]) -> Path:
    return trained[0]


def test_hops_for_a_finished_run(trained: tuple[Path, float], tmp_path: Path) -> None:
    plain, plain_valid = trained
    done = invoke(plain, "--output", tmp_path / "hops", "--hops", "1", "--own=-1,0", "--sides", "either")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "hops" / "run.json").read_text())
    assert content["options"]["seed"] == 5
    assert content["enhancers"]["aggregate"]["hops"] == [1]
    before = json.loads((plain / "run.json").read_text())["data"]
    assert content["data"] == before
    result = json.loads((tmp_path / "hops" / "result.json").read_text())
    assert result["n_epochs"] == 1 + 1 * 3 * 2 * 2
    # The run as it is is among what is tried.
    assert result["valid_result"]["ndcg@10"] >= plain_valid
    burnish.bake(burnish.load_run(tmp_path / "hops").model)


@pytest.mark.parametrize("enhancers", [{}, {"softmax": {}}])
def test_why_a_backbone_is_none_for_it(enhancers: dict[str, object], shared: Path, tmp_path: Path) -> None:
    """Not that its run cannot be baked: no run of it would do."""
    config = {**OPTIONS, "epochs": 1, "data_path": str(shared / "dataset")}
    burnish.run(
        "LightGCN", "tiny", enhancers=enhancers, config=config, folder=tmp_path / "run", show_progress=False
    )
    done = invoke(tmp_path / "run", "--output", tmp_path / "hops")
    assert done.exit_code != 0
    said = " ".join((str(done.exception) + done.output).split())
    assert "which does not go with LightGCN: it propagates over the interactions by itself" in said
    assert "bake" not in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--hops", "one"], "give numbers, separated by commas"),
        (["--hops", "0"], "hops"),
        (["--sides", "itmes"], "sides"),
    ],
)
def test_values_that_cannot_be(plain: Path, tmp_path: Path, words: list[str], says: str) -> None:
    done = invoke(plain, "--output", tmp_path / "x", *words)
    assert done.exit_code == 2
    assert says in done.output
    assert not (tmp_path / "x").exists()


def test_folders_that_cannot_be(plain: Path, tmp_path: Path) -> None:
    assert "another folder" in invoke(plain, "--output", plain).output
    assert invoke(tmp_path / "none", "--output", tmp_path / "x").exit_code == 2
    run = json.loads((plain / "run.json").read_text())
    for name, change, says in (
        ("half", {"finished": False}, "has not finished"),
        ("other", {"model": "my:Own"}, "my:Own"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({**run, **change}))
        done = invoke(tmp_path / name, "--output", tmp_path / "x")
        assert done.exit_code == 2
        assert says in done.output

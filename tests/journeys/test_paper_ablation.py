"""A researcher's journey: an ablation with controls from one file, stopped and gone on with, as a table for a paper."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from burnish.benchmarks import harness
from burnish.cli.main import app

PLAN = """
name: does the contrast help, and is it the Gaussians?
dataset: small
backbones: [BPR, LightGCN]
arms:
  rvrec: rvrec
  euclid2d: euclid2d
  softmax+average: {softmax: , average: }
floors: [Pop, EASE]
seeds: [1, 2, 3]
options:
  epochs: 2
  embedding_size: 8
  train_batch_size: 256
  eval_batch_size: 40000
  metrics: [NDCG, Recall]
  topk: [5]
  valid_metric: NDCG@5
  show_progress: false
tune:
  trials: 2
  metric: ndcg@5
  seed: 2020
  space:
    learning_rate: [0.002, 0.01]
runs: runs
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study: stopped after its first finished runs, then gone on with."""
    folder = tmp_path_factory.mktemp("study")
    numbers = random.Random(5)
    data = folder / "dataset" / "small"
    data.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token"]
    for user in range(40):
        lines += [f"u{user}\ti{item}" for item in numbers.sample(range(50), 15)]
    (data / "small.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plan.yaml").write_text(PLAN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["python"])
        done = 0

        def stop(event: harness.Event) -> None:
            nonlocal done
            done += event.kind == "done"
            if done == 5:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            harness.run_plan(harness.load_plan("plan.yaml"), quiet=True, on_event=stop)
        before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("metrics.json")}
        assert before
        ended = CliRunner().invoke(app, ["bench", "plan.yaml", "-q"])
        assert ended.exit_code == 0, ended.output
        assert {path: path.stat().st_mtime_ns for path in before} == before  # what was finished is kept
    return folder


@pytest.fixture
def here(study: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(study)
    return study


def test_every_arm_has_its_seeds_and_as_many_trials(here: Path) -> None:
    for backbone in ("BPR", "LightGCN"):
        for arm in ("plain", "rvrec", "euclid2d", "softmax+average"):
            folder = here / "runs" / "small" / backbone / arm
            assert len(list(folder.glob("[1-3]-*/metrics.json"))) == 3, arm
            assert len(list(folder.glob("tune/*/metrics.json"))) == 2, arm


def test_the_table_has_floors_intervals_and_corrected_p(here: Path) -> None:
    ended = CliRunner().invoke(
        app, ["report", "runs", "--metric", "ndcg@5", "--output", "table.csv", "--plot", "picture.svg"]
    )
    assert ended.exit_code == 0, ended.output
    table = pd.read_csv("table.csv")
    arms = table[table.backbone.isin(["BPR", "LightGCN"])]
    assert {"Pop", "EASE"} <= set(table.astype(str).stack())
    assert {"rvrec", "euclid2d", "softmax+average"} <= set(arms.arm)
    assert (here / "picture.svg").read_text().startswith("<svg")


def test_the_table_goes_into_a_paper_and_the_control_is_the_baseline(here: Path) -> None:
    ended = CliRunner().invoke(
        app, ["report", "runs", "-m", "ndcg@5", "--baseline", "euclid2d", "--format", "markdown"]
    )
    assert ended.exit_code == 0, ended.output
    rows = [line for line in ended.stdout.splitlines() if line.startswith("| BPR") and "rvrec" in line]
    assert rows
    for row in harness.summarise(here / "runs", metrics=["ndcg@5"], baseline="euclid2d"):
        if row.arm == "rvrec":
            assert row.low <= row.difference <= row.high
            assert row.p_t <= row.p_holm <= 1

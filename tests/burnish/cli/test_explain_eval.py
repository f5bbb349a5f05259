"""`burnish explain-eval` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from burnish.benchmarks.faithfulness.report import FILES
from burnish.cli.main import app

SMALL = ["--embedding_size=8", "--eval_batch_size", "4000", "--train_batch_size=256", "--metrics=[NDCG]"]
SMALL += ["--valid_metric=NDCG@10", "--show_progress", "false", "--epochs", "2"]


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def runs(shared: Path) -> Path:
    """A folder with two seeds of BPR."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        for seed in ("1", "2"):
            done = call("run", "-m", "BPR", "-d", "tiny", *SMALL, "--seed", seed, "-o", f"seed-{seed}")
            assert done.exit_code == 0, done.output
    return shared


def test_a_table_and_files(runs: Path, tmp_path: Path) -> None:
    words = ["--users", "3", "--references", "random, gradient", "--output", str(tmp_path / "found")]
    done = call("explain-eval", str(runs / "seed-1"), *words)
    assert done.exit_code == 0, done.output
    assert "BPR (folded-in user, of the score)" in done.stdout
    assert "DEL@5" in done.stdout
    assert " =" in done.stdout
    assert "Warning: if each measure took the best of 11 random orders" in done.stderr
    assert sorted(one.name for one in (tmp_path / "found").iterdir()) == sorted(FILES)


def test_seeds_as_json(runs: Path) -> None:
    words = ["--users", "3", "--references", "random", "--format", "json", "-q"]
    done = call("explain-eval", str(runs / "seed-1"), str(runs / "seed-2"), *words)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert {row["seeds"] for row in found["differences"] if row["measure"] == "DEL"} == {2}
    assert {row["reference"] for row in found["differences"]} == {"random"}


def test_training_again(runs: Path) -> None:
    words = [
        "--users",
        "2",
        "--references",
        "random",
        "--retrain",
        "--retrain-epochs",
        "1",
        "--format",
        "markdown",
    ]
    done = call("explain-eval", str(runs / "seed-1"), *words)
    assert done.exit_code == 0, done.output
    assert "| retrained: gone@5 |" in done.stdout
    assert "BPR, retraining: burnish" in done.stderr


def test_what_is_refused(runs: Path, tmp_path: Path) -> None:
    run = str(runs / "seed-1")
    done = call("explain-eval", run, "--references", "randm")
    assert done.exit_code == 2
    assert "random" in done.output
    assert "randm" in done.output
    done = call("explain-eval", run, run)
    assert done.exit_code == 2
    assert "give each once" in done.output
    done = call("explain-eval", str(tmp_path))
    assert done.exit_code == 2
    assert "run.json" in done.output
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = call("explain-eval", run, "--output", str(tmp_path / "file"))
    assert done.exit_code == 2
    assert "is a file" in done.output
    assert call("explain-eval").exit_code == 2


@pytest.mark.parametrize(
    "files", [("run.json",), ("metrics.json", "DONE"), ("per_user.parquet",), ("result.json",)]
)
def test_a_folder_with_a_run_in_it_is_no_output(files: tuple[str, ...], tmp_path: Path) -> None:
    """Refused before the run, which is not there, is looked for."""
    for name in (*files, "per_user.parquet"):
        (tmp_path / name).write_text("kept", encoding="utf-8")
    done = call("explain-eval", "nowhere", "--output", str(tmp_path))
    assert done.exit_code == 2
    said = "".join(done.stderr.split())
    assert f"{tmp_path}holdsarun({files[0]}" in said
    assert f"suchas{tmp_path / 'faithfulness'}" in said
    assert (tmp_path / "per_user.parquet").read_text(encoding="utf-8") == "kept"


def test_an_earlier_study_is_written_over(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("", encoding="utf-8")
    done = call("explain-eval", "nowhere", "--output", str(tmp_path))
    assert "nowhere" in done.stderr
    assert "holds a run" not in done.stderr

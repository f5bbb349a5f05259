"""`burnish run`: real runs on a tiny data set, and the parts of the verb."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.cli.run import EpochLines, epoch_line, metric_table
from burnish.cli.screen import Screen
from burnish.errors import ConfigurationError
from burnish.training.result import Epoch
from burnish.training.run_folder import write_results

SMALL = ["--embedding_size=8", "--eval_batch_size", "4000", "--train_batch_size=256", "--metrics=[NDCG]"]
SMALL += ["--valid_metric=NDCG@10", "--show_progress", "false"]


def test_a_run_with_an_output_folder(here: Path) -> None:
    words = ["run", "--model=BPR", "-d", "tiny", "--epochs", "2", "--seed", "3", "-o", "out", *SMALL]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "BPR on tiny, seed 3; attached: nothing" in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("epoch 2 of 2: loss ")]
    result = json.loads((here / "out" / "result.json").read_text())
    assert result["seed"] == 3
    assert result["n_epochs"] == 2
    row = next(line for line in done.stdout.splitlines() if "ndcg@10" in line)
    assert f"{result['valid_result']['ndcg@10']:.4f}" in row
    assert f"{result['test_result']['ndcg@10']:.4f}" in row
    users = pd.read_parquet(here / "out" / "per_user.parquet")
    assert users["ndcg@10"].mean() == pytest.approx(result["test_result"]["ndcg@10"])
    config = json.loads((here / "out" / "config.json").read_text())
    assert (config["epochs"], config["embedding_size"]) == (2, 8)
    assert sorted(path.name for path in here.iterdir()) == ["dataset", "out"], (
        "something was left beside the output"
    )


def test_ml_100k_needs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "-m", "BPR", "-d", "ml-100k", "--epochs=1", "-o", "out", "--eval_batch_size=400000"]
    done = CliRunner().invoke(app, [*words, "--train_batch_size=8192", "--format=json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n_parameters"] == 64 * (944 + 1683)


def test_options_from_files_and_quiet_json(here: Path) -> None:
    (here / "a.yaml").write_text("model: BPR\ndataset: tiny\nepochs: 5\nseed: 4\nembedding_size: 4\n")
    words = [
        "--quiet",
        "run",
        "--config_files",
        "a.yaml",
        "--epochs=1",
        "--format",
        "json",
        "-o",
        "out",
        *SMALL[1:],
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    result = json.loads(done.stdout)
    assert (result["seed"], result["n_epochs"]) == (4, 1)
    assert result["n_parameters"] == 4 * (41 + 61)


def test_an_enhancer_is_attached_with_its_options(here: Path) -> None:
    words = [
        "run",
        "-m",
        "BPR",
        "-d",
        "tiny",
        "--epochs=1",
        "--enhancers.rvrec.weight",
        "0.25",
        "-o",
        "out",
    ]
    done = CliRunner().invoke(app, [*words, *SMALL])
    assert done.exit_code == 0, done.output
    assert "attached: rvrec(weight=0.25)" in done.stderr
    result = json.loads((here / "out" / "result.json").read_text())
    assert result["enhancers"]["rvrec"]["weight"] == 0.25
    assert result["n_parameters"] > 8 * (41 + 61)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-m", "BPRR", "-d", "ml-100k"], "Did you mean 'BPR'"),
        (["-m", "BPR", "-d", "tinny"], "Did you mean 'tiny'"),
        (["-m", "BPR", "-d", "ml-100k", "-e", "rvrek"], "Did you mean 'rvrec'"),
        (["-m", "BPR", "-d", "ml-100k", "--enhancers.rvrec.wieght=1"], "Did you mean 'weight'"),
        (["-m", "BPR", "-d", "ml-100k", "--enhancers.rvrec.weight=-1"], "rvrec': weight = -1"),
        (["-m", "BPR", "-d", "ml-100k", "--epochs"], "--epochs has no value"),
        (["-m", "BPR"], "no dataset is given"),
    ],
)
def test_bad_input(here: Path, words: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert [path.name for path in here.iterdir()] == ["dataset"]


def test_a_second_run_leaves_no_file_of_the_first(here: Path) -> None:
    out = here / "out"
    out.mkdir()
    (out / "per_user.parquet").write_bytes(b"of an earlier run")
    words = ["run", "-m", "DeepFM", "-d", "tiny", "--epochs=1", "-o", "out", "--train_batch_size=200"]
    words += ["--threshold", "{rating: 4}", "--eval_args", "{mode: labeled}", "--metrics=[AUC]"]
    words += ["--valid_metric=AUC", "--mlp_hidden_size=[4]", "--load_col={inter: [user_id, item_id, rating]}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "auc" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pth",
        "config.json",
        "log.txt",
        "model.safetensors",
        "result.json",
        "resume",
        "run.json",
    ]


def test_results_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    class Unwritable:
        def to_parquet(self, path: Path, index: bool) -> None:
            path.write_text("half")
            raise OSError(28, "No space left on device", str(path))

    first = SimpleNamespace(summary=lambda: {"seed": 1}, config={}, per_user=pd.DataFrame({"user": ["u1"]}))
    write_results(first, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert sorted(before) == ["config.json", "per_user.parquet", "result.json"]
    full = SimpleNamespace(summary=lambda: {"seed": 2}, config={}, per_user=Unwritable())
    with pytest.raises(ConfigurationError, match="No space left"):
        write_results(full, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    write_results(SimpleNamespace(summary=lambda: {"seed": 3}, config={}, per_user=None), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "result.json"]


def test_a_misspelt_option_is_an_error_and_in_a_file_a_warning(here: Path) -> None:
    words = ["run", "-m", "BPR", "-d", "tiny", "--epochs=1", "-o", "out", "-q", *SMALL]
    done = CliRunner().invoke(app, [*words, "--leraning_rate=0.1"])
    assert done.exit_code == 2
    assert "Did you mean --learning_rate?" in done.stderr
    assert not (here / "out").exists()
    (here / "shared.yaml").write_text("leraning_rate: 0.1\n")
    done = CliRunner().invoke(app, [*words, "--config-files", "shared.yaml"])
    assert done.exit_code == 0
    assert "'leraning_rate' is read by neither RecBole nor BPR" in done.stderr


def lines_of(epochs: list[Epoch], capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = EpochLines(Screen())
    for epoch in epochs:
        lines.tell(epoch)
    lines.close()
    return capsys.readouterr().err.splitlines()


def test_one_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    epochs = [Epoch(1, 3, 2.0), Epoch(2, 3, 1.5), Epoch(2, 3, 1.5, 0.25), Epoch(3, 3, 1.0)]
    shown = lines_of(epochs, capsys)
    assert [line.split(" (")[0] for line in shown] == [
        "epoch 1 of 3: loss 2",
        "epoch 2 of 3: loss 1.5, validation 0.2500",
        "epoch 3 of 3: loss 1",
    ]


def test_epoch_without_a_loss() -> None:
    assert epoch_line(Epoch(1, 1, None, 0.5, 1.0)) == "epoch 1 of 1: validation 0.5000 (1.0 s)"


def test_candidates_and_runs_that_are_trained_first(capsys: pytest.CaptureFixture[str]) -> None:
    candidate = Epoch(97, 125, None, 0.25, 0.1, what="candidate")
    assert epoch_line(candidate) == "candidate 97 of 125: validation 0.2500 (0.1 s)"
    assert epoch_line(Epoch(3, 125, seconds=0.1, what="candidate")) == "candidate 3 of 125 (0.1 s)"
    epochs = [Epoch(1, 2, 1.0, run="the base"), Epoch(1, 3, 2.0), Epoch(1, 3, 2.0, 0.5)]
    shown = lines_of(epochs, capsys)
    assert [line.split(" (")[0] for line in shown] == [
        "the base, epoch 1 of 2: loss 1",
        "epoch 1 of 3: loss 2, validation 0.5000",
    ]


def test_an_option_like_one_of_the_verb_is_refused(here: Path) -> None:
    """A run would go on for hours, and not be kept where --outptu says."""
    words = ["run", "-m", "BPR", "-d", "tiny", "--epochs", "1", "--outptu", "out"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "option --outptu is not known. Did you mean --output?" in done.stderr
    assert not (here / "saved").exists()


def test_a_warning_is_told_once_a_command(here: Path) -> None:
    """The base and the run read the same ids."""
    file = here / "dataset" / "tiny" / "tiny.inter"
    file.write_text(file.read_text().replace("u3\t", " u3\t"))
    words = ["run", "-m", "BPR", "-d", "tiny", "-e", "aggregate", "--epochs", "1", "--embedding_size", "8"]
    done = CliRunner().invoke(app, [*words, "--enhancers.aggregate.hops", "[1]", "--eval_batch_size", "4096"])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("has blanks or invisible characters") == 1
    assert done.stderr.count("interactions read") == 1
    assert "the base, epoch 1 of 1: loss" in done.stderr
    assert "candidate 10 of" in done.stderr
    assert not any("candidate" in line and "loss" in line for line in done.stderr.splitlines())


def test_metric_table_has_every_metric() -> None:
    table: Any = metric_table({"auc": 0.5, "logloss": 0.7}, {"auc": 0.6})
    assert [list(column.cells) for column in table.columns] == [
        ["auc", "logloss"],
        ["0.5000", "0.7000"],
        ["0.6000", "-"],
    ]


def test_a_notice_from_inside_recboles_training_is_shown(here: Path) -> None:
    """RecBole's `fit` calls burnish there, and what libraries say is left out."""
    rows = [f"u{user}\ti{(7 * user + 3 * step) % 30}\t{step}" for user in range(30) for step in range(8)]
    folder = here / "dataset" / "timed"
    folder.mkdir()
    (folder / "timed.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n"
    )
    words = ["run", "-m", "NextItNet", "-d", "timed", "--epochs=1", "--MAX_ITEM_LIST_LENGTH=5", *SMALL]
    words += ["--train_neg_sample_args=None", "--sequence_training=auto"]
    words += ["--load_col={inter: [user_id, item_id, timestamp]}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (notice,) = [line for line in done.stderr.splitlines() if "trains on prefixes" in line]
    assert notice.startswith("warning: NextItNet trains on prefixes (sequence_training = 'auto'): ")

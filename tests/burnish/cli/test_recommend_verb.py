"""`burnish recommend`, `burnish export` and `burnish run --resume` from the command line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from burnish.cli.main import app

SMALL = ["--embedding_size=8", "--eval_batch_size", "4000", "--train_batch_size=256", "--metrics=[NDCG]"]
SMALL += ["--valid_metric=NDCG@10", "--show_progress", "false"]
TRAIN = ["run", "-m", "BPR", "-d", "tiny", "--epochs", "3", "-o", "out", *SMALL]


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def run(shared: Path) -> Path:
    """The folder of one trained run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        done = call(*TRAIN)
    assert done.exit_code == 0, done.output
    return shared / "out"


def test_to_every_format(run: Path, tmp_path: Path) -> None:
    frames = []
    for name in ("top.csv", "top.json", "top.parquet"):
        done = call("recommend", str(run), "--k", "4", "-o", str(tmp_path / name), "--batch-users", "7")
        assert done.exit_code == 0, done.output
        assert f"written: {tmp_path / name} (160 rows, 40 users)" in done.stderr
        assert done.stdout == ""
    frames.append(pd.read_csv(tmp_path / "top.csv"))
    frames.append(pd.read_json(tmp_path / "top.json", lines=True))
    frames.append(pd.read_parquet(tmp_path / "top.parquet"))
    for frame in frames:
        assert list(frame.columns) == ["user", "rank", "item", "score", "status"]
        assert list(frame["item"]) == list(frames[0]["item"])
        np.testing.assert_allclose(frame["score"].astype(float), frames[0]["score"], rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["top.csv", "top.json", "top.parquet"]


@pytest.mark.parametrize(("suffix", "parts"), [("parquet", 3), ("csv", 2), ("json", 8)])
def test_parts_are_together_what_is_written_without(
    run: Path, tmp_path: Path, suffix: str, parts: int
) -> None:
    words = ["recommend", str(run), "-k", "4", "--batch-users", "7", "-o", str(tmp_path / f"top.{suffix}")]
    assert call(*words).exit_code == 0
    whole = (tmp_path / f"top.{suffix}").read_text("latin-1")
    files = [tmp_path / f"top-{one:05d}-of-{parts:05d}.{suffix}" for one in range(1, parts + 1)]
    for number, file in enumerate(files, start=1):
        done = call(*words, "--shard", f"{number}/{parts}")
        assert done.exit_code == 0, done.output
        # Six batches of seven users.
        assert ("a smaller --batch-users" in done.stderr) == (parts == 8 and not file.read_bytes())
    if suffix == "parquet":
        read = [pd.read_parquet(file) for file in files]
        pd.testing.assert_frame_equal(
            pd.concat(read, ignore_index=True), pd.read_parquet(tmp_path / "top.parquet"), check_exact=True
        )
        assert [part["user"].nunique() for part in read] == [14, 14, 12]
        return
    texts = [file.read_text("latin-1") for file in files]
    if suffix == "csv":
        head = whole[: whole.index("\n") + 1]
        assert all(text.startswith(head) for text in texts)
        texts = [head, *(text.removeprefix(head) for text in texts)]
    assert "".join(texts) == whole


def test_a_part_without_users_has_heads_alone(run: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "parquet"):
        words = ["recommend", str(run), "-u", "u1", "-o", str(tmp_path / f"t.{suffix}"), "--shard", "1/2"]
        done = call(*words)
        assert done.exit_code == 0, done.output
        assert "there are no users for part 1 of 2" in done.stderr
    columns = ["user", "rank", "item", "score", "status"]
    for frame in (
        pd.read_csv(tmp_path / "t-00001-of-00002.csv"),
        pd.read_parquet(tmp_path / "t-00001-of-00002.parquet"),
    ):
        assert list(frame.columns) == columns
        assert not len(frame)
    for wrong in ("0/2", "3/2", "2", "a/b"):
        done = call("recommend", str(run), "--shard", wrong)
        assert done.exit_code == 2
        assert f"--shard '{wrong}': say I/N, with I from 1 to N" in done.stderr


def test_named_users_on_the_screen(run: Path, tmp_path: Path) -> None:
    done = call("recommend", str(run), "--users", "u3, u1", "-k", "2", "--format", "csv", "-q")
    assert done.exit_code == 0, done.output
    assert "reading" not in done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(",")[:2] for line in lines] == [
        ["user", "rank"],
        ["u3", "1"],
        ["u3", "2"],
        ["u1", "1"],
        ["u1", "2"],
    ]
    (tmp_path / "users.txt").write_text("u3\nnobody\n")
    words = ["--users-file", str(tmp_path / "users.txt"), "--missing", "row", "-k", "1", "--format", "json"]
    done = call("recommend", str(run), *words)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "unknown user"]
    assert rows[1]["item"] is None
    table = call("recommend", str(run), "--users", "u3", "-k", "1").stdout
    assert rows[0]["item"] in table
    assert f"{rows[0]['score']:.4f}" in table


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--users", "u300"], "user 'u300': unknown user"),
        (["--users", "u1", "--users-file", "x"], "both name users"),
        (["--users-file", "missing.txt"], "missing.txt: there is no such file"),
        (["--users", ","], "no user is named"),
        (["--output", "top.xlsx"], "suffix '.xlsx'"),
        (["--format", "parquet"], "parquet needs a file"),
        (["--state", "lates", "--users", "u1"], "Did you mean 'latest'"),
        (["--title-field", "title", "--users", "u1"], "no file"),
    ],
)
def test_bad_input(
    run: Path, words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("recommend", str(run), *words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run(tmp_path: Path, run: Path) -> None:
    assert "is not the folder of a run" in call("recommend", str(tmp_path)).stderr
    done = call("recommend", str(run / "checkpoint.pth"))
    assert done.exit_code == 2
    assert "can execute code" in done.stderr
    words = ["recommend", str(run / "checkpoint.pth"), "--users", "u1", "--trust", "--format", "csv"]
    done = call(*words)
    assert done.exit_code == 2  # the checkpoint knows its data as dataset/tiny, which is elsewhere
    assert "data set 'tiny' is not known" in done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        done = call(*words, "--data-path", str(run.parent / "dataset"))
    assert done.exit_code == 0, done.output
    assert "warning: unpickling" in done.stderr


def test_a_failure_leaves_the_old_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.trained.recommend import Recommender

    (tmp_path / "top.csv").write_text("old")
    scores = Recommender.scores
    calls: list[int] = []

    def fail(self: Recommender, users: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("power cut")
        return scores(self, users)

    monkeypatch.setattr(Recommender, "scores", fail)
    done = call("recommend", str(run), "-o", str(tmp_path / "top.csv"), "--batch-users", "5")
    assert done.exit_code == 1
    assert (tmp_path / "top.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_export(run: Path, tmp_path: Path) -> None:
    done = call("export", str(run), "--side", "user", "--output", str(tmp_path / "users.npz"))
    assert done.exit_code == 0, done.output
    assert "40 users, 8 numbers each, refined, table user_embedding.weight" in done.stderr
    with np.load(tmp_path / "users.npz") as arrays:
        assert arrays["vectors"].shape == (40, 8)
    done = call("export", str(run), "--table", "x", "--output", str(tmp_path / "x.csv"))
    assert done.exit_code == 2
    assert "item_embedding.weight" in done.stderr


def test_interrupted_and_resumed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(*[word if word != "out" else "whole" for word in TRAIN]).exit_code == 0
    from burnish.training import stages

    with monkeypatch.context() as patch:
        inner = stages.Run._tell

        def tell(run: stages.Run, epoch: Any) -> None:
            inner(run, epoch)
            if epoch.number == 3:
                raise KeyboardInterrupt

        patch.setattr(stages.Run, "_tell", tell)
        done = call(*TRAIN)
    assert done.exit_code == 130
    assert "stopped after epoch 2; go on with: burnish run --resume out" in done.stderr
    refused = call("run", "--resume", "out", "--learning_rate=0.5")
    assert refused.exit_code == 2
    assert "learning_rate = 0.5 now, and 0.001" in refused.stderr
    done = call("run", "--resume", "out")
    assert done.exit_code == 0, done.output
    assert "going on after epoch 2" in done.stderr
    one, two = (json.loads((here / name / "result.json").read_text()) for name in ("whole", "out"))
    for name in ("losses", "valid_result", "test_result", "best_epoch", "n_epochs"):
        assert one[name] == two[name]
    again = call("run", "--resume", "out")
    assert again.exit_code == 0
    assert "is finished after 3 epochs; give more epochs" in again.stderr
    assert f"{two['test_result']['ndcg@10']:.4f}" in again.stdout
    longer = call("run", "--resume", "out", "--epochs", "4", "--format", "json")
    assert json.loads(longer.stdout)["n_epochs"] == 4


def test_resume_what_is_no_run(here: Path) -> None:
    done = call("run", "--resume", "nowhere")
    assert done.exit_code == 2
    assert "nowhere is not the folder of a run" in done.stderr

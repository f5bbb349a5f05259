"""`burnish value` from the command line."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from burnish import telling
from burnish.cli.main import app
from burnish.enhancers.shapley.valuation import Valuation

SMALL = ["--embedding_size=8", "--eval_batch_size", "4000", "--train_batch_size=256", "--metrics=[NDCG]"]
SMALL += ["--valid_metric=NDCG@10", "--epochs", "3"]
MODEL = ["--model", "BPR", "--dataset", "tiny", *SMALL]


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def run(shared: Path) -> Path:
    """The folder of one trained run, on data with titles."""
    lines = ["item_id:token\ttitle:token_seq", *(f"i{number}\tThe {number}th" for number in range(60))]
    (shared / "dataset" / "tiny" / "tiny.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        done = call("run", *MODEL, "-o", "out")
    assert done.exit_code == 0, done.output
    return shared / "out"


def test_trains_and_values(here: Path) -> None:
    done = call("value", *MODEL, "--out", "new/values.parquet", "--top", "2")
    assert done.exit_code == 0, done.output
    assert "epoch 3 of 3" in done.stderr
    found = Valuation.load("new/values.parquet")
    frame = pd.read_parquet("new/values.parquet")
    assert found.outputs == ("profile",)
    assert sorted(frame["rank.profile"])[:1] == [1]
    assert frame["value.profile"].idxmax() == frame["rank.profile"].idxmin()
    assert (frame["standard_error.profile"] > 0).mean() > 0.9
    original = pd.read_csv("dataset/tiny/tiny.inter", sep="\t")
    pairs = set(zip(original["user_id:token"], original["item_id:token"], strict=True))
    mine = list(zip(frame["user"], frame["item"], strict=True))
    assert set(mine) <= pairs
    assert len(mine) == 640  # 8 of 10 of the interactions of 40 users with 20 each
    best = frame.sort_values("value.profile", ascending=False).iloc[0]
    first = next(line for line in done.stdout.splitlines() if line.startswith("│"))
    assert [cell.strip() for cell in first.split("│")[1:3]] == [best["user"], best["item"]]
    for heading in ("most valuable", "least valuable", "by user", "by item", "by popularity"):
        assert f"profile: {heading}" in done.stdout
    assert sum("│ ..." in line for line in done.stdout.splitlines()) == 2  # users and items are cut
    # Nothing but what was asked for: no checkpoint, no shards.
    assert sorted(path.name for path in here.iterdir() if not path.name.startswith("log")) == [
        "dataset",
        "new",
    ]
    assert [path.name for path in (here / "new").iterdir()] == ["values.parquet"]


def test_a_run_to_every_format(run: Path, tmp_path: Path) -> None:
    frames = []
    for name in ("v.parquet", "v.csv", "v.json"):
        words = ["--objectives", "profile,standing", "--combine", "--repeats", "3", "-q"]
        done = call("value", "--run", str(run), "--out", str(tmp_path / name), *words)
        assert done.exit_code == 0, done.output
        assert "combined: by popularity" in done.stdout
        assert "profile: by user" in done.stdout
        assert "combined: by user" not in done.stdout  # all means are 0
        assert "reading" not in done.stderr
    frames = [
        pd.read_parquet(tmp_path / "v.parquet"),
        pd.read_csv(tmp_path / "v.csv"),
        pd.read_json(tmp_path / "v.json", lines=True),
    ]
    for frame in frames:
        assert list(frame.columns[:4]) == ["user", "item", "row", "title"]
        assert frame["title"].tolist() == [f"The {item[1:]}th" for item in frame["item"]]
        for name in ("profile", "standing", "combined"):
            np.testing.assert_allclose(frame[f"value.{name}"], frames[0][f"value.{name}"], rtol=1e-9)
            assert frame[f"rank.{name}"].tolist() == frames[0][f"rank.{name}"].tolist()
    assert len(list(tmp_path.iterdir())) == 3


def test_the_picture(run: Path, tmp_path: Path) -> None:
    words = ["--objectives", "profile,similarity", "--plot", str(tmp_path / "v.svg")]
    done = call("value", "--run", str(run), *words)
    assert done.exit_code == 0, done.output
    drawn = ET.parse(tmp_path / "v.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    texts = [text.text or "" for text in drawn.iter(f"{name}text")]
    assert "profile: 640 interactions" in texts
    assert "similarity by popularity of the item" in texts
    circles = list(drawn.iter(f"{name}circle"))
    assert 10 <= len(circles) <= 20  # a mean a filled decile, for two outputs
    assert all(0 < float(circle.attrib["cy"]) < float(drawn.attrib["height"]) for circle in circles)
    bars = [bar for bar in drawn.iter(f"{name}rect") if bar.attrib["fill"] == "#0969da"]
    assert len(bars) == 80


def test_trains_into_a_folder_once(here: Path) -> None:
    words = ["--run", "kept", "--out", "v.parquet"]
    first = call("value", *MODEL, *words)
    assert first.exit_code == 0, first.output
    assert json.loads((here / "kept" / "run.json").read_text())["finished"]
    before = Valuation.load("v.parquet")
    again = call("value", *MODEL, *words)
    assert again.exit_code == 0, again.output
    assert "epoch" not in again.stderr
    assert bool((Valuation.load("v.parquet").values == before.values).all())
    done = call("value", "--model", "LightGCN", *words)
    assert done.exit_code == 2
    assert "holds a run of BPR" in done.stderr
    done = call("value", "--run", "kept", "--epochs", "9")
    assert done.exit_code == 2
    assert "trained already" in done.stderr


def test_jobs_that_share_a_valuation(run: Path, tmp_path: Path) -> None:
    """Whoever ends last writes the file, which is that of one job; ranks are over all of it."""
    words = ["value", str(run), "--objectives", "profile,regression", "--combine", "--at-once", "100"]
    alone, shared = tmp_path / "alone.parquet", tmp_path / "shared.parquet"
    assert call(*words, "-o", str(alone)).exit_code == 0
    for number in (3, 1):
        done = call(*words, "-o", str(shared), "--shard", f"{number}/3")
        assert done.exit_code == 0, done.output
        assert not shared.exists()
        assert "shards are still to come" in done.stderr
    done = call(*words, "-o", str(shared), "--shard", "2/3")
    assert done.exit_code == 0, done.output
    assert f"written: {shared} (640 interactions, of all parts)" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.parquet", "shared.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(shared), pd.read_parquet(alone), check_exact=True)
    done = call(*words[:-2], "-o", str(tmp_path / "n.parquet"), "--shard", "2/2")  # all in one shard
    assert done.exit_code == 0
    assert "nothing is left for part 2 of 2: a smaller --at-once than 200000" in done.stderr


def test_a_part_after_another_job_wrote_all(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see all parts there; one is first with the lock, and its parts are gone when the other has it."""
    from burnish.trained.value import Valuer

    file = tmp_path / "v.parquet"
    words = ["value", str(run), "--at-once", "100", "-o", str(file), "--shard", "1/1"]
    first = Valuer.run_share

    def overtaken(self: Valuer, *given: Any) -> None:
        first(self, *given)
        with monkeypatch.context() as patch:
            patch.setattr(Valuer, "run_share", first)
            assert call(*words).exit_code == 0
        file.with_suffix(".seen").write_bytes(file.read_bytes())

    monkeypatch.setattr(Valuer, "run_share", overtaken)
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert f"all parts are in {file}, which another job wrote" in done.stderr
    assert file.read_bytes() == file.with_suffix(".seen").read_bytes()


def test_interrupted_and_given_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.trained.value import Valuer

    words = ["value", "--run", str(run), "--at-once", "100", "--out", str(tmp_path / "v.parquet")]
    judge = Valuer._shard
    with monkeypatch.context() as patch:

        def stop(self: Valuer, number: int) -> Any:
            if number == 2:
                raise KeyboardInterrupt
            return judge(self, number)

        patch.setattr(Valuer, "_shard", stop)
        done = call(*words)
    assert done.exit_code == 130
    assert "stopped after 2 of" in done.stderr
    assert "the same command goes on" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".v.parquet.parts"]
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert "2 of 7 shards were there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]
    resumed = Valuation.load(tmp_path / "v.parquet")
    assert call(*words).exit_code == 0
    assert bool((Valuation.load(tmp_path / "v.parquet").values == resumed.values).all())


def test_training_that_was_interrupted_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.training import stages

    words = ["value", *MODEL, "--run", "kept", "--out", "v.parquet"]
    assert call("value", *MODEL, "--out", "whole.parquet").exit_code == 0
    with monkeypatch.context() as patch:
        inner = stages.Run._tell

        def tell(run: stages.Run, epoch: Any) -> None:
            inner(run, epoch)
            if epoch.number == 2:
                raise KeyboardInterrupt

        patch.setattr(stages.Run, "_tell", tell)
        done = call(*words)
    assert done.exit_code == 130, done.output
    assert "burnish run --resume kept" in done.stderr
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert "going on after epoch 1" in done.stderr
    whole, parted = Valuation.load("whole.parquet"), Valuation.load("v.parquet")
    assert bool((whole.values == parted.values).all())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give --model and --dataset to train, or --run"),
        (["--run", "nothing"], "is not the folder of a run"),
        (["--model", "BPR"], "no dataset is given"),
        (["--model", "BRP", "--dataset", "tiny"], "Did you mean 'BPR'"),
        ([*MODEL, "--objectives", "profil"], "Did you mean 'profile'"),
        ([*MODEL, "--objectives", "attributes"], "train with --enhancers guided, or give --scores FILE"),
        ([*MODEL, "--objectives", "attributes", "--scores", "s.tsv"], "s.tsv"),
        ([*MODEL, "--user", "u1", "--scores", "s.tsv"], "--scores s.tsv: it has no effect on the history"),
        ([*MODEL, "--out", "values.xlsx"], "suffix '.xlsx'"),
        ([*MODEL, "--format", "csv"], "csv needs a file"),
        ([*MODEL, "--plot", "values.png"], "ends in .svg"),
        ([*MODEL, "--out", "file/values.parquet"], "cannot be written"),
        ([*MODEL, "--out", "folder.parquet"], "is a folder"),
        ([*MODEL, "--repeats", "0"], "repeats = 0"),
        ([*MODEL, "--folds", "1"], "folds = 1"),
        ([*MODEL, "--item", "i1"], "--item i1: it belongs to the history of one user; give --user too"),
        ([*MODEL, "--budget", "9"], "--budget 9: it belongs to the history of one user"),
        ([*MODEL, "--user", "u1", "--folds", "3"], "--folds 3: it has no effect on the history of one user"),
        ([*MODEL, "--shard", "1/2", "-o", "v.csv"], "each job would train one of its own; train first"),
        ([*MODEL, "--shard", "1/2"], "--shard 1/2: give --out, the file that all parts end up in"),
        ([*MODEL, "--shard", "1/2", "-o", "v.csv", "--plot", "v.svg"], "a part has not all values to draw"),
        ([*MODEL, "--shard", "3/2"], "--shard '3/2': say I/N, with I from 1 to N"),
        (
            [*MODEL, "--shard", "9", "--at-once", "8"],
            "--shard 9 and --at-once 8 say the same; give --at-once",
        ),
        (
            [*MODEL, "--user", "u1", "--at-once", "3"],
            "--at-once 3: it has no effect on the history of one user",
        ),
        ([*MODEL, "--user", "u1", "--combine"], "it has no effect on the history of one user"),
    ],
)
def test_bad_input(here: Path, words: list[str], says: str) -> None:
    (here / "file").write_text("")
    (here / "folder.parquet").mkdir()
    done = call("value", *words)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    if "epoch 1" in done.stderr:
        pytest.fail("it trained before it looked at the options")
    assert not list(here.glob("**/*.parts"))


def test_which_part_is_worth_most(run: Path, tmp_path: Path) -> None:
    lines = ["item_id\tdarkness\twit", *(f"i{n}\t{n % 10}\t{n % 7}" for n in range(60))]
    (tmp_path / "scores.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["--objectives", "profile,dimensions,prototypes,attributes", "--top", "2", "--repeats", "2"]
    words += ["--scores", str(tmp_path / "scores.tsv")]
    done = call("value", "--run", str(run), *words, "-o", str(tmp_path / "v.parquet"), "--at-once", "200")
    assert done.exit_code == 0, done.output
    found = Valuation.load(tmp_path / "v.parquet")
    assert found.outputs[-2:] == ("attributes.darkness", "attributes.wit")
    assert found.meanings["prototypes.1"].startswith("items like The ")
    for heading in (
        "prototypes: by part",
        "attributes: by part",
        "dimensions: by part, which depends on the",
    ):
        assert heading in done.stdout
    rows = [
        line.split("│")[1].strip()
        for line in done.stdout.split("attributes: by part")[1].splitlines()
        if "│" in line
    ]
    assert [row for row in rows if row in ("darkness", "wit")] == found.by_part("attributes")["part"].tolist()
    halves = [*words, "-o", str(tmp_path / "w.parquet"), "--at-once", "200"]
    for part in ("2/2", "1/2"):
        shared = call("value", "--run", str(run), *halves, "--shard", part)
        assert shared.exit_code == 0, shared.output
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "v.parquet"), pd.read_parquet(tmp_path / "w.parquet")
    )


def test_parts_of_one_value_have_its_tables_once(run: Path, tmp_path: Path) -> None:
    lines = ["item_id\tdarkness\twit", *(f"i{n}\t{n % 10}\t{n % 7}" for n in range(60))]
    (tmp_path / "scores.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = [
        "--objectives",
        "axes,prototypes,attributes",
        "--scores",
        str(tmp_path / "scores.tsv"),
        "--repeats",
        "2",
    ]
    done = call("value", "--run", str(run), *words, "-o", str(tmp_path / "v.parquet"))
    assert done.exit_code == 0, done.output
    assert done.stdout.count("most valuable interactions") == 2
    for head in ("axis worth most", "prototype worth least", "attribute worth most", "attribute worth least"):
        assert head in " ".join(done.stdout.split())
    assert "profile, the sum of axes: most valuable interactions" in done.stdout
    assert "attributes, all together: most valuable interactions" in done.stdout
    profile = Valuation.load(tmp_path / "v.parquet").column("axes")
    row = next(line for line in done.stdout.splitlines() if line.startswith("│"))
    assert f"{float(profile.max()):.4g}" in row


def test_a_failure_leaves_the_old_file(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from burnish.trained.value import Valuer

    def fail(self: Valuer, number: int) -> Any:
        raise RuntimeError("power cut")

    (tmp_path / "v.csv").write_text("old")
    monkeypatch.setattr(Valuer, "_shard", fail)
    done = call("value", "--run", str(run), "--out", str(tmp_path / "v.csv"))
    assert done.exit_code == 1
    assert (tmp_path / "v.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_history_of_a_user(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By enumeration the values add up to the score with the whole history, less the one with none of it."""
    import torch

    import burnish
    from burnish.enhancers.shapley.score_game import ScoreGame

    folder = Path("dataset/timed")
    folder.mkdir()
    rows = [f"u{u}\ti{(u * n) % 17}\t{n}\n" for u in range(1, 17) for n in range(1, 10)]
    header = "user_id:token\titem_id:token\ttimestamp:float\n"
    (folder / "timed.inter").write_text(header + "".join(rows), encoding="utf-8")
    sasrec = [
        "--model",
        "SASRec",
        "--dataset",
        "timed",
        *SMALL,
        "--train_neg_sample_args",
        "~",
        "--hidden_size=8",
    ]
    sasrec += ["--inner_size=8", "--n_layers=1", "--MAX_ITEM_LIST_LENGTH=6"]
    sasrec += ["--load_col={inter: [user_id, item_id, timestamp]}"]
    monkeypatch.setattr(telling, "FIRST", 1e-9)
    done = call("value", *sasrec, "--run", "s", "--user", "u1", "--item", "i3", "--out", "v.csv")
    assert done.exit_code == 0, done.output
    table = pd.read_csv("v.csv")
    assert set(table["user"]) == {"u1"}
    for stage in ("validating: batch 1 (", "testing: batch 1 (", "valuing: histories scored "):
        assert stage in done.stderr
    trained = burnish.load_run("s")
    game = ScoreGame.for_item(trained.model, trained.splits.training, "u1", "i3")
    ends = game(torch.tensor([[True] * game.n_players, [False] * game.n_players]))
    assert table["value.score"].sum() == pytest.approx(float(ends[0, 0] - ends[1, 0]), abs=1e-5)
    assert "standard error" in done.stdout
    again = call("value", "--run", "s", "--user", "u1", "--estimator", "permutation", "--budget", "40")
    assert again.exit_code == 0, again.output
    assert "accuracy" in again.stdout
    for words, says in (
        (["--user", "u999"], "'u999' is not known"),
        (["--user", "u1", "--item", "x"], "'x' is not known"),
    ):
        bad = call("value", "--run", "s", *words)
        assert bad.exit_code == 2
        assert says in bad.stderr


def test_edges_are_of_a_path_model_alone(run: Path, here: Path) -> None:
    done = call("value", str(run), "--edges")
    assert done.exit_code != 0
    assert "BPR was trained without a path model" in done.stderr
    done = call("value", str(run), "--edges", "--combine")
    assert done.exit_code != 0
    assert "--combine: it has no effect on the edges of a graph" in done.stderr


def test_edges_by_relation(here: Path) -> None:
    walks = "{metapaths: [user -rated-> item <-rated- user -rated-> item]}"
    trained = call(
        "run", "--model", "PathWalks", "--dataset", "tiny", *SMALL, "--walks", walks, "-o", "walks"
    )
    assert trained.exit_code == 0, trained.output
    done = call("value", "walks", "--edges", "--repeats", "2", "--top", "2", "--out", "edges.parquet")
    assert done.exit_code == 0, done.output
    frame = pd.read_parquet("edges.parquet")
    assert len(frame) == 640
    assert (
        f"rated: 640 edges, {(frame['value.edges'] > 0).mean():.0%} of them worth more than 0" in done.stdout
    )
    assert "written: edges.parquet (640 edges" in done.stderr
    assert sum("│ ..." in line for line in done.stdout.splitlines()) == 1

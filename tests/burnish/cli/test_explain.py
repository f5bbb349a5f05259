"""`burnish explain` from the command line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from burnish.cli.main import app

from .conftest import ITEMS

SMALL = ["--embedding_size=8", "--eval_batch_size", "4000", "--train_batch_size=256", "--metrics=[NDCG]"]
SMALL += ["--valid_metric=NDCG@10", "--show_progress", "false", "--epochs", "3"]
TRAIN = ["run", "-m", "BPR", "-d", "tiny", *SMALL]
ATTRIBUTES = ("warmth", "speed")


def call(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def run(shared: Path) -> Path:
    """A folder with the runs guided, shapley and plain; the items have titles."""
    numbers = random.Random(2)
    scores = ["\t".join(("item_id", *ATTRIBUTES))]
    titles = ["item_id:token\tname:token_seq"]
    for item in range(ITEMS):
        scores.append(f"i{item}\t{numbers.randint(0, 9)}\t{numbers.randint(0, 9)}")
        titles.append(f"i{item}\tThe {item} [tales]")
    (shared / "scores.tsv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    (shared / "dataset" / "tiny" / "tiny.item").write_text("\n".join(titles) + "\n", encoding="utf-8")
    guided = ["-e", "guided", "--enhancers.guided.scores", str(shared / "scores.tsv")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        for name, words in (("guided", guided), ("shapley", ["-e", "shapley"]), ("plain", [])):
            done = call(*TRAIN, *words, "-o", name)
            assert done.exit_code == 0, done.output
    return shared


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_adds_up_and_has_profiles(run: Path) -> None:
    words = ["--user", "u3", "--user", "u1", "--top", "2", "--profile", "--format", "json", "-q"]
    done = call("explain", "--run", str(run / "guided"), *words)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    found = objects(done.stdout)
    assert [one["user"] for one in found] == ["u3", "u3", "u1", "u1"]
    best = call("recommend", str(run / "guided"), "--users", "u3,u1", "-k", "2", "--format", "json", "-q")
    assert [one["item"] for one in found] == [row["item"] for row in objects(best.stdout)]
    for one in found:
        whole = sum(r["contribution"] for r in one["reasons"]) + one["reasons"][0]["evidence"]["rest"]
        assert whole == pytest.approx(one["score"], rel=1e-4, abs=1e-6)
        assert set(one["user_profile"]) == set(one["item_profile"]) == set(ATTRIBUTES)
        assert 0 <= one["share"] <= 1
        assert one["title"] == f"The {one['item'][1:]} [tales]"
        assert all(one["title"] in reason["text"] for reason in one["reasons"])


def test_a_table_for_people(run: Path) -> None:
    words = ["--user", "u3", "--item", "i5", "--profile"]
    done = call("explain", "-r", str(run / "guided"), *words)
    assert done.exit_code == 0, done.output
    assert "reading the run" in done.stderr
    assert "The 5 [tales] (i5)" in done.stdout
    one = objects(call("explain", "-r", str(run / "guided"), *words, "-f", "json").stdout)[0]
    assert f"{one['score']:.4f}" in done.stdout
    assert f"{one['share']:.0%}" in done.stdout
    for reason in one["reasons"]:
        assert f"{reason['contribution']:+.4f}  is " in done.stdout
        assert (
            f" in {reason['evidence']['attribute']} ({reason['evidence']['item_score']:+.1f} sd)"
            in done.stdout
        )


def test_the_history_with_titles(run: Path) -> None:
    done = call("explain", "-r", str(run / "shapley"), "--user", "u3", "--top", "1", "--reasons", "4")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("you chose The ") == 4
    assert "by attributes" not in done.stdout
    done = call("explain", "-r", str(run / "shapley"), "--user", "u3", "--profile")
    assert done.exit_code == 2
    assert "train with guided" in done.stderr


def test_to_files(run: Path, tmp_path: Path) -> None:
    for name in ("why.json", "why.csv", "why.parquet", "why.txt"):
        done = call(
            "explain", "-r", str(run / "guided"), "--user", "u3", "--top", "3", "-o", str(tmp_path / name)
        )
        assert done.exit_code == 0, done.output
        assert "3 recommendations explained" in done.stderr
        assert done.stdout == ""
    found = objects((tmp_path / "why.json").read_text())
    for frame in (pd.read_csv(tmp_path / "why.csv"), pd.read_parquet(tmp_path / "why.parquet")):
        assert list(frame["item"]) == [one["item"] for one in found for _ in one["reasons"]]
        assert list(frame["contribution"]) == pytest.approx(
            [reason["contribution"] for one in found for reason in one["reasons"]]
        )
        assert json.loads(frame["evidence"].iloc[0])["attribute"] in ATTRIBUTES
    assert found[0]["title"] in (tmp_path / "why.txt").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "why.csv",
        "why.json",
        "why.parquet",
        "why.txt",
    ]


@pytest.mark.parametrize(
    ("which", "words", "says"),
    [
        ("guided", ["--user", "u300"], "user 'u300' is not known. Did you mean 'u30'"),
        ("guided", ["--user", "u3", "--item", "j5"], "item 'j5' is not known"),
        ("guided", ["--user", "u3", "-e", "guide"], "Did you mean 'guided'"),
        ("guided", ["--user", "u3", "--format", "txt"], "txt needs a file"),
        ("guided", ["--user", "u3", "--format", "jsn"], "Did you mean 'json'"),
        ("guided", ["--user", "u3", "-o", "why.xlsx"], "suffix '.xlsx'"),
        ("guided", ["--user", "u3", "-o", "why.csv", "--profile"], "--profile has no place in csv"),
        ("guided", ["--user", "u3", "--reasons", "0"], "reasons = 0"),
        ("guided", ["--user", "u3", "--title-field", "nam"], "Did you mean 'name'"),
        ("plain", ["--user", "u3", "-e", "backbone"], "by the name 'history', the user's history"),
        ("guided", ["--user", "u3", "-e", "histroy"], "'histroy' is not known. Did you mean 'history'"),
        ("guided", ["--user", "u3", "-e", "backbon"], "method or attached enhancer 'backbon' is not known"),
        ("plain", ["--top", "2"], "no user is named"),
        ("plain", ["--user", "u3", "--shard", "1/2"], "give --batch too"),
        ("plain", ["--batch"], "give --out NAME.parquet"),
        ("plain", ["--batch", "-o", "why.csv"], "give --out NAME.parquet"),
        ("plain", ["--batch", "-o", "why.parquet", "--shard", "3/2"], "I from 1 to N"),
        ("plain", ["--batch", "-o", "why.parquet", "--item", "i3"], "--item has no place beside --batch"),
        ("plain", ["--user", "u3", "--html", "why.svg"], "ends in .html"),
        (
            "plain",
            ["--user", "u3", "--written-by", "m", "--html", "w.html"],
            "give --html PAGE.html and --ledger FILE",
        ),
        ("plain", ["--user", "u3", "--ledger", "l.sqlite"], "are of --written-by MODEL"),
        ("guided", ["--user", "u3", "--budget", "99"], "this run's are of guided"),
        ("nothing", ["--user", "u3"], "does not exist"),
        ("plain", ["--user", "u3,u1"], "on the command line --users u3,u1)"),
        ("plain", ["--user", "u3", "--item", "i3,i1"], "on the command line --items i3,i1)"),
    ],
)
def test_bad_input(
    run: Path, which: str, words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call("explain", "--run", str(run / which), *words)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_page(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    done = call("explain", str(run / "plain"), "--user", "u3", "--html", str(page), "--top", "2")
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "folded in from the history" in done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count('<li class="card"') == 2
    assert "Because you chose The " in text


def test_more_shares_than_users(run: Path, tmp_path: Path) -> None:
    parts = []
    for number in (1, 2):
        words = ["--users", "u3", "--batch", "--top", "2", "--out", str(tmp_path / "b.parquet")]
        done = call("explain", str(run / "plain"), *words, "--shard", f"{number}/2")
        assert done.exit_code == 0, done.output
        parts.append(pd.read_parquet(tmp_path / f"b-0000{number}-of-00002.parquet"))
    assert [part["user"].nunique() for part in parts] == [0, 1]
    assert parts[0].dtypes.equals(parts[1].dtypes)
    assert "there are no users for part" in " ".join(
        call("explain", str(run / "plain"), *words, "--shard", "1/2").stderr.split()
    )
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".parquet", ".parquet"]


def test_many_users_in_shares(run: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "all.parquet", tmp_path / "why.parquet"
    done = call("explain", str(run / "plain"), "--batch", "--out", str(whole), "--top", "2", "--reasons", "2")
    assert done.exit_code == 0, done.output
    assert f"written: {whole} (80 recommendations explained)" in " ".join(done.stderr.split())
    for share in ("1/2", "2/2"):
        words = ["--batch", "--out", str(part), "--top", "2", "--reasons", "2", "--shard", share]
        assert call("explain", str(run / "plain"), *words).exit_code == 0
    frame = pd.read_parquet(whole)
    assert frame.groupby("user")["item"].nunique().eq(2).all()
    assert frame["sentence"].str.startswith("Because you chose").all()
    halves = pd.concat([pd.read_parquet(tmp_path / f"why-0000{n}-of-00002.parquet") for n in (1, 2)])
    order = ["user", "rank", "reason"]
    pd.testing.assert_frame_equal(
        halves.sort_values(order, ignore_index=True), frame.sort_values(order, ignore_index=True)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.parquet",
        "why-00001-of-00002.parquet",
        "why-00002-of-00002.parquet",
    ]

"""`burnish paths` from the command line, on a tiny data set with genres."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from burnish.cli.main import app

USERS, ITEMS = 30, 40


def call(*words: str) -> Any:
    return CliRunner().invoke(app, ["paths", *words])


def write(folder: Path, held_out: int) -> None:
    """Users like one genre; three files, of which the last two are drawn by `held_out`."""
    target = folder / "dataset" / "shop"
    target.mkdir(parents=True, exist_ok=True)
    liked = {user: [item for item in range(ITEMS) if item % 3 == user % 3] for user in range(USERS)}
    for part, draw, n in (("train", 1, 8), ("valid", held_out, 3), ("test", held_out + 1, 3)):
        numbers = random.Random(draw)
        rows = [f"u{user}\ti{item}" for user in range(USERS) for item in numbers.sample(liked[user], n)]
        if part == "train":  # every item has its number here, whatever the others hold
            rows += [f"u{item % 3}\ti{item}" for item in range(ITEMS)]
        text = "\n".join(["user_id:token\titem_id:token", *dict.fromkeys(rows)]) + "\n"
        (target / f"shop.{part}.inter").write_text(text, encoding="utf-8")
    genres = [f"i{item}\tg{item % 3}\tc{item % 7}" for item in range(ITEMS)]
    lines = ["item_id:token\tgenre:token\tcolour:token", *genres]
    (target / "shop.item").write_text("\n".join(lines) + "\n", encoding="utf-8")


SPLIT = ("--dataset", "shop", "--benchmark_filename", "[train, valid, test]")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mined(*words: str) -> list[dict[str, Any]]:
    result = call("mine", *SPLIT, "--format", "json", "-q", *words)
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_relations_of_the_training_split(shop: Path) -> None:
    n_train = len((shop / "dataset/shop/shop.train.inter").read_text().splitlines()) - 1
    result = call("graph", *SPLIT, "--format", "json", "-q")
    assert result.exit_code == 0, result.output
    rows = {row["relation"]: row for row in json.loads(result.stdout)}
    assert rows["rated"] == {
        "relation": "rated",
        "from": "user",
        "to": "item",
        "edges": n_train,
        "nodes from": USERS,
        "nodes to": ITEMS,
    }
    assert rows["genre"]["edges"] == ITEMS
    table = call("graph", *SPLIT)
    assert "genre" in table.stdout
    assert f"user {USERS}, item {ITEMS}, " in table.stderr
    assert call("graph", *SPLIT, "--format", "markdown").stdout.startswith("| relation | from | to | edges |")


def test_meta_paths_with_popularity_last(shop: Path) -> None:
    *rows, popular = mined()
    assert rows[0]["meta-path"] in {
        "user -rated-> item -genre-> genre <-genre- item",
        "user -rated-> item <-rated- user -rated-> item",
    }
    assert [row["collaborative"] for row in rows] == [
        "-genre->" not in row["meta-path"] and "-colour->" not in row["meta-path"] for row in rows
    ]
    assert popular["meta-path"] == "popularity"
    assert rows[0]["ndcg"] - popular["ndcg"] == pytest.approx(rows[0]["lift"])
    table = call("mine", *SPLIT, "--at", "5")
    assert "NDCG@5" in table.stdout
    assert "popularity" in table.stdout
    assert table.exit_code == 0
    assert call("mine", *SPLIT, "--format", "markdown").stdout.startswith(
        "| meta-path | collaborative | precision@10 |"
    )


def test_nothing_but_training_is_looked_at(shop: Path) -> None:
    before, genre = mined(), (shop / "dataset/shop/shop.test.inter").read_text()
    write(shop, 17)
    assert (shop / "dataset/shop/shop.test.inter").read_text() != genre
    assert mined() == before
    with (shop / "dataset/shop/shop.train.inter").open("a") as file:
        file.write("".join(f"u{user}\ti{(user + 1) % 3}\n" for user in range(USERS)))
    assert mined() != before


def test_options_reach_the_work(shop: Path) -> None:
    assert len(mined("--keep", "1")) == 2
    best = mined("--diverse", "0")
    assert [row["added"] for row in best[:-1]] == pytest.approx([row["ndcg"] for row in best[:-1]])
    assert mined("--seed", "5") == mined("--seed", "5") != mined("--seed", "6")
    for words in (("--users", "7"), ("--share", "0.5"), ("--at", "3")):
        assert mined(*words) != mined()
    long = mined("--longest", "5", "--keep", "50", "--diverse", "0")
    assert max(len(row["meta-path"].split()) // 2 for row in long) == 5


def test_a_list_to_be_pasted(shop: Path) -> None:
    result = call("mine", *SPLIT, "--format", "yaml", "-q")
    assert yaml.safe_load(result.stdout) == {"metapaths": [row["meta-path"] for row in mined()[:-1]]}


def test_the_graph_has_options_in_a_file(shop: Path) -> None:
    (shop / "graph.yaml").write_text("item_columns: [colour]\n", encoding="utf-8")
    assert not any("genre" in row["meta-path"] for row in mined("--graph", "graph.yaml"))
    (shop / "graph.yaml").write_text("item_colums: [colour]\n", encoding="utf-8")
    result = call("mine", *SPLIT, "--graph", "graph.yaml")
    assert result.exit_code == 2
    assert "graph.yaml: option 'item_colums' is not known. Did you mean 'item_columns'?" in result.stderr
    result = call("graph", *SPLIT, "--graph", "grph.yaml")
    assert result.exit_code == 2
    assert "Did you mean 'graph.yaml'?" in result.stderr


def test_data_and_the_backbone_may_be_named_in_a_file(shop: Path) -> None:
    (shop / "base.yaml").write_text(
        "model: SASRec\ndataset: shop\nbenchmark_filename: [train, valid, test]\n", encoding="utf-8"
    )
    result = call("graph", "--config-files", "base.yaml", "--format", "json")
    # a model of histories reads the order of interactions, which these data do not have
    assert result.exit_code == 2
    result = call("graph", "--config-files", "base.yaml", "--backbone", "BPR", "--format", "json", "-q")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["relation"] == "rated"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--share", "2"], "share = 2.0: give a number between 0 and 1"),
        (["--diverse", "2"], "diverse = 2.0: give a number from 0 to 1"),
        (["--format", "csv"], "format 'csv' is not known"),
        (["--longest", "1"], "no meta-path of up to 1 step leads"),
    ],
)
def test_what_is_wrong_is_said(shop: Path, words: list[str], said: str) -> None:
    result = call("mine", *SPLIT, *words)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_data_set_is_needed(shop: Path) -> None:
    result = call("graph")
    assert result.exit_code == 2
    assert "no dataset is given" in result.stderr
    result = call("graph", "--dataset", "shp")
    assert result.exit_code == 2
    assert "'shp' is not known" in result.stderr


def test_a_data_set_with_the_graph_as_knowledge_files(shop: Path) -> None:
    result = call("export", *SPLIT, "--out", "dataset/known")
    assert result.exit_code == 0, result.output
    assert "40 items linked" in result.stderr
    assert (shop / "dataset/known/known.valid.inter").read_bytes() == (
        shop / "dataset/shop/shop.valid.inter"
    ).read_bytes()
    again = call("export", *SPLIT, "--out", "dataset/known")
    assert again.exit_code == 2
    assert "dataset/known is there" in again.stderr

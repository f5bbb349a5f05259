"""A practitioner's journey: a table as it comes out of a shop, to recommendations, reasons and a baked model."""

from __future__ import annotations

import json
import random
import shlex
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from burnish.cli.main import app


def said(line: str) -> str:
    """What a command of the shell prints."""
    done = CliRunner().invoke(app, shlex.split(line)[1:])
    assert done.exit_code == 0, done.output
    return str(done.output)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """orders.csv and goods.csv with what tables have: zeros before ids, quotes, doubles, a blank title."""
    folder = tmp_path_factory.mktemp("shop")
    numbers = random.Random(3)
    kinds = ["garden", "kitchen", "office"]
    rows = []
    for customer in range(50):
        liked = customer % 3
        for _ in range(16):
            item = 3 * numbers.randrange(40) + (liked if numbers.random() < 0.8 else numbers.randrange(3))
            day = numbers.randrange(1, 29)
            rows.append(
                (f"{customer:04}", f"{item:03}", f"2024-{numbers.randrange(1, 13):02}-{day:02} 10:00")
            )
    rows.append(rows[0])  # the same line again
    orders = pd.DataFrame(rows, columns=["client", "article", "bought at"])
    orders.to_csv(folder / "orders.csv", index=False)
    goods = pd.DataFrame(
        {
            "article": [f"{item:03}" for item in range(120)],
            "title": [f'The "{kinds[item % 3]}" thing, no. {item}' if item else "" for item in range(120)],
            "kind": [kinds[item % 3] for item in range(120)],
        }
    )
    goods.to_csv(folder / "goods.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(shop: Path) -> Path:
    """The shop, once its commands were given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shop)
        patch.setattr(sys, "argv", ["python"])
        said(
            "burnish data csv orders.csv --user client --item article --time 'bought at' --items goods.csv "
            "--out dataset/shop"
        )
        said(
            "burnish run --model BPR --dataset shop --epochs 40 --learning_rate 0.05 --embedding_size 8 "
            "--enhancers softmax,average --output out --seed 1"
        )
    return shop


@pytest.fixture
def here(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(sys, "argv", ["python"])
    return trained


def test_it_learns_what_the_table_holds(here: Path) -> None:
    """Recommendations are of the kind that a client buys, and more so than by chance."""
    said("burnish recommend out --k 5 --output top.csv")
    top = pd.read_csv("top.csv", dtype=str)
    assert list(top.columns[:3]) == ["client", "rank", "article"]
    same = top.client.astype(int) % 3 == top.article.astype(int) % 3
    assert len(top) == 50 * 5
    assert same.mean() > 0.6
    result = json.loads((here / "out" / "result.json").read_text())
    assert 0 < result["test_result"]["ndcg@10"] <= 1


def test_ids_and_titles_are_those_of_the_tables(here: Path) -> None:
    shown = said("burnish recommend out --users 0007 --k 120 --include-known -q --format csv")
    assert shown.splitlines()[1].startswith("0007,1,")
    assert "no. 12" in shown


def test_the_baked_model_is_a_plain_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RecBole checkpoint whose tables give the scores of the run."""
    import burnish

    said("burnish bake out --output shop.pth")
    baked: Any = torch.load("shop.pth", weights_only=False)
    names = set(baked["state_dict"])
    assert names == {"user_embedding.weight", "item_embedding.weight"}
    run = burnish.load_run("out", options={"show_progress": False})
    users = run.dataset.token2id("client" if "client" in run.dataset.field2token_id else "user_id", ["0007"])
    tables = [baked["state_dict"][f"{side}_embedding.weight"] for side in ("user", "item")]
    wanted = tables[0][users] @ tables[1].T
    own = burnish.recommend(run, ["0007"], k=3)
    order = wanted[0].argsort(descending=True).tolist()
    best = [run.dataset.id2token(run.dataset.iid_field, item) for item in order if item]
    listed = list(own.item)
    assert [item for item in best if item in set(listed)] == listed

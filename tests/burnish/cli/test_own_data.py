"""`burnish data csv`, the page that shows it, and the verbs that use the names of one's own tables."""

from __future__ import annotations

import io
import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from burnish.cli.main import app
from burnish.data.example import write_example

PAGE = Path(__file__).parents[3] / "docs" / "own-data.md"


def call(line: str) -> Any:
    words = shlex.split(line)
    assert words[0] == "burnish"
    return CliRunner().invoke(app, words[1:])


def said(line: str) -> str:
    done = call(line)
    assert done.exit_code == 0, done.output
    return str(done.output)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where the commands of the page were given."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["python"])
        for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("python -m "):
                    patch.delitem(sys.modules, line.split()[2], raising=False)
                    runpy.run_module(line.split()[2], run_name="__main__")
                else:
                    said(line)
    return folder


@pytest.fixture
def here(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shop)
    return shop


def test_the_page_leads_to_a_baked_model(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (here / "bookshop.pth").is_file()
    assert json.loads((here / "out" / "run.json").read_text())["dataset"] == "bookshop"
    head = (here / "ratings.csv").read_text().splitlines()[0]
    assert head in PAGE.read_text(encoding="utf-8")
    monkeypatch.delitem(sys.modules, "burnish.data.example", raising=False)
    with pytest.raises(SystemExit, match="is there already"):
        runpy.run_module("burnish.data.example", run_name="__main__")


def test_the_page_names_every_option() -> None:
    from dataclasses import fields

    from burnish.cli.data_csv import CsvOptions

    text = PAGE.read_text(encoding="utf-8")
    options = {f"--{one.name.replace('_', '-')}" for one in fields(CsvOptions)} - {"--quiet"}
    assert {option for option in options if option not in text} == set()


def test_recommendations_have_the_names_of_the_table(here: Path) -> None:
    head = said("burnish recommend out --users C0001 --k 2 -q --format csv").splitlines()[0]
    assert head == "customer,rank,sku,score,title,status"
    said("burnish recommend out --k 2 --output top.parquet")
    assert list(pd.read_parquet("top.parquet").columns[:3]) == ["customer", "rank", "sku"]
    table = said("burnish recommend out --users C0001 --k 2 -q")
    assert "customer" in table
    assert "sku" in table


def test_values_have_the_names_of_the_table(here: Path) -> None:
    table = said("burnish value --run out --top 2 --out values.csv")
    assert "customer" in table
    assert (here / "values.csv").read_text().startswith("customer,sku,row,title,")
    said("burnish value --run out --top 2 --out values.parquet -q")
    assert "user" in pd.read_parquet("values.parquet")


def test_scores_and_explanations_with_the_names_of_the_table(here: Path) -> None:
    books = pd.read_csv("books.csv", dtype=str)
    scores = books[["sku"]].assign(humor=range(len(books)), pace=range(len(books), 0, -1))
    scores.to_csv("scores.csv", index=False)
    said(
        "burnish run --model BPR --dataset bookshop --epochs 1 --enhancers guided --enhancers.guided.scores "
        "scores.csv --output guided -q"
    )
    table = said("burnish explain --run guided --user C0001 --top 1 -q")
    assert "customer C0001" in table
    assert "customer 'C1' is not known" in call("burnish explain --run guided --user C1").output
    content = json.loads(said("burnish explain --run guided --user C0001 --top 1 -q --format json"))
    assert list(content)[:2] == ["customer", "sku"]
    assert said("burnish explain --run guided --user C0001 --top 1 -q --format csv").startswith(
        "customer,sku,"
    )
    shown = said("burnish guide show --scores scores.csv --dataset bookshop --top humor --k 1 -q")
    assert re.search(r"sku .*title", shown)
    assert "149" in shown
    refused = call("burnish guide show --scores scores.csv")
    assert refused.exit_code == 2
    assert "say --dataset" in refused.output
    assert "name it" in call("burnish guide show --scores scores.csv --ITEM_ID_FIELD=sku").output


def test_a_data_set_with_fields_of_its_own(here: Path) -> None:
    """Made without burnish: the options name the columns, and `load_col` follows them."""
    other = here / "dataset" / "plain"
    other.mkdir()
    for ending in ("inter", "item"):
        text = (here / "dataset" / "bookshop" / f"bookshop.{ending}").read_text()
        named = text.replace("user_id:", "customer:", 1).replace("item_id:", "sku:", 1)
        (other / f"plain.{ending}").write_text(named)
    fields = "--USER_ID_FIELD=customer --ITEM_ID_FIELD=sku"
    said(f"burnish run --model BPR --dataset plain {fields} --epochs 1 --enhancers shapley --output plain -q")
    assert said("burnish recommend plain --users C0001 --k 1 -q --format csv").startswith(
        "customer,rank,sku,"
    )
    assert "customer C0001" in said("burnish explain --run plain --user C0001 --top 1 -q")
    assert "sku" in said("burnish value --run plain --top 1 -q")
    pd.DataFrame({"sku": ["001", "002"], "humor": [1, 2]}).to_csv("few.csv", index=False)
    assert "002" in said(f"burnish guide show --scores few.csv --dataset plain {fields} --top humor -q")


def test_what_the_verb_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path)
    dry = call("burnish data csv ratings.csv --items books.csv --dry-run")
    assert dry.exit_code == 0, dry.output
    assert "dry run: nothing was written" in dry.stderr
    assert "customer" in dry.stdout
    assert not (tmp_path / "dataset").exists()
    done = call("burnish data csv ratings.csv --items books.csv --k-core 3 --out elsewhere/shop")
    assert f"next: burnish run --model BPR --dataset shop --data-path {tmp_path / 'elsewhere'}" in done.stderr
    assert "taken by their names in ratings.csv: user: column 'customer'" in done.stderr
    assert "double quotes in texts became two apostrophes, in 40 cells" in done.stderr
    again = call("burnish data csv ratings.csv --out elsewhere/shop")
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert call("burnish data csv ratings.csv --out elsewhere/shop --force -q").output == ""
    wrong = call("burnish data csv ratings.csv --item sko --out dataset/x")
    assert wrong.exit_code == 2
    assert "'sko' is not known. Did you mean 'sku'?" in wrong.stderr
    assert "out is missing" in call("burnish data csv ratings.csv").stderr


def test_long_examples_are_cut() -> None:
    from burnish.cli.data_csv import column_table
    from burnish.data import from_frame

    frame = pd.DataFrame({"user": [1, 2], "item": ["x" * 60, "y"]})
    page = io.StringIO()
    Console(file=page, width=200).print(column_table(from_frame(frame, dry_run=True)))
    assert f"{'x' * 37}..." in page.getvalue()
    assert "x" * 38 not in page.getvalue()

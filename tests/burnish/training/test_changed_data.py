"""Data that changed since a run began are refused by every verb, whatever changed: times, ratings, features, splits."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import burnish
from burnish.errors import DataError
from burnish.training.identity import _values, check_data, check_split
from burnish.training.train import resume, train

Rows = list[list[str]]


def write(folder: Path, seed: int = 1) -> None:
    """Data with times, ratings, features of items and users, and a graph."""
    numbers = random.Random(seed)
    files: dict[str, Rows] = {
        "inter": [["user_id:token", "item_id:token", "rating:float", "timestamp:float"]],
        "item": [["item_id:token", "price:float", "kinds:token_seq"]],
        "user": [["user_id:token", "age:float"]],
        "kg": [["head_id:token", "relation_id:token", "tail_id:token"]],
        "link": [["item_id:token", "entity_id:token"]],
    }
    for user in range(20):
        files["user"].append([f"u{user}", str(20 + user)])
        for step, item in enumerate(numbers.sample(range(25), 10)):
            files["inter"].append([f"u{user}", f"i{item}", str(numbers.randint(1, 5)), str(1.6e9 + step)])
    for item in range(25):
        files["item"].append([f"i{item}", str(item + 0.5), f"k{item % 4} k{item % 3}"])
        files["kg"] += [[f"e{item}", "r1", f"e{(item + 1) % 25}"], [f"e{item}", "r2", f"e{(item * 3) % 25}"]]
        files["link"].append([f"i{item}", f"e{item}"])
    place = folder / "d"
    place.mkdir(parents=True)
    for name, rows in files.items():
        put(place / f"d.{name}", rows)


def put(file: Path, rows: Rows) -> None:
    file.write_text("\n".join("\t".join(row) for row in rows) + "\n")


def edited(folder: Path, name: str, change: Callable[[Rows], Any]) -> None:
    file = folder / "d" / f"d.{name}"
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    change(rows)
    put(file, rows)


OPTIONS: dict[str, Any] = {
    "load_col": {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "item": ["item_id", "price", "kinds"],
        "user": ["user_id", "age"],
    },
    "eval_args": {"order": "TO", "split": {"LS": "valid_and_test"}, "group_by": "user", "mode": "full"},
    "embedding_size": 4,
    "epochs": 1,
    "threads": 1,
}
GRAPH = {
    "load_col": {
        "inter": ["user_id", "item_id"],
        "kg": ["head_id", "relation_id", "tail_id"],
        "link": ["item_id", "entity_id"],
    },
    "embedding_size": 4,
    "kg_embedding_size": 4,
    "epochs": 1,
    "threads": 1,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data`, a run of BPR in `BPR` and one of CKE in `CKE`."""
    folder = tmp_path_factory.mktemp("world")
    write(folder / "data")
    for model, options in (("BPR", OPTIONS), ("CKE", GRAPH)):
        data = {"data_path": str(folder / "data")}
        train(model, "d", options={**options, **data}, folder=folder / model, save_every=1)
    return folder


@pytest.fixture
def here(world: Path, tmp_path: Path) -> Path:
    """A copy; its runs look for their data beside themselves."""
    folder = Path(shutil.copytree(world, tmp_path / "here"))
    for model in ("BPR", "CKE"):
        file = folder / model / "run.json"
        content = json.loads(file.read_text())
        content["options"]["data_path"] = str(folder / "data")
        file.write_text(json.dumps(content))
    return folder


VERBS: dict[str, Callable[[Path], Any]] = {
    "load_run": burnish.load_run,
    "recommend": lambda run: burnish.recommend(run, k=1),
    "export": lambda run: burnish.export_embeddings(run, "item"),
    "resume": lambda run: resume(run, options={"epochs": 2}),
}


def turned(rows: Rows, column: int, value: Callable[[str], str]) -> None:
    for row in rows[1:]:
        row[column] = value(row[column])


def one_price(rows: Rows) -> None:
    rows[-1][1] = "-3.25"


def one_kind_more(rows: Rows) -> None:
    rows[-1][2] = "k1 k2 k3"


CHANGES: dict[str, tuple[str, Callable[[Rows], Any], str]] = {
    "times turned": ("inter", lambda rows: turned(rows, 3, lambda t: str(3.2e9 - float(t))), r"timestamp \(d.inter\)"),
    "ratings turned": ("inter", lambda rows: turned(rows, 2, lambda r: str(6 - int(r))), r"rating \(d.inter\)"),
    "one price": ("item", one_price, r"price \(d.item\)"),
    "one item's kinds": ("item", one_kind_more, r"kinds \(d.item\)"),
    "ages": ("user", lambda rows: turned(rows, 1, lambda a: str(int(a) + 1)), r"age \(d.user\)"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("verb", VERBS)
def test_what_changed_is_refused_and_named(change: str, verb: str, here: Path) -> None:
    name, alter, named = CHANGES[change]
    edited(here / "data", name, alter)
    with pytest.raises(
        DataError, match=f"is not the one this run was made with: it has other values in {named}"
    ):
        VERBS[verb](here / "BPR")


def test_several_columns_are_listed(here: Path) -> None:
    for name, alter, _ in CHANGES.values():
        edited(here / "data", name, alter)
    with pytest.raises(DataError, match=r"it has other values in .*, .*, .* and 2 more"):
        burnish.load_run(here / "BPR")


def test_a_graph_that_changed(here: Path) -> None:
    burnish.load_run(here / "CKE")

    def swap(rows: Rows) -> None:
        rows[1][2], rows[3][2] = rows[3][2], rows[1][2]

    edited(here / "data", "kg", swap)
    with pytest.raises(DataError, match=r"tail_id \(d\.kg\)"):
        resume(here / "CKE", options={"epochs": 2})


def test_what_no_run_reads_may_change(here: Path) -> None:
    edited(here / "data", "item", one_price)
    burnish.load_run(here / "CKE")  # which loads no prices
    (here / "data/d/notes.txt").write_text("new")
    resume(here / "CKE", options={"epochs": 2})


def test_rows_that_move_from_one_file_of_a_split_to_the_other(tmp_path: Path) -> None:
    write(tmp_path / "data")
    place = tmp_path / "data/d"
    head, *rows = (place / "d.inter").read_text().splitlines()
    random.Random(0).shuffle(rows)

    def cut(first: int, second: int) -> None:
        parts = {"train": rows[:first], "valid": rows[first:second], "test": rows[second:]}
        for part, its in parts.items():
            (place / f"d.{part}.inter").write_text("\n".join([head, *its]) + "\n")

    cut(140, 170)
    options = {
        **{"benchmark_filename": ["train", "valid", "test"], "data_path": str(tmp_path / "data")},
        **{"load_col": {"inter": ["user_id", "item_id"]}, "embedding_size": 4, "epochs": 1, "threads": 1},
    }
    train("BPR", "d", options=options, folder=tmp_path / "run", save_every=1)
    cut(145, 170)
    with pytest.raises(DataError, match=r"the files of the split \(d\.\*\.inter\)"):
        resume(tmp_path / "run", options={"epochs": 2})


def test_runs_of_before_columns_were_noted_are_read(here: Path) -> None:
    file = here / "BPR/run.json"
    content = json.loads(file.read_text())
    del content["data"]["columns"]
    file.write_text(json.dumps(content))
    edited(here / "data", "item", one_price)
    assert burnish.load_run(here / "BPR").model is not None
    # Of their split they say enough: rows that were trained on must not be tested on.
    edited(here / "data", "inter", CHANGES["times turned"][1])
    with pytest.raises(DataError, match="split otherwise than for this run: the training rows differ"):
        resume(here / "BPR", options={"epochs": 2})


def facts(**columns: str) -> dict[str, Any]:
    return {"users": 1, "items": 1, "interactions": 1, "ids": {}, "rows": "", "columns": columns}


def test_columns_that_came_or_went() -> None:
    one, both = facts(**{"inter.a": "1"}), facts(**{"inter.a": "1", "item.b": "2"})
    check_data(one, one, "d")
    with pytest.raises(DataError, match=r"it has b \(d\.item\) more"):
        check_data(one, both, "d")
    with pytest.raises(DataError, match=r"it lacks b \(d\.item\)"):
        check_data(both, one, "d")
    for pair in ((one, both), (both, one)):
        check_data(*pair, "d", other_columns=True)
    with pytest.raises(DataError, match=r"other values in a \(d\.inter\)"):
        check_data(one, facts(**{"inter.a": "3"}), "d", other_columns=True)
    with pytest.raises(DataError, match="the validation rows differ"):
        check_split({"training": "1", "validation": "2"}, {"training": "1", "validation": "3"}, "d")
    check_split({"training": "1"}, {"training": "1", "validation": "3"}, "d")


def test_digests_depend_on_values_and_not_on_how_they_are_held() -> None:
    assert _values(np.array([1.5, 2], dtype=np.float32)) == _values(pd.Series([1.5, 2.0]))
    assert _values(np.array([1, 2], dtype=np.int32)) == _values(np.array([1, 2]))
    lists = [
        pd.Series([[1, 2], [3]]),
        pd.Series([[1], [2, 3]]),
        pd.Series([[1, 2], [4]]),
        pd.Series([[], []]),
    ]
    several = [np.array([1, 2]), np.array([2, 1]), np.array([[1], [2]]), pd.Series([], dtype=object), *lists]
    assert len({_values(one) for one in several}) == len(several)
    assert _values(pd.Series([np.array([1, 2]), np.array([3])])) == _values(lists[0])

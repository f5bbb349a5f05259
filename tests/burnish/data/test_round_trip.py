"""Ids, texts and numbers come back from RecBole's own reader as they were in the tables."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import burnish
from burnish.errors import DataError
from burnish.training.inputs.loading import read_dataset
from burnish.training.request import make_config

NASTY = (
    *(
        "007",
        "1.0",
        "1e5",
        "NA",
        "nan",
        "null",
        "None",
        " a",
        "a ",
        " ",
        "a b",
        'a"b',
        '"a"',
        "[PAD]",
        "a\tb",
    ),
    *(
        "a\nb",
        "é",
        "e\u0301",
        "\u00a0x",
        "\ufeffz",
        "x\u2028y",
        "\x0bq",
        "'",
        "#",
        "\\t",
        "a,b",
        "a;b",
        "\x85",
    ),
    *("用户", "\U0001f600", "0", "-", "a\rb", "a\x00b", "\x1cb", "1_000", "+1", "inf", "%s", "{}", "\x0c"),
)
IDS = st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
TEXTS = st.text(st.sampled_from("ab \"\t\n\r|,;:'é\x00\x0b[PAD]NA "), max_size=12)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


def fits(name: str) -> bool:
    """What the atomic files can hold, said here once more."""
    bad = name.startswith('"') or re.search("[\t\n\r\0]", name) or name == "[PAD]"
    return bool(name.strip()) and not bad


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """RecBole's config of a data set with all columns; the tests put other folders into it."""
    folder = tmp_path_factory.mktemp("first")
    rows = pd.DataFrame({"user": ["u", "v", "u"], "item": ["i", "i", "j"]})
    burnish.data.from_frame(rows, out=folder / "mine")
    found = make_config(_bpr(), "mine", {}, {"data_path": str(folder), "load_col": None})
    found["load_col"] = None
    return found


def _bpr() -> type:
    from recbole.model.general_recommender import BPR

    return BPR


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Names of folders that are not there."""
    folder = tmp_path_factory.mktemp("many")
    return (folder / str(number) / "mine" for number in itertools.count())


def read(config: Any, folder: Path) -> Any:
    config["data_path"] = str(folder)
    return read_dataset(config)[0]


def written(table: pd.DataFrame, way: str, out: Path) -> Any:
    """The table as a frame, or in a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if way == "frame":
        return table
    if way == "csv":
        file = out.parent / "rows.csv"
        with file.open("w", encoding="utf-8", newline="") as stream:
            rows = csv.writer(stream, quoting=csv.QUOTE_ALL)
            rows.writerows([table.columns, *table.astype(object).to_numpy().tolist()])
        return file
    if way == "jsonl":
        file = out.parent / "rows.jsonl"
        lines = [json.dumps(row) for row in table.to_dict("records")]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file
    file = out.parent / "rows.parquet"
    table.to_parquet(file)
    return file


def convert(table: pd.DataFrame, way: str, out: Path, **options: Any) -> Any:
    source = written(table, way, out)
    call = burnish.data.from_frame if way == "frame" else burnish.data.from_file
    return call(source, out=out, **options)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(IDS.filter(fits), IDS.filter(fits), NUMBERS, TEXTS), min_size=3, max_size=12),
    way=st.sampled_from(["frame", "csv", "jsonl", "parquet"]),
)
@pytest.mark.filterwarnings("ignore")
def test_tables_come_back(config: Any, fresh: Any, rows: list[Any], way: str) -> None:
    out = next(fresh)
    rows = [*rows, ("one", "more", 0.5, "text")]  # of one item alone nothing could be learnt
    table = pd.DataFrame(rows, columns=["user", "item", "rating", "text"])
    convert(table, way, out, duplicates="keep", missing="keep", columns="text:token")
    data = read(config, out)
    frame = data.inter_feat
    users = data.id2token("user_id", frame["user_id"].to_numpy())
    items = data.id2token("item_id", frame["item_id"].to_numpy())
    assert users.tolist() == [user for user, *_ in rows]
    assert items.tolist() == [item for _, item, *_ in rows]
    assert frame["rating"].tolist() == [number for *_, number, _ in rows]
    texts = data.id2token("text", frame["text"].to_numpy())
    wanted = [re.sub("[\t\n\r\0]+", " ", text).replace('"', "''") for *_, text in rows]
    assert texts.tolist() == [text if text.strip() else "[PAD]" for text in wanted]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(IDS.filter(fits), IDS.filter(fits)), min_size=3, max_size=8))
def test_pandas_reads_the_same_ids_without_burnish(fresh: Any, rows: list[Any]) -> None:
    """As RecBole's `_load_feat` calls it (dataset.py), but for the words that pandas reads as missing."""
    out = next(fresh)
    burnish.data.from_frame(
        pd.DataFrame(rows, columns=["user", "item"]), out=out, duplicates="keep", missing="keep"
    )
    read = pd.read_csv(
        out / "mine.inter", delimiter="\t", dtype=str, encoding=None, engine="python", keep_default_na=False
    )
    assert list(read.itertuples(index=False, name=None)) == [tuple(row) for row in rows]


@pytest.mark.parametrize("name", [one for one in NASTY if not fits(one)])
@pytest.mark.parametrize("way", ["frame", "csv", "jsonl", "parquet"])
def test_an_id_that_would_change_is_refused(tmp_path: Path, name: str, way: str) -> None:
    table = pd.DataFrame({"user": ["u", "v", name], "item": ["i", "j", "i"]})
    with pytest.raises(DataError) as caught:
        convert(table, way, tmp_path / "mine")
    told = str(caught.value)
    line = 4 if way == "csv" else 3
    assert re.search(rf"(line|row) {line}\b", told), told
    assert "'user'" in told
    assert not name.strip() or repr(name) in told
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("word", ["NA", "nan", "null", "None", "N/A", "<NA>"])
def test_a_word_for_nothing_is_an_error_until_told(config: Any, tmp_path: Path, word: str) -> None:
    table = pd.DataFrame({"user": ["u", word, "v", "u"], "item": ["i", "j", "i", "j"]})
    with pytest.raises(
        DataError, match=rf"row 2: column 'user' holds {word!r}.*missing='drop'.*missing='keep'"
    ):
        burnish.data.from_frame(table, out=tmp_path / "a" / "mine")
    card = burnish.data.from_frame(table, out=tmp_path / "a" / "mine", missing="drop")
    assert card.size.ratings == 3
    assert [(step.rows, step.what) for step in card.steps] == [(1, "without 'user'")]
    burnish.data.from_frame(table, out=tmp_path / "b" / "mine", missing="keep")
    with pytest.warns(UserWarning, match="kept as a name"):
        data = read(config, tmp_path / "b" / "mine")
    assert word in data.field2token_id["user_id"]


@pytest.mark.filterwarnings("ignore")
def test_times_come_back_to_the_microsecond(config: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    micro = draw.integers(-(10**15), 4 * 10**15, 200)
    rows = pd.DataFrame({"user": np.arange(200), "item": np.arange(200) % 7, "time": micro})
    burnish.data.from_frame(rows, out=tmp_path / "mine", time_unit="us")
    data = read(config, tmp_path / "mine")
    back = data.inter_feat["timestamp"].to_numpy()
    assert np.array_equal(np.round(back * 1e6).astype(np.int64), micro)
    assert np.array_equal(back, micro / 1e6)

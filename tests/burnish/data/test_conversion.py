"""Columns, duplicates, filters, tables beside, graphs: what is written, what is left out, what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import burnish
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError

SHOP = pd.DataFrame(
    {
        "customer": ["u", "u", "v", "v", "w"],
        "sku": ["i", "j", "i", "i", "k"],
        "stars": [5.0, 4.0, 3.5, 1.0, 2.0],
        "when": [10, 20, 30, 20, 40],
        "device": ["web", "app", "web", None, "tv"],
    }
)


def made(out: Path, frame: pd.DataFrame = SHOP, **options: Any) -> Any:
    return burnish.data.from_frame(frame, out=out, **options)


def lines(out: Path, ending: str = "inter") -> list[str]:
    return (out / f"{out.name}.{ending}").read_text(encoding="utf-8").splitlines()


def test_the_standard_names_and_the_card(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    card = made(out, duplicates="keep")
    assert lines(out)[:3] == [
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\tdevice:token",
        "u\ti\t5\t10\tweb",
        "u\tj\t4\t20\tapp",
    ]
    assert lines(out)[4] == "v\ti\t1\t20\t"
    content = json.loads((out / "shop.card.json").read_text())
    assert (
        content["names"]
        == card.names
        == {"user": "customer", "item": "sku", "rating": "stars", "time": "when"}
    )
    assert content["size"] == {"users": 3, "items": 3, "ratings": 5, "density": pytest.approx(5 / 9)}
    assert sorted(path.name for path in out.iterdir()) == ["README.txt", "shop.card.json", "shop.inter"]
    assert "3 users, 3 items, 5 interactions" in (out / "README.txt").read_text()


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("last", ["v\ti\t3.5\t30\tweb"]),
        ("first", ["v\ti\t1\t20\t"]),
        ("mean", ["v\ti\t2.25\t30\tweb"]),
        ("max", ["v\ti\t3.5\t30\tweb"]),
        ("sum", ["v\ti\t4.5\t30\tweb"]),
        ("keep", ["v\ti\t3.5\t30\tweb", "v\ti\t1\t20\t"]),
    ],
)
def test_duplicates(tmp_path: Path, how: str, rows: list[str]) -> None:
    card = made(tmp_path / "shop", duplicates=how)
    assert [line for line in lines(tmp_path / "shop") if line.startswith("v")] == rows
    assert sum(step.rows for step in card.steps) == 2 - len(rows)
    assert how == "keep" or f"duplicates={how!r}" in card.steps[0].what


def test_duplicates_without_times_or_ratings(tmp_path: Path) -> None:
    plain = SHOP[["customer", "sku", "device"]]
    for how, device in (("last", ""), ("first", "web")):
        made(tmp_path / how, plain, duplicates=how)
        assert f"v\ti\t{device}" in lines(tmp_path / how)
    made(tmp_path / "sum", plain, duplicates="sum")
    assert "v\ti\t2\t" in lines(tmp_path / "sum")
    assert "u\ti\t1\tweb" in lines(tmp_path / "sum")
    with pytest.raises(ConfigurationError, match="duplicates = 'mean': there are no ratings"):
        made(tmp_path / "mean", plain, duplicates="mean")
    with pytest.raises(
        DataError, match=r"row 4: user 'v' and item 'i' are there already, in row 3; 1 such row\."
    ):
        made(tmp_path / "error", duplicates="error")


def random_rows(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": draw.integers(0, 30, 250),
            "item": draw.integers(0, 25, 250),
            "rating": draw.integers(1, 6, 250),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_filters_against_a_plain_loop(tmp_path: Path, seed: int) -> None:
    rows = random_rows(seed)
    out = tmp_path / "core"
    card = made(out, rows, duplicates="first", min_rating=2, min_user=3, min_item=4)
    kept = list(dict.fromkeys(zip(rows["user"], rows["item"], strict=True)))
    first = rows.drop_duplicates(["user", "item"])
    kept = [(u, i) for u, i, r in first.itertuples(index=False) if r >= 2]
    while True:
        users = [u for u, _ in kept]
        items = [i for _, i in kept]
        less = [(u, i) for u, i in kept if users.count(u) >= 3 and items.count(i) >= 4]
        if less == kept:
            break
        kept = less
    assert [tuple(map(int, line.split("\t")[:2])) for line in lines(out)[1:]] == kept
    assert card.read - sum(step.rows for step in card.steps) == card.size.ratings == len(kept)


def test_filters_that_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"none of its .* interactions stays with min_user=9 .*Lower them: min_user="
    ):
        made(tmp_path / "a", k_core=9)
    with pytest.raises(DataError, match=r"no rating is 6 or more .*the highest is 5"):
        made(tmp_path / "b", min_rating=6)
    with pytest.raises(ConfigurationError, match="min_rating = 3: there are no ratings"):
        made(tmp_path / "c", rating="none", min_rating=3)


# ---------------------------------------------------------------------- columns


def test_types_are_found_and_forced(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user": ["u", "v", "w"],
            "item": [1, 2, 3],
            "zip": ["007", "10", "11"],
            "price": ["1.50", "", "nan"],
            "tags": [["a b", "c"], [], None],
            "vector": [[1.0, 2.5], [0.0], None],
            "genre": ["Drama|Sci Fi", "Drama", ""],
            "title": ["The one", "The other", "A third one"],
            "seen": [True, False, None],
            "on": pd.to_datetime(["2023-01-05", "2023-01-06", None]),
            "year": [1999, 2000, 2001],
            "nothing": [None, None, None],
            "nested": [{"a": 1}, {"a": 2}, None],
        }
    )
    card = made(tmp_path / "a", frame, columns="*,year:token", time="none")
    head, *rows = [line.split("\t") for line in lines(tmp_path / "a")]
    assert head == [
        *("user_id:token", "item_id:token", "zip:token", "price:float", "tags:token_seq", "vector:float_seq"),
        *("genre:token_seq", "title:token_seq", "seen:token", "on:float", "year:token"),
    ]
    assert rows[0] == [
        *("u", "1", "007", "1.5", "a_b c", "1 2.5", "Drama Sci_Fi", "The one", "true", "1672876800", "1999")
    ]
    assert rows[2][3:7] == ["", "", "", ""]
    said = " ".join(card.notes)
    assert "'nothing' of the table of interactions has no value" in said
    assert "'nested'" in said
    made(tmp_path / "b", frame, columns=["title:token", "genre:token"], time="none")
    assert lines(tmp_path / "b")[0] == "user_id:token\titem_id:token\tgenre:token\ttitle:token"
    made(tmp_path / "c", frame, columns={"zip": "float"}, time="none")
    assert lines(tmp_path / "c")[1] == "u\t1\t7"


def test_names_that_recbole_cannot_hold(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "a: b": [1, 2], "item_id": ["x", "y"], "": [3, 4]})
    card = made(tmp_path / "mine", frame, item="item")
    assert (
        lines(tmp_path / "mine")[0]
        == "user_id:token\titem_id:token\ta_b:float\titem_id_2:token\tcolumn_5:float"
    )
    assert any("'a: b' of the table of interactions is called 'a_b'" in note for note in card.notes)


def test_floats_that_are_whole_are_ids_without_a_point(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [1.0, 2.0, np.nan], "item": pd.Categorical(["x", "y", "x"])})
    card = made(tmp_path / "mine", frame, missing="drop")
    assert lines(tmp_path / "mine")[1:] == ["1\tx", "2\ty"]
    assert any("floating-point numbers; they are whole" in note for note in card.notes)
    text = tmp_path / "rows.csv"
    text.write_text("user,item\n1.0,x\n2.0,y\n")
    card = burnish.data.from_file(text, out=tmp_path / "text")
    assert lines(tmp_path / "text")[1] == "1.0\tx"
    assert any("whole numbers with a decimal point" in note for note in card.notes)


@pytest.mark.parametrize(
    ("change", "options", "kind", "told"),
    [
        (
            {},
            {"user": "custmer"},
            UnknownNameError,
            r"column of user= 'custmer'.*Did you mean 'customer'",
        ),
        (
            {},
            {"columns": "devise"},
            UnknownNameError,
            "columns: column 'devise' is not known. Did you mean 'device'",
        ),
        (
            {},
            {"columns": "device:tokn"},
            UnknownNameError,
            "type of 'device' 'tokn' is not known. Did you mean 'token'",
        ),
        (
            {},
            {"columns": "device:float"},
            DataError,
            r"row 1, column 'device': 'web' is not a number; .*device:token",
        ),
        ({}, {"user": "sku", "item": "sku"}, ConfigurationError, "user and item are both 'sku'"),
        (
            {"stars": ["5", "4", "3,5", "1", "2"]},
            {"rating": "stars"},
            DataError,
            r"row 3, .*'3,5' is not a.*not a comma",
        ),
        ({"stars": [5, 4, np.inf, 1, 2]}, {}, DataError, "row 3, column 'stars': inf is not a finite number"),
        ({"stars": [5, 4, None, 1, 2]}, {}, DataError, "row 3: column 'stars' is empty, as in 1 of 5 rows"),
        (
            {"customer": [1.5, 1, 1, 1, 1]},
            {},
            DataError,
            "row 1, column 'customer': .*1.5.* is a floating-point number",
        ),
        (
            {"customer": [True] * 5},
            {},
            DataError,
            "column 'customer' is of the type bool, which holds no ids",
        ),
        (
            {"customer": ["", " ", None, "a", "b"]},
            {},
            DataError,
            "row 1, row 2, row 3: column 'customer' is empty",
        ),
        (
            {},
            {"duplicates": "lst"},
            UnknownNameError,
            "way with duplicates 'lst' is not known. Did you mean 'last'",
        ),
        ({}, {"missing": "skip"}, UnknownNameError, "way with missing cells 'skip'"),
        (
            {},
            {"k_core": 2, "min_user": 2},
            ConfigurationError,
            "k_core = 2: it stands for min_user and min_item",
        ),
        ({}, {"k_core": 0}, ConfigurationError, "k_core = 0: give a whole number, 1 or more"),
        (
            {},
            {"item_id": "sku"},
            ConfigurationError,
            "item_id = 'sku' is the column of ids in a table of items",
        ),
        ({}, {"links": "x.csv"}, ConfigurationError, "give the graph, too: kg="),
        ({}, {"list_separator": ""}, ConfigurationError, "list_separator = ''"),
        ({}, {"time": "none", "time_unit": "s"}, ConfigurationError, "there is no column of times"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], kind: type[BurnishError], told: str
) -> None:
    with pytest.raises(kind, match=told):
        made(tmp_path / "mine", SHOP.assign(**change), **options)
    assert list(tmp_path.iterdir()) == []


def test_columns_that_nobody_could_guess(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no column looks like the users; it has 'a', 'b'.*user="):
        made(tmp_path / "mine", pd.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(ConfigurationError, match="is a list; give a pandas DataFrame"):
        burnish.data.from_frame([(1, 2)], out=tmp_path / "mine")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="out is missing"):
        burnish.data.from_frame(SHOP)
    card = burnish.data.from_frame(pa.table({"userId": [1, 2], "movieId": [3, 4]}), dry_run=True)  # type: ignore[arg-type]
    assert card.names == {"user": "userId", "item": "movieId"}


def test_dry_run_and_whole_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not made(tmp_path / "mine", dry_run=True).written
    assert list(tmp_path.iterdir()) == []
    from burnish.data import convert

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(convert, "_write", full)
        with pytest.raises(DataError, match="no space left"):
            made(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []
    made(tmp_path / "mine")
    with pytest.raises(ConfigurationError, match="is there already"):
        made(tmp_path / "mine")
    made(tmp_path / "mine", k_core=1, force=True)


# ---------------------------------------------------------------------- tables beside


def test_items_and_users_beside(tmp_path: Path) -> None:
    items = pd.DataFrame(
        {"sku": ["j", "i", "zz", "i"], "title": ["A\tb", 'The "x"', "?", "again"], "rating": [1, 2, 3, 4]}
    )
    users = pd.DataFrame({"id": ["u", "v", "w"], "title": ["Ms", "Mr", None]})
    card = made(tmp_path / "shop", items=items, users=users, user_id="id")
    assert lines(tmp_path / "shop", "item") == [
        "item_id:token\ttitle:token_seq\titem_rating:float",
        "i\tThe ''x''\t2",
        "j\tA b\t1",
        "k\t\t",
    ]
    assert lines(tmp_path / "shop", "user") == ["user_id:token\tuser_title:token", "u\tMs", "v\tMr", "w\t"]
    fits = card.sides["item"]
    assert (fits.known, fits.unknown, fits.idle, fits.again) == (2, 1, 1, 1)
    assert "2 of 3 items have a row" in "\n".join(card.lines())
    with pytest.raises(
        DataError, match=r"column 'sku' has none of the 3 items.*it has 'I', .*interactions have 'i'"
    ):
        made(
            tmp_path / "other",
            items=items.assign(sku=["J", "K", "L", "M"]).iloc[::-1].assign(sku=list("IJKL")),
        )
    with pytest.raises(DataError, match="row 2: column 'sku' is empty, as in 1 of 4 rows"):
        made(tmp_path / "other", items=items.assign(sku=["i", "", "j", "k"]))


def test_only_rows_that_stay_are_described(tmp_path: Path) -> None:
    items = pd.DataFrame({"sku": ["i", "j", "k"], "genre": ["a", "b", "c"]})
    made(tmp_path / "shop", items=items, min_item=2)
    assert lines(tmp_path / "shop", "item") == ["item_id:token\tgenre:token", "i\ta"]


def test_a_graph(tmp_path: Path) -> None:
    kg = pd.DataFrame([("e1", "by", "p"), ("e1", "by", "p"), ("e2", "by", "q")], columns=["h", "r", "t"])
    links = pd.DataFrame({"sku": ["i", "j", "zz"], "entity": ["e1", "e2", "e3"]})
    card = made(tmp_path / "shop", kg=kg, links=links)
    assert lines(tmp_path / "shop", "kg") == [
        "head_id:token\trelation_id:token\ttail_id:token",
        "e1\tby\tp",
        "e2\tby\tq",
    ]
    assert lines(tmp_path / "shop", "link") == ["item_id:token\tentity_id:token", "i\te1", "j\te2"]
    said = " ".join(card.notes)
    assert "left out as repeated: 1 of 3 triples" in said
    assert "2 of 3 items are linked" in said
    made(tmp_path / "own", kg=kg.replace({"e1": "i"}))
    assert lines(tmp_path / "own", "link") == ["item_id:token\tentity_id:token", "i\ti"]
    made(tmp_path / "own", kg=kg.replace({"e1": "i"}), force=True)
    for spoilt, told in (
        (links.replace({"j": "i"}), "row 2: item 'i' has two entities"),
        (links.replace({"e2": "e1"}), "row 2: entity 'e1' has two items, 'i' and 'j'"),
        (links.replace({"i": "x", "j": "y"}), "links none of the 3 items that stay, such as 'i'"),
        (
            links.replace({"e1": "a", "e2": "b"}),
            "none of the entities in column 'entity', such as 'a', is in",
        ),
    ):
        with pytest.raises(DataError, match=told):
            made(tmp_path / "bad", kg=kg, links=spoilt)
    with pytest.raises(DataError, match="row 2: column 'r' is empty"):
        made(tmp_path / "bad", kg=kg.assign(r=["by", None, "by"]), links=links)
    with pytest.raises(ConfigurationError, match="call those of the triples head, relation and tail"):
        made(tmp_path / "bad", kg=kg.assign(x=1).rename(columns={"h": "one"}), links=links)


def test_places_are_those_of_the_table(tmp_path: Path) -> None:
    """After rows were left out, messages still name the row of the table."""
    frame = SHOP.assign(price=["1", "2", "3", "4", "x"])
    with pytest.raises(DataError, match="row 5, column 'price': 'x'"):
        made(tmp_path / "mine", frame, columns="price:float")
    indexed = frame.set_index(pd.Index(list("abcde")))
    with pytest.raises(DataError, match=r"row 5 \(index 'e'\), column 'price': 'x'"):
        made(tmp_path / "mine", indexed, columns="price:float")


def test_steps_are_counted_in_order(tmp_path: Path) -> None:
    frame = pd.concat([SHOP, pd.DataFrame({"customer": [None], "sku": ["i"], "stars": [1.0], "when": [1]})])
    card = made(tmp_path / "mine", frame, missing="drop", min_rating=2, min_user=2)
    left = [card.read, *(step.rows for step in card.steps)]
    assert left == [6, 1, 1, 2]
    assert all(one >= 0 for one, _ in pairwise([*left, 0]))
    assert [line.split("\t")[0] for line in lines(tmp_path / "mine")[1:]] == ["u", "u"]

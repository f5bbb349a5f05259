"""Numbers, ids and texts out of records, and cells for RecBole's reader."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnish.backbones.converters import record_values
from burnish.backbones.converters.records import BrokenLineError


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "field 'overall' is missing"),
        ("five", "not a number: 'five'"),
        (True, "not a number"),
        ([5], "not a number"),
        (float("nan"), "not a finite number"),
        ("1e999", "not a finite number"),
        (10**400, "not a number"),
        (0.0, "0, outside the scale of 1 to 5"),
        (6, "6, outside"),
    ],
)
def test_bad_stars(value: Any, said: str) -> None:
    with pytest.raises(BrokenLineError, match=said):
        record_values.stars({"overall": value}, "overall")


def test_stars() -> None:
    assert record_values.stars({"x": 5}, "x") == record_values.stars({"x": "5.0"}, "x") == 5.0


@pytest.mark.parametrize(
    "value", ["", " a", "a\tb", 'a"b', "a\nb", "NA", "null", "nan", 1.5, True, ["a"], None]
)
def test_ids_that_recbole_would_change(value: Any) -> None:
    with pytest.raises(BrokenLineError, match="'user_id'"):
        record_values.token({"user_id": value}, "user_id")


def test_ids() -> None:
    assert record_values.token({"x": 17}, "x") == "17"
    assert record_values.token({"x": "_-aZ 9é"}, "x") == "_-aZ 9é"


@given(st.text(max_size=6))
def test_ids_that_pass_come_back_from_pandas(text: str) -> None:
    try:
        found = record_values.token({"x": text}, "x")
    except BrokenLineError:
        return
    file = io.StringIO(f"user_id:token\tb\n{found}\t1\n", newline="")
    back = pd.read_csv(file, sep="\t", dtype=str, lineterminator="\n")
    assert back["user_id:token"].tolist() == [found]


@pytest.mark.parametrize(
    ("value", "price"),
    [
        (12.5, "12.5"),
        (12, "12"),
        ("$1,299.00", "1299"),
        ("$9.50 - $12", "9.5"),
        ("from 7.25", "7.25"),
        ("None", ""),
        ("—", ""),
        (".a-box-inner{background:#fff}", ""),
        (None, ""),
        (True, ""),
        (float("nan"), ""),
        (["1"], ""),
    ],
)
def test_prices(value: Any, price: str) -> None:
    assert record_values.price_cell(value) == price


def test_cells_are_safe() -> None:
    assert record_values.cell('  a\t"b"\n\u2028c &amp; d\0e ') == "a ''b'' c & d e"
    assert record_values.cell(["a", None, "b"]) == "a b"
    assert record_values.cell(None) == ""
    assert record_values.token_cell("None") == ""
    assert (
        record_values.token_seq_cell(["Musical Instruments", " A & B ", "", None, "A &amp; B"])
        == "Musical_Instruments A_&_B"
    )


def test_lone_surrogates_can_be_written() -> None:
    assert record_values.exact_text("a\ud83db") == "a\ufffdb"
    assert record_values.exact_text("\ud83c\udfb8") == "🎸"
    assert record_values.token({"x": "a\ud800"}, "x") == "a\ufffd"


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, 3), ("1,234", 1234), ("3", 3), (None, None), ("x", None), (True, None), ([], None)],
)
def test_counts(value: Any, found: int | None) -> None:
    assert record_values.count(value) == found

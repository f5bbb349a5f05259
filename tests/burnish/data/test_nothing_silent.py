"""What a conversion says: nothing is dropped, filled in, guessed or renamed without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import burnish
from burnish.data.carried import fit_names
from burnish.errors import ConfigurationError, DataError, UnknownNameError

ROWS = pd.DataFrame({"user": ["u", "v", "w"], "item": ["i", "i", "j"]})


def dry(frame: pd.DataFrame = ROWS, **options: Any) -> Any:
    return burnish.data.from_frame(frame, dry_run=True, **options)


def notes(card: Any) -> str:
    return "\n".join(card.notes)


# ---------------------------------------------------------------------- ratings and times


@pytest.mark.parametrize(
    ("cells", "row"),
    [
        (["5", "3,5", "4"], 2),
        (["4,5", "3,5", "1,0"], 1),
        (["5", "4", "good"], 3),
        (["5", "inf", "4"], 2),
        (["4/5", "3/5", "1/5"], 1),
        (["80 %", "3 %", "2 %"], 1),
        (["€ 3", "€ 4", "€ 5"], 1),
        (["1e3", "x", "2"], 2),
    ],
)
def test_a_rating_that_is_no_number_is_an_error_named_or_guessed(cells: list[str], row: int) -> None:
    for options in ({}, {"rating": "rating"}):
        with pytest.raises(
            DataError, match=rf"row {row}, column 'rating': .* is not a number.*rating='none'"
        ):
            dry(ROWS.assign(rating=cells), **options)


def test_ratings_that_read_as_ids_are_ratings() -> None:
    assert dry(ROWS.assign(rating=["05", "04", "3"])).names["rating"] == "rating"
    assert dry(ROWS.assign(rating=[True, False, True])).names["rating"] == "rating"


def test_why_there_are_no_ratings_or_times_is_said() -> None:
    said = notes(dry(ROWS.assign(rating=["good", "bad", "bad"], when=["", " ", ""])))
    assert (
        "no ratings were taken from the table of interactions: column 'rating' holds no numbers, such as 'good'"
        in said
    )
    assert "column 'rating' of the table of interactions is called 'rating_2'" in said
    assert "no times were taken from the table of interactions: column 'when' is empty" in said
    said = notes(dry(ROWS.assign(Sterne=[5, 4, 3])))
    assert (
        "no ratings were taken from the table of interactions: no column is called like them; rating= names"
        in said
    )
    assert "were taken from" not in notes(dry(ROWS, rating="none", time="none"))
    assert "were taken from" not in notes(dry(ROWS))  # where there is no other column


def test_no_ratings_means_no_column_of_ratings() -> None:
    frame = ROWS.assign(rating=[5, 4, 3], size=[1, 2, 3])
    card = dry(frame, rating="none", time="none")
    assert [one.name for one in card.columns] == ["user_id", "item_id", "size"]
    assert "column 'rating' of the table of interactions is left out" in notes(card)
    named = dry(frame, rating="none", columns="*,rating:token")
    assert [(one.name, one.kind) for one in named.columns][2:] == [
        ("size", "float"),
        ("rating_2", "token"),
    ] or [(one.name, one.kind) for one in named.columns][2:] == [("rating_2", "token"), ("size", "float")]


def test_no_other_columns() -> None:
    frame = ROWS.assign(rating=[5, 4, 3], size=[1, 2, 3])
    for none in ("none", [], {}):
        assert [one.name for one in dry(frame, columns=none).columns] == ["user_id", "item_id", "rating"]
    kept = dry(ROWS.assign(none=[1, 2, 3]), columns="none")  # a column of this name
    assert kept.columns[-1].name == "none"


def test_types_of_columns_that_have_theirs() -> None:
    with pytest.raises(ConfigurationError, match=r"'rating' is taken as ratings already.*leave 'token' out"):
        dry(ROWS.assign(rating=[5, 4, 3]), columns="rating:token")


def test_names_with_commas_and_colons() -> None:
    frame = ROWS.assign(**{"a,b": [1, 2, 3], "r:float": [1, 2, 3], "c": [1, 2, 3]})
    assert [one.source for one in dry(frame, columns='"a,b":token,r:float').columns[2:]] == ["a,b", "r:float"]
    with pytest.raises(UnknownNameError, match="in double quotes"):
        dry(frame, columns="a,b")


# ---------------------------------------------------------------------- other cells


def test_columns_that_look_like_numbers() -> None:
    card = dry(ROWS.assign(price=["1.5", "2.5", "n.a."], tax=["1,5", "2,5", "3,5"], zip=["07", "1", "2"]))
    assert {one.name: one.kind for one in card.columns[2:]} == dict.fromkeys(("price", "tax", "zip"), "token")
    assert "column 'price' of the table of interactions is kept as text, though most" in notes(card)
    assert "row 3 has 'n.a.'" in notes(card)
    assert "column 'tax' of the table of interactions is kept as text" in notes(card)
    assert "'zip'" not in notes(card)


@pytest.mark.parametrize("numbers", [["12345678901234567", "2", "3"], [2**53 + 1, 2, 3]])
def test_numbers_that_would_lose_digits_stay_text(tmp_path: Path, numbers: list[Any]) -> None:
    out = tmp_path / "shop"
    card = burnish.data.from_frame(ROWS.assign(ean=numbers), out=out)
    assert card.columns[-1].kind == "token"
    assert "more than 15 digits" in notes(card)
    assert (out / "shop.inter").read_text().splitlines()[1].endswith(f"\t{numbers[0]}")


def test_words_for_nothing_and_repeated_tokens_are_counted() -> None:
    said = notes(dry(ROWS.assign(price=["1", "NA", "2"], tags=["a|b|a", "b", "c"])))
    assert "words for a missing number, such as NA, became empty, in 1 cell" in said
    assert "tokens that stand twice in a list stand there once, in 1 cell" in said


def test_titles_are_no_lists(tmp_path: Path) -> None:
    out = tmp_path / "shop"
    titles = ["Red fox|blue", "The|cat", "Old wool"]
    items = pd.DataFrame({"item": ["i", "j", "k"], "Name (de)": titles, "genres": ["a|b c", "b", "a"]})
    burnish.data.from_frame(ROWS, items=items, out=out)
    rows = (out / "shop.item").read_text().splitlines()
    assert rows[1:] == ["i\tRed fox|blue\ta b_c", "j\tThe|cat\tb"]
    assert json.loads((out / "shop.card.json").read_text())["title"] == "Name_(de)"


def test_which_column_is_the_title() -> None:
    items = pd.DataFrame(
        {"item": ["i", "j"], "shelf": ["a", "b"], "Was es ist": ["rote Wolle", "blaue Wolle"]}
    )
    card = dry(items=items)
    assert card.title == "Was_es_ist"
    assert "titles of items: column 'Was es ist'" in notes(card)
    assert dry(items=items, title="none").title is None
    assert dry(items=items, title="shelf", columns="none").title == "shelf"
    with pytest.raises(UnknownNameError, match=r"column of title= 'shelv'.*Did you mean 'shelf'"):
        dry(items=items, title="shelv")
    with pytest.raises(ConfigurationError, match="is the column of ids"):
        dry(items=items, title="item")
    with pytest.raises(ConfigurationError, match="in a table of items, and there is none; give items="):
        dry(title="shelf")


def test_a_name_never_stands_for_the_column_beside_its_own() -> None:
    assert fit_names(["a b", "a_b", "c"], "item", ()) == {"a b": "item_a_b", "a_b": "a_b", "c": "c"}
    assert fit_names(["rating", "item_rating"], "item", {"rating"}) == {
        "rating": "item_rating_3",
        "item_rating": "item_rating",
    }


# ---------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("one", "other"), [("  005 ", "005"), ("5", "005"), ("anna", "Anna"), ("2.0", "2"), ("a\u00a0b", "a b")]
)
def test_ids_that_are_like_others_are_kept_apart_with_a_word(one: str, other: str) -> None:
    card = dry(pd.DataFrame({"user": [one, other, "x"], "item": ["i", "j", "k"]}))
    assert card.size.users == 3
    assert f"2 users are like another one but for leading zeros, blanks, case or .0, as {one!r}" in notes(
        card
    )


def test_ids_with_blanks_are_told() -> None:
    said = notes(dry(pd.DataFrame({"user": ["u", "v"], "item": [" i", "j"]})))
    assert "ids of items with blanks around them, which are kept: 1, as ' i'" in said
    assert "like another" not in said


def test_a_table_beside_that_lost_zeros() -> None:
    rows = pd.DataFrame({"user": ["u", "v"], "item": ["001", "x"]})
    lost = pd.DataFrame({"item": [1], "kind": ["a"]})
    with pytest.raises(DataError, match="as '001' is like '1'"):
        dry(rows, items=lost)
    some = pd.DataFrame({"item": ["1", "x"], "kind": ["a", "b"]})
    assert "1 of the items without a row are like one" in notes(dry(rows, items=some))


# ---------------------------------------------------------------------- dry runs, and Python


@pytest.mark.parametrize("name", ["ml-100k", "a b", "there", "file", "below/file/x", "x" * 300])
def test_dry_runs_refuse_what_real_ones_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "below").mkdir()
    for file in ("file", "below/file"):
        (tmp_path / file).write_text("x")
    told = []
    for dry_run in (True, False):
        with pytest.raises(ConfigurationError) as refused:
            burnish.data.from_frame(ROWS, out=tmp_path / name, dry_run=dry_run)
        told.append(str(refused.value))
    assert told[0] == told[1]
    before = sorted(tmp_path.rglob("*"))
    burnish.data.from_frame(ROWS, out=tmp_path / "there", dry_run=True, force=True)
    burnish.data.from_frame(ROWS, out=tmp_path / "new" / "deep", dry_run=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_columns_that_are_numbers(tmp_path: Path) -> None:
    frame = pd.DataFrame([["a", "b", 3], ["c", "d", 4]])
    out = tmp_path / "shop"
    card = burnish.data.from_frame(frame, user=0, item=1, rating=2, out=out)  # type: ignore[arg-type]
    assert card.names == {"user": "0", "item": "1", "rating": "2"}
    assert (out / "shop.inter").read_text().splitlines()[1] == "a\tb\t3"
    with pytest.raises(UnknownNameError, match="column of item= '7' is not known"):
        dry(frame, user=0, item=7)
    with pytest.raises(UnknownNameError, match="time unit"):
        dry(frame, user=0, item=1, time=2, time_unit="5")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"time_unit": 5}, "time_unit = 5: give a text"),
        ({"list_separator": 1}, "list_separator = 1: give a text"),
        ({"out": 5}, "out = 5: give a path"),
        ({"k_core": "5"}, "k_core = '5'"),
    ],
)
def test_arguments_of_the_wrong_kind(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        dry(**options)
    with pytest.raises(ConfigurationError, match="file is a DataFrame; from_frame takes it"):
        burnish.data.from_file(ROWS)  # type: ignore[arg-type]


def test_messages_in_python_name_arguments(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigurationError) as refused:
        burnish.data.from_frame(ROWS, out=tmp_path / "there")
    assert "force=True" in str(refused.value)
    assert "--" not in str(refused.value).replace(str(tmp_path), "")
    again = pd.concat([ROWS, ROWS])
    card = burnish.data.from_frame(again, out=tmp_path / "new")
    assert "duplicates='last'" in card.text()
    assert "--" not in card.text().replace(str(tmp_path), "")

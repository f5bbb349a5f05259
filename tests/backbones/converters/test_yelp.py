"""Yelp's reviews, businesses and users."""

from __future__ import annotations

import pandas as pd
import pytest
from published_reviews import Row, amazon14, block, write_lines, yelp

from burnish.errors import DataError

BUSINESS = {
    "business_id": "I0",
    "name": 'The "Best" Café',
    "address": "1 Main St",
    "city": "Santa Barbara",
    "state": "CA",
    "latitude": 34.5,
    "longitude": -119.75,
    "stars": 4.0,
    "review_count": 7,
    "is_open": 0,
    "attributes": {"RestaurantsPriceRange2": "2", "WiFi": "u'free'"},
    "categories": "Coffee & Tea, Food, Cafes",
}
USER = {
    "user_id": "U1",
    "name": "X",
    "review_count": 5,
    "yelping_since": "2014-05-13 16:53:20",
    "fans": 3,
    "elite": "2012,2013",
    "average_stars": 3.5,
}


def others(workshop, business: list | None = None, user: list | None = None) -> dict:
    given = {"business": business, "user": user}
    return {
        name: write_lines(workshop.folder / f"{name}.json", lines) for name, lines in given.items() if lines
    }


def table(workshop, kind: str) -> list[dict]:
    path = workshop.folder / "made" / f"made.{kind}"
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3).to_dict("records")


def test_businesses_and_users(workshop) -> None:
    older = {"business_id": "I1", "name": "B", "categories": ["Bars", "Night Life"], "attributes": None}
    given = others(workshop, [BUSINESS, older], [USER, {**USER, "user_id": "nobody"}])
    card = workshop.convert("yelp", block(2, 2), others=given)
    assert card.described == {"item": 2, "user": 1}
    assert table(workshop, "item") == [
        {
            "item_id:token": "I0",
            "title:token_seq": "The ''Best'' Café",
            "categories:token_seq": "Coffee_&_Tea Food Cafes",
            "city:token": "Santa Barbara",
            "state:token": "CA",
            "price_range:token": "2",
            "is_open:token": "0",
            "latitude:float": "34.5",
            "longitude:float": "-119.75",
        },
        {
            "item_id:token": "I1",
            "title:token_seq": "B",
            "categories:token_seq": "Bars Night_Life",
            **dict.fromkeys(
                (
                    "city:token",
                    "state:token",
                    "price_range:token",
                    "is_open:token",
                    "latitude:float",
                    "longitude:float",
                ),
                "",
            ),
        },
    ]
    known = {"yelping_since:float": "1400000000", "fans:float": "3", "elite:token_seq": "2012 2013"}
    assert table(workshop, "user") == [
        {"user_id:token": "U1", **known},
        {"user_id:token": "U0", **dict.fromkeys(known, "")},
    ]


def test_recbole_loads_users_and_items(workshop) -> None:
    from recbole.config import Config
    from recbole.data import create_dataset

    import burnish  # noqa: F401

    workshop.convert("yelp", block(3, 4), others=others(workshop, [BUSINESS], [USER]))
    options = {"data_path": str(workshop.folder), "load_col": None}
    data = create_dataset(Config(model="BPR", dataset="made", config_dict=options))
    assert (data.user_num, data.item_num) == (4, 5)
    assert float(data.user_feat["fans"][data.token2id("user_id", "U1")]) >= 0


def test_older_files(workshop) -> None:
    record = {**yelp(Row("U1", "I1")), "date": "2011-01-26", "votes": {"useful": 9, "funny": 8, "cool": 7}}
    workshop.convert("yelp", [record])
    frame = pd.read_parquet(workshop.folder / "made" / "made.reviews.parquet")
    assert frame.loc[0, ["useful", "funny", "cool"]].tolist() == [9, 8, 7]
    assert frame.loc[0, "timestamp"] == pd.Timestamp("2011-01-26", tz="UTC").timestamp()


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (BUSINESS, "line 1 .*give that file as --business"),
        (USER, "line 1 .*give that file as --user"),
        (amazon14(Row("U", "I")), "line 1 .*burnish data amazon"),
        ({"user_id": "U", "business_id": "I", "text": "tip"}, "line 1 .*tips"),
        ({"a": 1}, "line 1 .*fields are a; Yelp's reviews have"),
    ],
)
def test_a_file_of_something_else(workshop, first: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        workshop.convert("yelp", [first])


@pytest.mark.parametrize("date", ["yesterday", 5, None, "2011-13-01"])
def test_bad_dates(workshop, date: object) -> None:
    with pytest.raises(DataError, match="line 2: field 'date' is"):
        workshop.convert("yelp", [Row("U", "I"), {**yelp(Row("U", "J")), "date": date}])

"""The three collections are told apart, their metadata become item files, and wrong files are named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from published_reviews import Row, amazon14, amazon18, amazon23, block, write_lines, yelp

from burnish.errors import DataError

META14 = {
    "asin": "I0",
    "title": 'It\'s a 12" "bow" &amp; more',
    "price": 12.5,
    "imUrl": "http://x/y.jpg",
    "related": {"also_bought": ["I1"]},
    "salesRank": {"Musical Instruments": 3},
    "brand": "Fender",
    "categories": [["Musical Instruments", "Strings & Bows"], ["Musical Instruments", "Violins"]],
    "description": "Two\nlines",
}
META18 = {
    "asin": "I0",
    "category": ["Musical Instruments", "Guitars"],
    "description": ["A", "B"],
    "title": "Guitar",
    "brand": "Fender",
    "feature": ["light", "loud"],
    "main_cat": "Musical Instruments",
    "price": "$1,299.00",
}
META23 = {
    "parent_asin": "I0",
    "main_category": "Musical Instruments",
    "title": "Guitar",
    "average_rating": 4.5,
    "rating_number": 10,
    "features": ["light", "loud"],
    "description": [],
    "price": 12.0,
    "store": "Fender",
    "categories": ["Musical Instruments", "Guitars"],
    "details": {"Color": "Black"},
    "bought_together": None,
}


def items(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "made" / "made.item", sep="\t", dtype=str, keep_default_na=False, quoting=3)


def meta(workshop, *lines: object) -> dict:
    return {"meta": write_lines(workshop.folder / "meta.json.gz", lines)}


def test_metadata_of_2014_in_python_dictionaries(workshop) -> None:
    lines = (repr(META14), repr({"asin": "I1"}), repr({"asin": "I77", "title": "not wanted"}))
    card = workshop.convert("amazon-2014", block(2, 3), others=meta(workshop, *lines))
    assert card.described == {"item": 2}
    frame = items(workshop.folder)
    assert frame.to_dict("records") == [
        {
            "item_id:token": "I0",
            "title:token_seq": "It's a 12'' ''bow'' & more",
            "categories:token_seq": "Musical_Instruments Strings_&_Bows Violins",
            "price:float": "12.5",
            "brand:token": "Fender",
            "description:token_seq": "Two lines",
        },
        *({**dict.fromkeys(frame, ""), "item_id:token": item} for item in ("I1", "I2")),
    ]


def test_metadata_of_2018(workshop) -> None:
    script = {"asin": "I1", "title": "var aPageStart = (new Date()).getTime();", "price": ".a-box{color:red}"}
    again = {**META18, "title": "the same item again"}
    workshop.convert("amazon-2018", block(2, 2), others=meta(workshop, META18, script, again))
    frame = items(workshop.folder)
    assert frame["title:token_seq"].tolist() == ["Guitar", ""]
    assert frame["price:float"].tolist() == ["1299", ""]
    assert frame["main_category:token"].tolist() == ["Musical Instruments", ""]
    assert frame["features:token_seq"].tolist() == ["light loud", ""]
    assert frame["item_id:token"].tolist() == ["I0", "I1"]


def test_metadata_of_2023_without_mean_ratings(workshop) -> None:
    workshop.convert("amazon-2023", block(2, 2), others=meta(workshop, META23))
    frame = items(workshop.folder)
    assert list(frame) == [
        "item_id:token",
        "title:token_seq",
        "main_category:token",
        "categories:token_seq",
        "price:float",
        "store:token",
        "features:token_seq",
    ]
    assert frame["item_id:token"].tolist() == ["I0", "I1"]  # I1, without metadata, has a row of blanks
    assert frame["store:token"].tolist() == ["Fender", ""]


def test_recbole_loads_the_item_file(workshop) -> None:
    from recbole.config import Config
    from recbole.data import create_dataset

    import burnish  # noqa: F401

    workshop.convert(
        "amazon-2014", block(4, 5), others=meta(workshop, repr(META14), {"asin": "I1", "price": 3})
    )
    options = {"data_path": str(workshop.folder), "load_col": None}
    data = create_dataset(Config(model="BPR", dataset="made", config_dict=options))
    assert data.item_num == 6
    row = data.token2id("item_id", "I0")
    words = data.id2token("categories", data.item_feat["categories"][row])
    assert set(words) - {"[PAD]"} == {"Musical_Instruments", "Strings_&_Bows", "Violins"}
    assert float(data.item_feat["price"][row]) >= 0


def test_metadata_of_something_else(workshop) -> None:
    with pytest.raises(
        DataError, match=r"meta\.json\.gz describes none of the 2 items that stay, such as 'I0'"
    ):
        workshop.convert("amazon-2014", block(2, 2), others=meta(workshop, {**META14, "asin": "Z"}))
    with pytest.raises(DataError, match=r"meta\.json\.gz, line 1: it has no field 'parent_asin' or 'asin'"):
        workshop.convert("amazon-2014", block(2, 2), others=meta(workshop, {"title": "x"}))
    assert workshop.left() == ["meta.json.gz", "reviews.json.gz"]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (META14, "line 1 .*give that file as --meta"),
        (META23, "line 1 .*give that file as --meta"),
        (yelp(Row("U", "I")), "line 1 .*burnish data yelp"),
        ({"foo": 1, "bar": 2}, "line 1 .*fields are foo, bar.*Reviews of 2014 and 2018 have reviewerID"),
        ("user_id,parent_asin,rating,timestamp", "line 1: it is not JSON: 'user_id,parent_asin"),
    ],
)
def test_a_file_of_something_else(workshop, first: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        workshop.convert("amazon-2014", [first, Row("U", "I")])


def broken(**fields: object) -> dict:
    return {name: value for name, value in {**amazon14(Row("U", "I")), **fields}.items() if value != "gone"}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (broken(overall="gone"), "line 2: field 'overall' is missing"),
        (broken(overall="good"), "line 2: field 'overall' is not a number: 'good'"),
        (broken(overall=0), "line 2: field 'overall' is 0, outside"),
        (broken(unixReviewTime=None), "line 2: field 'unixReviewTime' is missing"),
        (broken(unixReviewTime=1588687728123), "line 2: .*milliseconds, where seconds belong"),
        (broken(asin='a"b'), "line 2: field 'asin' is not an id"),
        (broken(reviewerID="gone"), "line 2: field 'reviewerID' is missing"),
        (amazon18(Row("U", "I")), "line 2: its fields are those of 2018.*begins with reviews of 2014"),
        (amazon23(Row("U", "I")), "line 2: its fields are those of 2023.*begins with reviews of 2014"),
        ('{"reviewerID": "U"', "line 2: it is not JSON"),
    ],
)
def test_broken_lines(workshop, second: object, said: str) -> None:
    rows = [Row("U1", "I1"), second, Row("U1", "I2")]
    with pytest.raises(DataError, match=said) as caught:
        workshop.convert("amazon-2014", rows)
    assert "reviews.json.gz" in str(caught.value)
    assert "--skip-broken" in str(caught.value)
    assert workshop.left() == ["reviews.json.gz"]
    card = workshop.convert("amazon-2014", rows, skip_broken=True)
    assert (card.after.ratings, card.broken["reviews.json.gz"]) == (2, 1)


def test_a_broken_first_line_can_be_skipped(workshop) -> None:
    card = workshop.convert("amazon-2023", [{"rating": 5}, Row("U1", "I1")], skip_broken=True)
    assert (card.kind, card.after.ratings, card.broken["reviews.json.gz"]) == ("amazon-2023", 1, 1)
    with pytest.raises(DataError, match=r"no review that can be used; the first of 2 broken lines: .*line 1"):
        workshop.convert("amazon-2023", [META14, META14], skip_broken=True, out="other")


def test_seconds_in_a_file_of_2023(workshop) -> None:
    record = {**amazon23(Row("U", "I")), "timestamp": 1588687728}
    with pytest.raises(
        DataError, match=r"line 1: field 'timestamp' is 1588687728: seconds, where milliseconds"
    ):
        workshop.convert("amazon-2023", [record])


def test_2018_after_2023(workshop) -> None:
    with pytest.raises(DataError, match=r"fields are those of 2014 or 2018.*begins with reviews of 2023"):
        workshop.convert("amazon-2023", [Row("U", "I"), amazon18(Row("U", "J"))])


def test_reviews_in_python_dictionaries(workshop) -> None:
    rows = [repr(amazon14(Row("U1", "I1", text='it\'s "fine"'))), repr(amazon14(Row("U1", "I2")))]
    workshop.convert("amazon-2014", rows)
    frame = pd.read_parquet(workshop.folder / "made" / "made.reviews.parquet")
    assert frame["review"].tolist() == ['it\'s "fine"', "good"]

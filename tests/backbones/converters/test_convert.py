"""What a conversion writes, of every kind of collection, read back by pandas, pyarrow, burnish and RecBole."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from published_reviews import NASTY, SHAPES, Row, block

from burnish.backbones.converters import Options, convert_amazon
from burnish.backbones.converters.escapes import unescaped

KINDS = sorted(SHAPES)


def read_tsv(path: Path) -> pd.DataFrame:
    """The file of reviews line by line, without pandas' parser."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        head, *rows = [line.rstrip("\n").split("\t") for line in file]
    frame = pd.DataFrame(rows, columns=head)
    for column in ("summary", "review"):
        frame[column] = frame.pop(f"{column}:escaped").map(unescaped)
    return frame


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file_format", ["parquet", "tsv"])
def test_every_text_survives(workshop, kind: str, file_format: str) -> None:
    rows = [row._replace(summary=row.text[::-1]) for row in block(5, 6, NASTY)]
    card = workshop.convert(kind, rows, file_format=file_format)
    folder = workshop.folder / "made"
    if file_format == "parquet":
        frame = pd.read_parquet(folder / "made.reviews.parquet")
    else:
        frame = read_tsv(folder / "made.reviews.tsv.gz")
    assert frame["review"].tolist() == [row.text for row in rows]
    summaries = ["" if kind == "yelp" else row.summary for row in rows]
    assert frame["summary"].tolist() == summaries
    assert frame["user_id"].tolist() == [row.user for row in rows]
    assert frame["item_id"].tolist() == [row.item for row in rows]
    assert frame["rating"].astype(float).tolist() == [row.stars for row in rows]
    extra = 0.25 if kind == "amazon-2023" else 0
    assert frame["timestamp"].astype(float).tolist() == [row.seconds + extra for row in rows]
    assert card.kind == kind
    assert card.after.ratings == 30
    assert card.written.without_text == sum(row.text == "" for row in rows)


@pytest.mark.parametrize("file_format", ["parquet", "tsv"])
def test_the_reader_of_review_data_agrees(workshop, file_format: str) -> None:
    from burnish.backbones.review_files import find_review_file, read_reviews

    rows = block(4, 7, NASTY)
    workshop.convert("amazon-2023", rows, file_format=file_format)
    file = find_review_file(workshop.folder / "made", "made", None)
    frame = read_reviews(
        file, user="user_id", item="item_id", time="timestamp", text="review", summary="summary"
    )
    assert frame["text"].tolist() == [f"{row.summary}\n{row.text}" for row in rows]
    assert frame["user"].tolist() == [row.user for row in rows]
    assert frame["time"].tolist() == [row.seconds + 0.25 for row in rows]


@pytest.mark.parametrize(
    ("kind", "extras"),
    [
        ("amazon-2014", {"helpful_up": 2, "helpful_total": 3}),
        ("amazon-2018", {"helpful_up": 1234, "verified": 1}),
        ("amazon-2023", {"helpful_up": 7, "verified": 0}),
        ("yelp", {"useful": 1, "funny": 0, "cool": 2}),
    ],
)
def test_further_columns(workshop, kind: str, extras: dict[str, int]) -> None:
    bare = SHAPES[kind](Row("U1", "I2"))
    for field in ("helpful", "vote", "helpful_vote", "verified_purchase", "useful", "funny", "cool"):
        bare.pop(field, None)
    workshop.convert(kind, [Row("U1", "I1"), bare])
    frame = pd.read_parquet(workshop.folder / "made" / "made.reviews.parquet")
    assert frame.loc[0, list(extras)].to_dict() == extras
    known = {"verified": 1} if kind == "amazon-2018" else {}
    for name in extras:
        assert frame[name].isna()[1] == (name not in known)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_text_is_empty(workshop, kind: str) -> None:
    bare = SHAPES[kind](Row("U1", "I1"))
    for field in ("reviewText", "text", "summary", "title"):
        bare.pop(field, None)
    null = {**SHAPES[kind](Row("U1", "I2")), "reviewText": None, "text": None, "summary": None, "title": None}
    workshop.convert(kind, [bare, null, Row("U1", "I3")])
    frame = pd.read_parquet(workshop.folder / "made" / "made.reviews.parquet")
    assert frame["review"].tolist() == ["", "", "good"]


@pytest.mark.parametrize("kind", KINDS)
def test_recbole_loads_it(workshop, kind: str) -> None:
    from recbole.config import Config
    from recbole.data import create_dataset

    import burnish  # noqa: F401  (mends RecBole)

    rows = block(6, 8, NASTY)
    workshop.convert(kind, rows)
    options = {
        "data_path": str(workshop.folder),
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
    }
    data = create_dataset(Config(model="BPR", dataset="made", config_dict=options))
    assert (data.user_num - 1, data.item_num - 1, data.inter_num) == (6, 8, 48)
    users = data.id2token("user_id", data.inter_feat["user_id"])
    pairs = set(zip(users, data.id2token("item_id", data.inter_feat["item_id"]), strict=True))
    assert pairs == {(row.user, row.item) for row in rows}
    assert sorted(np.asarray(data.inter_feat["rating"]).tolist()) == sorted(row.stars for row in rows)


def test_the_inter_file_word_for_word(workshop) -> None:
    workshop.convert("amazon-2023", [Row("U1", "I1", 4, 1_588_687_728), Row("U2", "I1", 4.5, 3)][:1])
    assert (workshop.folder / "made" / "made.inter").read_bytes() == (
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\nU1\tI1\t4\t1588687728.25\n"
    )


def test_the_latest_of_a_pair_stays(workshop) -> None:
    rows = [
        Row("U1", "I1", 1, 300, "last in time"),
        Row("U1", "I2", 5, 100, "alone"),
        Row("U1", "I1", 2, 200, "older"),
        Row("U2", "I1", 3, 100, "first of a tie"),
        Row("U2", "I1", 4, 100, "second of a tie"),
    ]
    card = workshop.convert("amazon-2014", rows)
    frame = pd.read_parquet(workshop.folder / "made" / "made.reviews.parquet")
    assert frame["review"].tolist() == ["last in time", "alone", "second of a tie"]
    assert (card.before.ratings, card.duplicates, card.after.ratings) == (5, 2, 3)
    card = workshop.convert("amazon-2014", rows, out="every", dedupe="all")
    assert (card.duplicates, card.after.ratings) == (0, 5)


def test_duplicates_count_once_in_the_filter(workshop) -> None:
    rows = [*block(3, 3), *[Row("U9", f"I{n % 2}", 5, n) for n in range(9)]]
    card = workshop.convert("amazon-2018", rows, min_user=3)
    assert (card.after.users, card.after.ratings) == (3, 9)


def test_the_card_tells_what_happened(workshop) -> None:
    rows = [*block(6, 6), Row("Uy", "Ix", 2), Row("Uy", "I1", 2), Row("U1", "I1", 3, 1_500_000_000)]
    card = workshop.convert("amazon-2014", ["", *rows, "{broken"], min_user=3, min_item=3, skip_broken=True)
    assert (card.before.users, card.before.items, card.before.ratings) == (7, 7, 39)
    assert (card.after.users, card.after.items, card.after.ratings) == (6, 6, 36)
    assert card.after.density == 1.0
    assert (card.duplicates, card.rounds, card.broken) == (1, 1, {"reviews.json.gz": 1})
    written = json.loads((workshop.folder / "made" / "made.card.json").read_text("utf-8"))
    assert written["after"] == {"users": 6, "items": 6, "ratings": 36, "density": 1.0}
    size = (workshop.folder / "reviews.json.gz").stat().st_size
    assert written["sources"] == [{"role": "reviews", "file": "reviews.json.gz", "bytes": size}]
    assert sum(written["written"]["stars"].values()) == 36
    said = (workshop.folder / "made" / "README.txt").read_text("utf-8")
    assert "after: 6 users, 6 items, 36 ratings (density 100.000%)" in said
    assert "broken lines left out of reviews.json.gz: 1" in said


def test_equal_input_gives_equal_bytes(workshop) -> None:
    for file_format in ("tsv", "parquet"):
        made = []
        for folder in ("one", "two"):
            workshop.convert("yelp", block(4, 4), out=f"{folder}/made", file_format=file_format, force=True)
            files = sorted((workshop.folder / folder / "made").iterdir())
            made.append({path.name: path.read_bytes() for path in files})
        assert made[0] == made[1]


MUSIC = "amazon14-musical-instruments"


def test_musical_instruments(tmp_path: Path) -> None:
    """The real reviews, written as Amazon's file has them, come back row by row."""
    rows = musical_instruments()
    source = tmp_path / "music.jsonl.gz"
    with gzip.open(source, "wt", encoding="utf-8", compresslevel=1) as file:
        for row in rows:
            record = {
                "reviewerID": row["user_id"],
                "asin": row["item_id"],
                "helpful": [int(row["helpful_up"]), int(row["helpful_total"])],
                "reviewText": row["review"],
                "overall": float(row["rating"]),
                "summary": row["summary"],
                "unixReviewTime": int(row["timestamp"]),
            }
            file.write(json.dumps(record) + "\n")
    card = convert_amazon(source, tmp_path / "music", options=Options(min_user=5, min_item=5))
    assert (card.after.users, card.after.items, card.after.ratings) == (1429, 900, 10261)
    assert (card.rounds, card.duplicates) == (0, 0)
    frame = pd.read_parquet(tmp_path / "music" / "music.reviews.parquet")
    for column in ("user_id", "item_id", "review", "summary"):
        assert frame[column].tolist() == [row[column] for row in rows]
    for column in ("rating", "timestamp", "helpful_up", "helpful_total"):
        assert frame[column].tolist() == [float(row[column]) for row in rows]


def musical_instruments() -> list[dict[str, str]]:
    """Rows of the file of reviews in the archive in BURNISH_TEST_DATA."""
    import io
    import os
    import tarfile

    archive = Path(os.environ.get("BURNISH_TEST_DATA", "test-data")) / f"{MUSIC}.tar.xz"
    if not archive.is_file():
        pytest.skip(f"BURNISH_TEST_DATA names no folder with {MUSIC}.tar.xz")
    with tarfile.open(archive) as files:
        name = next(name for name in files.getnames() if name.endswith(".reviews.tsv.gz"))
        packed = files.extractfile(name)
        assert packed is not None
        with gzip.open(packed) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE))

"""Reviews beside the atomic files: what belongs to which interaction, whatever the texts hold."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from recbole import data as recbole_data
from recbole.config import Config
from review_world import HEADER, NAME, rows_of, write_reviews

import burnish  # noqa: F401  (RecBole has to know of review data sets)
from burnish.backbones.converters.escapes import escaped
from burnish.backbones.review_files import read_reviews
from burnish.backbones.reviews import INTERACTION_ROW, ReviewDataset
from burnish.errors import ConfigurationError, DataError

NASTY = [
    'say "no"',
    "a\ttab",
    "two\nlines",
    "c:\\temp\\new",
    "naïve 日本 🎸",
    "'",
    "\\",
    "end\r",
    "NA",
    "null",
    '"',
]


def dataset(folder: Path, **options: Any) -> ReviewDataset:
    config = Config("DReX", NAME, config_dict={"data_path": str(folder), **options})
    made = recbole_data.create_dataset(config)
    assert isinstance(made, ReviewDataset)
    return made


def texts_of(data: ReviewDataset) -> dict[tuple[str, str, int], str]:
    """Text by user, item and time, from the data set before it is split."""
    frame = data.inter_feat
    return {
        (data.id2token("user_id", user), data.id2token("item_id", item), int(time)): data.texts[row]
        for user, item, time, row in zip(
            frame["user_id"], frame["item_id"], frame["timestamp"], frame[INTERACTION_ROW], strict=True
        )
    }


def write(folder: Path, inter: list[tuple[Any, ...]], reviews: pd.DataFrame, ending: str = "parquet") -> Path:
    home = folder / NAME
    home.mkdir(parents=True)
    (home / f"{NAME}.inter").write_text(
        HEADER + "".join("\t".join(map(str, row)) + "\n" for row in inter), encoding="utf-8"
    )
    file = home / f"{NAME}.reviews.{ending}"
    if ending == "parquet":
        reviews.to_parquet(file)
        return folder
    lines = [
        "\t".join(reviews.columns),
        *("\t".join(map(str, row)) for row in reviews.itertuples(index=False)),
    ]
    data = "".join(line + "\n" for line in lines).encode()
    file.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    return folder


def columns(rows: list[tuple[str, str, Any, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp", "review"])


def test_every_review_finds_its_interaction(tmp_path: Path) -> None:
    rows = rows_of()
    found = texts_of(dataset(write_reviews(tmp_path, rows)))
    assert found == {(user, item, time): text for user, item, _, time, text in rows}


@pytest.mark.parametrize("ending", ["parquet", "tsv", "tsv.gz"])
def test_texts_survive(ending: str, tmp_path: Path) -> None:
    inter = [("u", f"i{number}", 3, number) for number in range(len(NASTY))]
    frame = columns([("u", f"i{number}", number, text) for number, text in enumerate(NASTY)])
    if ending != "parquet":
        frame["review"] = frame["review"].map(escaped)
        frame = frame.rename(columns={"review": "review:escaped"})
    found = texts_of(dataset(write(tmp_path, inter, frame, ending)))
    assert [found["u", f"i{number}", number] for number in range(len(NASTY))] == NASTY


def test_raw_text_is_left_as_it_is(tmp_path: Path) -> None:
    """A column called plainly `review` has no escapes and no quotes."""
    texts = ["c:\\temp\\new", 'an "open quote', "'", "5' 6\"", "\\n"]
    inter = [("u", f"i{number}", 3, number) for number in range(len(texts))]
    frame = columns([("u", f"i{number}", number, text) for number, text in enumerate(texts)])
    found = texts_of(dataset(write(tmp_path, inter, frame, "tsv")))
    assert [found["u", f"i{number}", number] for number in range(len(texts))] == texts


def test_many_or_no_reviews_a_pair(tmp_path: Path) -> None:
    inter = [("u", "i", 1, 10), ("u", "i", 2, 20), ("u", "j", 3, 30), ("v", "i", 4, 40), ("v", "j", 5, 50)]
    reviews = columns(
        [
            ("u", "i", 20, "of the second"),  # by time
            ("u", "i", 10, "of the first"),
            ("u", "j", 30, "one"),
            ("u", "j", 31, "and more"),  # nobody's time: to the pair's only interaction
            ("v", "i", None, "no time"),
            ("w", "i", 40, "unknown user"),
            ("v", "k", 40, "unknown item"),
        ]
    )
    data = dataset(write(tmp_path, inter, reviews))
    assert texts_of(data) == {
        ("u", "i", 10): "of the first",
        ("u", "i", 20): "of the second",
        ("u", "j", 30): "one\nand more",
        ("v", "i", 40): "no time",
        ("v", "j", 50): "",
    }
    assert data.counts == {
        "interactions": 5,
        "reviews": 7,
        "used": 5,
        "unknown": 2,
        "with_review": 4,
        "dropped": 0,
    }


def test_without_times_the_order_decides(tmp_path: Path) -> None:
    inter = [("u", "i", 1, 10), ("u", "i", 2, 20), ("u", "j", 3, 5), ("v", "i", 3, 6)]
    reviews = columns([("u", "i", 0, "a"), ("u", "i", 0, "b"), ("u", "i", 0, "c")]).drop(columns="timestamp")
    found = texts_of(dataset(write(tmp_path, inter, reviews)))
    assert (found["u", "i", 10], found["u", "i", 20]) == ("a", "b\nc")


def test_filters_leave_texts_where_they_belong(tmp_path: Path) -> None:
    """RecBole drops and renumbers rows; the texts go with theirs."""
    rows = rows_of()
    found = texts_of(dataset(write_reviews(tmp_path, rows), val_interval={"rating": "[3,inf)"}))
    assert found == {(user, item, time): text for user, item, rating, time, text in rows if rating >= 3}


def test_the_training_part_is_in_the_order_of_time(tmp_path: Path) -> None:
    """Times that differ by less than single precision can hold keep their order."""
    begin = 1_393_545_600
    rows = [(user, item, rating, begin + time, text) for user, item, rating, time, text in rows_of()]
    data = dataset(write_reviews(tmp_path, rows))
    time = {row: t for (_, _, t), row in zip(texts_of(data), data.inter_feat[INTERACTION_ROW], strict=True)}
    part = data.build()[0]
    order = [time[int(row)] for row in part.inter_feat[INTERACTION_ROW]]
    assert order == sorted(order)
    assert part.training_texts() == [data.texts[int(row)] for row in part.inter_feat[INTERACTION_ROW]]


def test_reviews_are_dropped_by_share_and_seed(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    whole = dataset(tmp_path)
    half, again, other = (dataset(tmp_path, drop_reviews=0.5, seed=seed) for seed in (1, 1, 2))
    have = whole.counts["with_review"]
    assert half.counts["dropped"] == round(have / 2)
    assert sum(bool(text) for text in half.texts) == have - round(have / 2)
    assert half.texts == again.texts != other.texts
    assert {text for text in half.texts if text} <= set(whole.texts)


def test_splits_are_those_of_recbole(tmp_path: Path) -> None:
    """The numbering and sorting change nothing about who is in which part."""
    write_reviews(tmp_path)
    own = dataset(tmp_path).build()
    config = Config("BPR", NAME, config_dict={"data_path": str(tmp_path), "load_col": None})
    from recbole.utils import init_seed

    init_seed(5, True)
    theirs = recbole_data.create_dataset(config).build()
    init_seed(5, True)
    own = dataset(tmp_path).build()
    for one, other in zip(own, theirs, strict=True):
        pairs = [
            sorted(zip(part.inter_feat["user_id"].tolist(), part.inter_feat["item_id"].tolist(), strict=True))
            for part in (one, other)
        ]
        assert pairs[0] == pairs[1]
    assert torch.is_tensor(own[0].inter_feat[INTERACTION_ROW])


# ------------------------------------------------------------------ bad input


def refused(error: type[Exception], match: str, folder: Path, **options: Any) -> None:
    with pytest.raises(error, match=match):
        dataset(folder, **options)


def test_bad_input_is_said(tmp_path: Path) -> None:
    write_reviews(tmp_path)
    file = tmp_path / NAME / f"{NAME}.reviews.tsv"
    refused(
        DataError, r"review_file = 'nowhere.tsv': there is no such file", tmp_path, review_file="nowhere.tsv"
    )
    refused(ConfigurationError, r"no column 'reviw'.*Did you mean 'review'", tmp_path, REVIEW_FIELD="reviw")
    refused(ConfigurationError, r"drop_reviews = 2: give a share between 0 and 1", tmp_path, drop_reviews=2)
    refused(
        ConfigurationError,
        r"save_dataset = True: the data set of DReX is read from its",
        tmp_path,
        save_dataset=True,
    )
    text = file.read_text()
    file.write_text(text.replace("u1", "x1").replace("\nu", "\nx"))
    refused(DataError, r"none of its 60 reviews belongs to an interaction", tmp_path)
    file.write_text(text.splitlines()[0] + "\n")
    refused(DataError, "holds no reviews", tmp_path)
    file.write_text("user_id\titem_id\ttimestamp\treview\nu1\ti1\tlately\tgood\n")
    refused(DataError, r"column 'timestamp' must hold seconds as numbers", tmp_path)
    (tmp_path / NAME / f"{NAME}.reviews.parquet").write_bytes(b"no parquet")
    refused(DataError, r"has several files of reviews", tmp_path)
    refused(DataError, r"cannot be read as a parquet file", tmp_path, review_file=f"{NAME}.reviews.parquet")
    (tmp_path / NAME / f"{NAME}.reviews.parquet").unlink()
    file.unlink()
    refused(
        DataError, r"has no reviews.*`burnish data` makes one.*review_file: none goes on without", tmp_path
    )
    assert dataset(tmp_path, review_file="none").counts["with_review"] == 0


def test_summaries_come_before_the_text(tmp_path: Path) -> None:
    file = tmp_path / "x.reviews.tsv"
    file.write_text("user_id\titem_id\tsummary\treview\nu\ti\tGood\tLoud\nu\tj\t\tSoft\nu\tk\tBad\t\n")
    found = read_reviews(file, user="user_id", item="item_id", time=None, text="review", summary="summary")
    assert found["text"].tolist() == ["Good\nLoud", "Soft", "Bad\n"]


def test_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "x.reviews.tsv"
    file.write_bytes(b"user_id\titem_id\treview\r\nu\ti\tLoud\r\nu\tj\t\r\n")
    found = read_reviews(file, user="user_id", item="item_id", time="timestamp", text="review")
    assert found["text"].tolist() == ["Loud", ""]
    assert np.all(found["user"] == "u")

"""Texts of items from their files, and of users from the training split alone."""

from __future__ import annotations

import gzip
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from recbole.config import Config
from recbole.data import create_dataset, data_preparation

import burnish  # noqa: F401  (mends RecBole)
from burnish.enhancers.guided.scorers.protocol import Texts
from burnish.enhancers.guided.texts import item_texts, title_field, user_texts
from burnish.errors import ConfigurationError, DataError, UnknownNameError
from burnish.trained.titles import read_titles

#: Data that may be tested with but not shipped; a folder with ml-100k-plot.tar.xz.
PLOTS = Path(os.environ.get("BURNISH_TEST_DATA", "test-data")) / "ml-100k-plot.tar.xz"
ITEMS = (
    "item_id:token\ttitle:token_seq\tyear:float\tprice:float\tgenres:token_seq\tshop_url:token\n"
    "007\tDr. No\t1962\t9.5\tAction Spy\thttp://x\n"
    '2\tThe "Third" Man\t1949\t3\tDrama\thttp://y\n'
)


def folder_with(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir(exist_ok=True)
    for suffix, text in files.items():
        (folder / f"shop.{suffix}").write_text(text, encoding="utf-8")
    return folder


def test_columns_of_text_are_taken_by_default(tmp_path: Path) -> None:
    texts = item_texts(folder_with(tmp_path, item=ITEMS))
    assert texts.ids == ("007", "2")
    assert texts.one(0) == {"title": "Dr. No", "year": "1962", "genres": "Action Spy"}
    assert texts.one(1)["title"] == 'The "Third" Man'


def test_texts_and_titles_in_quotes_may_hold_the_separator(tmp_path: Path) -> None:
    item = (
        'item_id:token,title:token_seq,genre:token\ni0,"Van, The",Drama\ni1,"He said ""hi"" to me",Comedy\n'
    )
    folder = folder_with(tmp_path, item=item)
    config = {
        "data_path": str(folder),
        "dataset": "shop",
        "field_separator": ",",
        "seq_separator": " ",
        "encoding": None,
        "ITEM_ID_FIELD": "item_id",
        "USER_ID_FIELD": "user_id",
    }
    assert item_texts(config).fields == {
        "title": ("Van, The", 'He said "hi" to me'),
        "genre": ("Drama", "Comedy"),
    }
    assert read_titles(config) == ("title", {"i0": "Van, The", "i1": 'He said "hi" to me'})
    (folder / "shop.item").write_text(f"{item}i2,too,many,cells\n")
    with pytest.raises(DataError, match="line 4 has 4 cells and the first line 3"):
        item_texts(config)


def test_columns_by_name(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, item=ITEMS)
    assert item_texts(folder, ["price", "title"]).one(0) == {"price": "9.5", "title": "Dr. No"}
    with pytest.raises(UnknownNameError, match=r"text column 'titel' is not known. Did you mean 'title'"):
        item_texts(folder, ["titel"])
    with pytest.raises(ConfigurationError, match="each once"):
        item_texts(folder, ["title", "title"])


def test_a_file_of_texts_adds_and_replaces(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, item=ITEMS)
    long = "word " * 60_000  # beyond the csv module's default limit of a field
    with gzip.open(folder / "shop.itemtext.tsv.gz", "wt", encoding="utf-8") as stream:
        stream.write(
            f'item_id\ttitle\tplot\tprice\timdb_id\n2\t\tA "quoted plot\tcheap\ttt1\n9\tNew\t{long}\tdear\ttt2\n'
        )
    texts = item_texts(folder)
    assert texts.ids == ("007", "2", "9")
    assert list(texts.fields) == ["title", "year", "price", "genres", "plot"]
    assert texts.one(1) == {
        "title": 'The "Third" Man',
        "year": "1949",
        "price": "cheap",
        "genres": "Drama",
        "plot": 'A "quoted plot',
    }
    assert texts.one(2)["plot"] == long.strip()
    assert item_texts(folder, itemtext=False).ids == ("007", "2")
    (folder / "shop.item").unlink()
    assert item_texts(folder).ids == ("2", "9")


def test_the_files_of_ml_100k() -> None:
    recbole = Path(sys.modules["recbole"].__file__ or "").parent
    texts = item_texts(recbole / "dataset_example" / "ml-100k")
    assert len(texts) == 1682
    assert texts.one(0) == {
        "movie_title": "Toy Story",
        "release_year": "1995",
        "class": "Animation Children's Comedy",
    }
    assert title_field(texts) == "movie_title"


@pytest.mark.skipif(not PLOTS.is_file(), reason="BURNISH_TEST_DATA names no folder with ml-100k-plot")
def test_real_plots(tmp_path: Path) -> None:
    with tarfile.open(PLOTS) as tar:
        for name in ("item", "itemtext.tsv.gz"):
            tar.extract(f"ml-100k-plot/ml-100k-plot.{name}", tmp_path, filter="data")
    texts = item_texts(tmp_path / "ml-100k-plot")
    assert list(texts.fields) == ["title", "year", "genres", "plot", "directors", "cast"]
    plots = [plot for plot in texts.fields["plot"] if plot]
    assert len(plots) > 1500
    assert any('"' in plot for plot in plots)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no texts: there is neither"),
        ({"item": "id:token\ttitle:token\n1\tx\n"}, "has no column 'item_id'"),
        ({"item": "item_id:token\ttitle:token\n1\tx\n1\ty\n"}, "line 3: the item '1' has been there"),
        ({"item": "item_id:token\ttitle:token\n1\n"}, "line 2 has 1 cells"),
        ({"item": "item_id:token\tprice:float\n1\t2\n"}, "no column of text"),
    ],
)
def test_what_is_wrong_with_the_files(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        item_texts(folder_with(tmp_path, **files))
    with pytest.raises(DataError, match="is not a folder"):
        item_texts(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        item_texts(folder_with(tmp_path, **files), itemtext=tmp_path / "no.tsv")


def test_the_field_that_names_an_item() -> None:
    assert title_field(Texts((), {"description": (), "product_name": (), "title": ()})) == "title"
    assert title_field(Texts((), {"Name (de)": (), "class": ()})) == "Name (de)"
    assert title_field(Texts((), {"author_name": (), "Titel": ()})) == "Titel"
    assert title_field(Texts((), {"description": ()})) == "description"
    with pytest.raises(UnknownNameError, match="Did you mean 'description'"):
        title_field(Texts((), {"description": ()}), "descripton")


# ---------------------------------------------------------------------- users

N_USERS, N_ITEMS, N_EACH = 6, 12, 8


def interactions(tamper: str = "") -> list[tuple[int, int, int, int]]:
    """User, item, rating and time: user u takes items u, u + 1, ...; some are changed, keeping the set of items."""
    rows = []
    for user in range(1, N_USERS + 1):
        for step in range(N_EACH):
            item, rating = (user + step) % N_ITEMS + 1, step % 5 + 1
            held_out = step >= N_EACH - 2
            if (tamper == "held out" and held_out) or (tamper == "training" and step == 2):
                item, rating = (item + 5) % N_ITEMS + 1, 6 - rating
            rows.append((user, item, rating, 1000 * user + 10 * step))
    return rows[::-1]  # files are in no order


def training_texts(
    folder: Path, model: str, rows: list[tuple[int, ...]], **options: Any
) -> tuple[Any, Texts]:
    data = folder / "films"
    data.mkdir(parents=True)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (data / "films.inter").write_text("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    names = [f"{item}\tFilm {item}" for item in range(1, N_ITEMS + 1)]
    (data / "films.item").write_text("\n".join(["item_id:token\ttitle:token_seq", *names]) + "\n")
    settings = {
        "data_path": str(folder),
        "train_neg_sample_args": None if model == "SASRec" else {"distribution": "uniform", "sample_num": 1},
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "show_progress": False,
        "MAX_ITEM_LIST_LENGTH": 20,
        **options,
    }
    config = Config(model=model, dataset="films", config_dict=settings)
    train, _, _ = data_preparation(config, create_dataset(config))
    return train._dataset, item_texts(config)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])


def wanted(rows: list[tuple[int, ...]], normalised: bool = False) -> list[str]:
    """The histories, made from the rows themselves: all but a user's last two, in order of time."""
    texts = []
    for user in range(1, N_USERS + 1):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[3])[:-2]
        stars = {1: "0%", 2: "25%", 3: "50%", 4: "75%", 5: "100%"} if normalised else {n: n for n in range(6)}
        texts.append("\n".join(f"Film {item} (rated {stars[rating]})" for _, item, rating, _ in own))
    return texts


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_histories_are_those_of_training_in_order_of_time(tmp_path: Path, model: str) -> None:
    rows = interactions()
    train, items = training_texts(tmp_path / "a", model, rows)
    texts = user_texts(train, items)
    found = dict(zip(texts.ids, texts.fields["history"], strict=True))
    assert [found[str(user)] for user in range(1, N_USERS + 1)] == wanted(rows)
    short = user_texts(train, items, most=2, ratings=False)
    for number, token in enumerate(short.ids):
        assert short.one(number)["history"] == "\n".join(
            line.split(" (")[0] for line in found[token].split("\n")[-2:]
        )


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_validation_and_test_rows_change_no_text(tmp_path: Path, model: str) -> None:
    before, after, other = (
        user_texts(*training_texts(tmp_path / name, model, interactions(tamper)))
        for name, tamper in (("a", ""), ("b", "held out"), ("c", "training"))
    )
    assert interactions() != interactions("held out")

    def by_user(texts: Texts) -> dict[str, str]:
        return dict(zip(texts.ids, texts.fields["history"], strict=True))

    assert by_user(before) == by_user(after)
    assert by_user(before) != by_user(other)  # so the comparison can fail


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
@pytest.mark.parametrize("option", [{"normalize_all": True}, {"normalize_field": ["rating"]}])
def test_ratings_that_recbole_has_normalised(tmp_path: Path, model: str, option: dict[str, Any]) -> None:
    rows = interactions()
    train, items = training_texts(tmp_path / "a", model, rows, **option)
    texts = user_texts(train, items)
    found = dict(zip(texts.ids, texts.fields["history"], strict=True))
    assert [found[str(user)] for user in range(1, N_USERS + 1)] == wanted(rows, normalised=True)


def test_items_without_a_title_and_wrong_options(tmp_path: Path) -> None:
    train, items = training_texts(tmp_path / "a", "BPR", interactions())
    some = Texts(items.ids, {"title": tuple("" if i % 2 else t for i, t in enumerate(items.fields["title"]))})
    full, half = user_texts(train, items, ratings=False), user_texts(train, some, ratings=False)
    for number in range(len(full)):
        lines = [line for line in full.one(number)["history"].split("\n") if line in some.fields["title"]]
        assert half.one(number)["history"].split("\n") == lines
    with pytest.raises(ConfigurationError, match="most = 0"):
        user_texts(train, items, most=0)
    with pytest.raises(UnknownNameError, match="title field 'name'"):
        user_texts(train, items, title="name")

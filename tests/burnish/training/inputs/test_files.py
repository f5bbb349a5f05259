"""Atomic files that are not what they should be: file, line, column, value and cure."""

from __future__ import annotations

from typing import Any

import pytest

from burnish.errors import BurnishError, DataError

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            HEAD,
            "user_id\titem_id\trating\ttimestamp",
            r"d\.inter, line 1: the header cell 'user_id' is not NAME:TYPE",
        ),
        ("rating:float", "rating:flaot", r"line 1: column 'rating' has the type 'flaot'.*rating:float\?"),
        ("rating:float", "rating:int", r"rating:float\?"),
        (
            "user_id:token",
            "user:token",
            r"column 'user_id'.*Did you mean 'user'\?.*d\.inter does not have it",
        ),
        (
            "item_id:token",
            "item_id:float",
            r"column 'item_id' has the type float, and ITEM_ID_FIELD must be a token",
        ),
        ("rating:float", "item_id:token", r"line 1: two columns are called 'item_id'"),
        ("rating:float", " rating:float", "blanks or quotes around"),
        ("timestamp:float", "timestamp:token", r"column 'timestamp' \(TIME_FIELD\) has the type token"),
        (HEAD, HEAD.replace("\t", ","), r"has commas where field_separator = '\\t'.*field_separator: ','"),
        ("u1\ti5\t4\t", "u1\ti5\tfour\t", r"d\.inter, line 2: 'four' in column 'rating' is not a number"),
        (
            "u1\ti5\t4\t1600000007",
            "u1\ti5\t4\t2020-09-13T12:26:47",
            r"line 2: '2020-.*' in column 'timestamp'",
        ),
        ("u1\ti5\t4\t", "u1\ti5\tinf\t", r"line 2: inf in column 'rating' is not a finite number"),
        ("u1\ti5\t4\t", "u1\ti5\t", r"line 2: .* has 3 fields, and the first line 4"),
        ("u1\ti5\t4\t", "u1\ti5\t4\t4\t", r"line 2: .* has 5 fields, and the first line 4"),
        ("u1\ti5\t", "u1\t[PAD]\t", r"'\[PAD\]' in column 'item_id'"),
        ("u1\ti5\t4", "u1\ti5\0\t4", "line 2 holds a NUL byte"),
        (HEAD, "", "blank first line"),
    ],
)
def test_interactions(world: Any, old: str, new: str, says: str) -> None:
    world.spoil("inter", old, new)
    with pytest.raises(BurnishError, match=says):
        world.train()


def test_a_byte_order_mark_is_read(world: Any) -> None:
    plain = world.train()
    world.write("inter", b"\xef\xbb\xbf" + world.texts["inter"].encode())
    assert world.train().test_result == plain.test_result


def test_utf_16_is_named_and_read_on_request(world: Any) -> None:
    plain = world.train(load_col={"inter": "*"})
    world.write("inter", world.texts["inter"].encode("utf-16"))
    with pytest.raises(
        DataError, match=r"d\.inter begins with a byte order mark of utf-16.*encoding: utf-16"
    ):
        world.train()
    for suffix in ("item", "user"):
        (world.folder / f"d.{suffix}").unlink()
    again = world.train(load_col={"inter": "*"}, encoding="utf-16")
    assert again.test_result == plain.test_result


def test_bytes_in_another_encoding(world: Any) -> None:
    world.write("inter", world.texts["inter"].replace("u7\t", "ü7\t").encode("latin-1"))
    with pytest.raises(DataError, match=r"d\.inter, line \d+: the bytes .* are not utf-8.*encoding: latin-1"):
        world.train()
    assert "ü7" in world.dataset(encoding="latin-1").field2id_token["user_id"]


def test_utf_8_whatever_the_locale(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import locale

    monkeypatch.setattr(locale, "getencoding", lambda: "ascii", raising=False)
    world.write("inter", world.texts["inter"].replace("u1", "é1"))
    config = world.dataset()
    assert "é1" in config.field2id_token["user_id"]


@pytest.mark.parametrize("suffix", ["inter", "item"])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"is empty|has 0 interactions"),
        (b"HEAD", r"has a header and no rows|has 0 interactions"),
        (b"HEAD\n", r"has a header and no rows|has 0 interactions"),
        (b"PK\x03\x04 zip\n\n\n", "is a zip archive"),
    ],
)
def test_files_with_nothing_in_them(world: Any, suffix: str, content: bytes, says: str) -> None:
    head = world.texts[suffix].splitlines()[0].encode()
    world.write(suffix, content.replace(b"HEAD", head))
    with pytest.raises(DataError, match=rf"d\.{suffix}.*({says})|({says}).*d\.{suffix}"):
        world.train()


def test_text_in_a_number_column_of_items(world: Any) -> None:
    world.spoil("item", "film 3\t1.5", "film 3\t—")
    with pytest.raises(
        DataError, match=r"d\.item, line 4: '—' in column 'price' is not a number.*price:token"
    ):
        world.train()


def test_empty_numbers_are_filled_in_aloud(world: Any) -> None:
    world.spoil("item", "film 3\t1.5", "film 3\t")
    with pytest.warns(
        UserWarning, match=r"d\.item: column 'price' is empty in 1 of 25 rows \(the first is line 4\)"
    ):
        world.train()


@pytest.mark.parametrize("model", ["EMF", "NARRE", "HRDR", "DeepCoNN", "DReX", "DReXMLP", "PESI"])
def test_missing_ratings_are_refused_by_every_model_of_ratings(world: Any, model: str) -> None:
    world.spoil("inter", "u1\ti5\t4\t", "u1\ti5\t\t")
    reviews = {} if model == "EMF" else {"review_file": "none"}
    with pytest.raises(
        DataError, match=r"d\.inter, line 2: column 'rating' is missing a value, as in 1 of 240 rows"
    ):
        world.dataset(
            model,
            load_col=None,
            eval_args={"mode": "labeled"},
            metrics=["RMSE"],
            valid_metric="RMSE",
            train_neg_sample_args=None,
            LABEL_FIELD="rating",
            **reviews,
        )


def test_missing_times_are_refused(world: Any) -> None:
    world.spoil("inter", "1600000007", "")
    with pytest.raises(DataError, match=r"line 2: column 'timestamp' is missing a value"):
        world.train("SASRec")


def test_load_col_and_its_fellows(world: Any) -> None:
    for options, says in (
        ({"load_col": {"inter": ["user_id", "itemid"]}}, r"load_col\.inter: column 'itemid'.*'item_id'"),
        ({"load_col": {"itner": ["user_id", "item_id"]}}, r"load_col: file 'itner'.*'inter'"),
        ({"load_col": {"inter": ["user_id"]}}, r"leaves 'item_id' of d\.inter out.*load_col\.inter"),
        ({"load_col": {"inter": None}}, r"load_col\.inter = None"),
        ({"load_col": {"inter": "*", "item": ["title"]}}, r"leaves 'item_id' of d\.item out"),
        (
            {"load_col": {"inter": ["user_id", "item_id"]}, "unload_col": {"inter": ["rating"]}},
            "one of the two",
        ),
        ({"load_col": None, "unload_col": {"inter": ["item_id"]}}, "leaves 'item_id'"),
        ({"unused_col": {"inter": ["item_id"]}}, "every model uses 'item_id'"),
        ({"numerical_features": ["prce"]}, "numerical_features: column 'prce'.*'price'"),
        ({"seq_len": {"title": 0}}, r"seq_len\.title = 0"),
        ({"normalize_field": ["title"]}, "'title' is not a column of numbers"),
        ({"alias_of_item_id": ["user_id"]}, "alias_of_item_id"),
    ):
        with pytest.raises(BurnishError, match=says):
            world.train(**options)


def test_a_file_that_load_col_names_must_be_there(world: Any) -> None:
    (world.folder / "d.item").unlink()
    with pytest.raises(DataError, match=r"load_col = .*d\.item does not exist"):
        world.train()

"""A conversion that cannot go on leaves nothing, replaces nothing by accident, and holds no texts."""

from __future__ import annotations

import errno
import importlib
import itertools
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from published_reviews import Row, amazon14, block

from burnish.backbones.converters import Options, convert_amazon, tables, texts
from burnish.backbones.converters.folder import check_target
from burnish.errors import BurnishError, ConfigurationError, DataError

# By their full names: the package's own `convert` is the function.
convert_module = importlib.import_module("burnish.backbones.converters.convert")
scan_module = importlib.import_module("burnish.backbones.converters.scan")


def test_nothing_stays_after_filtering(workshop) -> None:
    with pytest.raises(
        DataError, match="none of its 12 ratings stays with --min-user 5 --min-item 3"
    ) as caught:
        workshop.convert("amazon-2014", block(3, 4), min_user=5, min_item=3)
    assert "--min-user 4 --min-item 3 keeps 12" in str(caught.value)
    assert workshop.left() == ["reviews.json.gz"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("file_format", ["parquet", "tsv"])
def test_interrupted_while_writing(workshop, monkeypatch, file_format: str, error: BaseException) -> None:
    writer = texts.ParquetReviews if file_format == "parquet" else texts.TsvReviews
    whole, calls = writer.write, itertools.count()

    def write(self, head, body) -> None:
        if next(calls) == 10:
            raise error
        whole(self, head, body)

    monkeypatch.setattr(writer, "write", write)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DataError
    with pytest.raises(expected) as caught:
        workshop.convert("amazon-2014", block(4, 4), file_format=file_format)
    if expected is DataError:
        assert "no space left" in str(caught.value)
    assert workshop.left() == ["reviews.json.gz"]


def test_an_interruption_keeps_what_was_there(workshop, monkeypatch) -> None:
    workshop.convert("amazon-2014", block(2, 2))
    before = {path.name: path.read_bytes() for path in (workshop.folder / "made").iterdir()}

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "records", fail)
    meta = {"meta": workshop.write("amazon-2014", [{"asin": "I1"}], "meta.json")}
    with pytest.raises(KeyboardInterrupt):
        workshop.convert("amazon-2014", block(3, 3), force=True, others=meta)
    assert {path.name: path.read_bytes() for path in (workshop.folder / "made").iterdir()} == before
    assert workshop.left() == ["made", "meta.json", "reviews.json.gz"]


def test_force_replaces_what_was_converted(workshop) -> None:
    workshop.convert("amazon-2014", block(2, 2), file_format="tsv")
    with pytest.raises(ConfigurationError, match=r"made. is there already; .*force=True"):
        workshop.convert("amazon-2014", block(3, 3))
    assert workshop.convert("amazon-2014", block(3, 3), force=True).after.ratings == 9
    files = sorted(path.name for path in (workshop.folder / "made").iterdir())
    assert files == ["README.txt", "made.card.json", "made.inter", "made.reviews.parquet"]
    assert workshop.left() == ["made", "reviews.json.gz"]


def test_force_never_removes_other_files(workshop) -> None:
    (workshop.folder / "made").mkdir()
    (workshop.folder / "made" / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"force=True would remove thesis\.tex"):
        workshop.convert("amazon-2014", block(2, 2), force=True)
    assert (workshop.folder / "made" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("name", ["ml-100k", "a b", "a:b", "..", "-x"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="out="):
        check_target(tmp_path / name, force=True)


def test_out_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is a file, not a folder"):
        check_target(tmp_path / "file" / "made", force=False)
    with pytest.raises(ConfigurationError, match="is not a folder"):
        check_target(tmp_path / "file", force=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"min_user": 0}, "min_user = 0"),
        ({"min_item": -1}, "min_item = -1"),
        ({"file_format": "parqet"}, "Did you mean 'parquet'"),
        ({"dedupe": "lates"}, "Did you mean 'latest'"),
    ],
)
def test_bad_options(options: dict, said: str) -> None:
    with pytest.raises(BurnishError, match=said):
        Options(**options)


def test_a_file_that_changes_in_between(workshop, monkeypatch) -> None:
    path, scan = workshop.folder / "reviews.json", convert_module.scan

    def changed(*arguments: object) -> object:
        found = scan(*arguments)
        path.write_text(path.read_text() + json.dumps(amazon14(Row("U9", "I9"))) + "\n")
        return found

    monkeypatch.setattr(convert_module, "scan", changed)
    workshop.write("amazon-2014", block(2, 2), "reviews.json")
    with pytest.raises(DataError, match="changed while it was read"):
        convert_amazon(path, workshop.folder / "made", options=Options(1, 1))
    assert workshop.left() == ["reviews.json"]


def test_two_ids_with_one_hash_are_noticed(workshop, monkeypatch) -> None:
    monkeypatch.setattr(scan_module, "hash", lambda text: len(text), raising=False)
    with pytest.raises(DataError, match="'U0' and 'U1' have one hash"):
        workshop.convert("amazon-2014", [Row("U0", "I1"), Row("U1", "I22")])


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_new_folder_can_be_read_by_others(workshop) -> None:
    workshop.convert("amazon-2014", block(2, 2))
    (workshop.folder / "usual").mkdir()
    assert (workshop.folder / "made").stat().st_mode == (workshop.folder / "usual").stat().st_mode


def large_file(path: Path, rows: int, characters: int) -> int:
    """`rows` reviews of so many characters, of 20 users, with 9 in 10 of single users."""

    def lines() -> Iterator[str]:
        for n in range(rows):
            user = f"U{n % 20}" if n % 10 == 0 else f"single{n}"
            text = f"{n} " + "x" * characters
            yield json.dumps(amazon14(Row(user, f"I{n % 7}", 5, n, text))) + "\n"

    with path.open("w") as file:
        file.writelines(lines())
    return path.stat().st_size


@pytest.mark.parametrize("file_format", ["parquet", "tsv"])
def test_memory_does_not_grow_with_the_texts(tmp_path: Path, monkeypatch, file_format: str) -> None:
    """A file of 16 MB, of which all stays: the peak is that of a few rows and the ids."""
    monkeypatch.setattr(texts, "_CHARACTERS", 2**18)
    path = tmp_path / "large.json"
    size = large_file(path, 4000, 4000)
    options = Options(1, 1, file_format, "all")
    convert_amazon(path, tmp_path / "first", options=options)  # imports and caches
    tracemalloc.start()
    card = convert_amazon(path, tmp_path / "made", options=options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert card.after.ratings == 4000
    assert size > 16_000_000
    assert peak < size / 6

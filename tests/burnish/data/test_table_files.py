"""Files of all kinds are read alike, and what cannot be read is refused with its place and a cure."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import burnish
from burnish.data.reading import read_file
from burnish.errors import BurnishError, ConfigurationError, DataError

ROWS = [("007", "a,b", 4.5), ("8", 'say "hi"', 3.0), ("9", "two\nlines", 1.0)]
HEAD = ["user", "item", "rating"]


def texts(file: Path, **options: Any) -> list[tuple[str, ...]]:
    table = read_file(file, **options)
    assert list(table.columns) == HEAD
    columns = [[str(cell) for cell in column.to_pylist()] for column in table.columns.values()]
    return list(zip(*columns, strict=True))


def frame() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=HEAD)


WANTED = [("007", "a,b", "4.5"), ("8", 'say "hi"', "3.0"), ("9", "two\nlines", "1.0")]


@pytest.mark.parametrize(
    "ending", [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".jsonl", ".jsonl.gz", ".ndjson"]
)
def test_every_kind(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"rows{ending}"
    if "csv" in ending or "tsv" in ending:
        frame().to_csv(file, index=False, sep="," if "csv" in ending else "\t")
    elif ending == ".parquet":
        frame().to_parquet(file)
    else:
        text = "\n".join(json.dumps(dict(zip(HEAD, row, strict=True))) for row in ROWS)
        file.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    assert texts(file) == WANTED


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("user;item;rating\n1;x,y;5\n", {}),
        ("user\titem\trating\n1\tx,y\t5\n", {}),
        ("user|item|rating\n1|x,y|5\n", {}),
        ('user;"item";rating\n1;x,y;5\n', {}),
        ("user#item#rating\n1#x,y#5\n", {"separator": "#"}),
        ('\ufeffuser,item,rating\r\n1,"x,y",5\r\n\r\n', {}),
        ('user,item,rating\n\n\n1,"x,y",5', {}),
    ],
)
def test_separators_marks_and_line_ends(tmp_path: Path, content: str, options: dict[str, Any]) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content.encode())
    assert texts(file, **options) == [("1", "x,y", "5")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes("user,item,rating\né,x,5\n".encode(encoding))
    told = {} if encoding == "utf-16" else {"encoding": encoding}
    assert texts(file, **told) == [("é", "x", "5")]


def test_quotes_in_tsv(tmp_path: Path) -> None:
    """Around whole cells they are none of the text; inside, as in published TSV, they are letters."""
    file = tmp_path / "rows.tsv"
    file.write_text('user\titem\trating\n"1"\t"x ""y"""\t5\n')
    assert texts(file) == [("1", 'x "y"', "5")]
    file.write_text('user\titem\trating\n1\t"Heroes" by Bowie\t5\n2\t5" disk\t4\n')
    assert texts(file) == [("1", '"Heroes" by Bowie', "5"), ("2", '5" disk', "4")]
    assert "letters like others" in read_file(file).notes[0]


def test_json_lines_with_gaps_and_mixed_types(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"user": 1, "item": "a"}\n\n{"item": 2, "user": "x", "rating": 3}\n')
    assert texts(file) == [("1", "a", "None"), ("x", "2", "3")]
    assert read_file(file).at(1) == "rows.jsonl, line 3"


def test_large_whole_ids_stay_exact(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"user": 12345678901234567890, "item": 9007199254740993}\n{"user": 2, "item": 1}\n')
    card = burnish.data.from_file(file, out=tmp_path / "mine")
    assert card.size.users == 2
    assert "12345678901234567890\t9007199254740993" in (tmp_path / "mine" / "mine.inter").read_text()


@pytest.mark.parametrize(
    ("name", "content", "kind", "told"),
    [
        (
            "r.csv",
            b"user,item\n1,2\n1,2,3\n",
            DataError,
            "line 3: '1,2,3' has 3 fields, and the first line 2; mend",
        ),
        ("r.csv", b'user,item\n"a\nb",2\n1\n', DataError, "line 4: '1' has 1 field, and"),
        (
            "r.csv",
            b"user,item\n1,2\n\xe9,2\n",
            DataError,
            r"line 3: the bytes b'\\xe9,2\\n' are not utf-8; .*latin-1",
        ),
        ("r.csv", b"user\n1\n", DataError, "one column only, 'user'; .*separator="),
        ("r.csv", b"user,user\n1,2\n", DataError, "two columns are called 'user'"),
        ("r.csv", b"user,item\n", DataError, "has no rows"),
        ("r.csv", b"", DataError, "is empty"),
        ("r.csv", b"\nuser,item\n1,2\n", DataError, "the first line is blank"),
        (
            "r.csv",
            b"PK\x03\x04zip",
            DataError,
            "a zip archive or a spreadsheet; unpack it, or save the sheet as CSV",
        ),
        ("r.csv", b"PAR1....", DataError, "is a parquet file; call it r.parquet"),
        ("r.parquet", b"PAR1....", DataError, "is not a whole parquet file"),
        ("r.xlsx", b"PK", ConfigurationError, "ending '.xlsx' names no kind of table"),
        (
            "r.jsonl",
            b'{"user": 1}\n{"user": \n',
            DataError,
            "line 2: it is not JSON.*each line is one object",
        ),
        ("r.json", b'[{"user": 1}]\n', DataError, r"line 1: .*jq -c '\.\[\]' r\.json > r\.jsonl"),
        (
            "r.csv.gz",
            gzip.compress(b"user,item\n" + b"1,2\n" * 9999, mtime=0)[:40],
            DataError,
            "damaged or cut off",
        ),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, kind: type[BurnishError], told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=told) as caught:
        burnish.data.from_file(tmp_path / name, out=tmp_path / "mine")
    assert name in str(caught.value)


def test_a_misspelt_file_and_a_wrong_separator_or_encoding(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DataError, match=r"rating\.csv: there is no such file. Did you mean '.*ratings\.csv'"):
        read_file(tmp_path / "rating.csv")
    with pytest.raises(ConfigurationError, match="separator = ';;': give one character"):
        read_file(tmp_path / "ratings.csv", separator=";;")
    with pytest.raises(ConfigurationError, match="encoding = 'utf-9' is not known"):
        read_file(tmp_path / "ratings.csv", encoding="utf-9")


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{'user': __import__('os').system('touch ran'), 'item': 1}\n")
    with pytest.raises(DataError, match="line 1"):
        read_file(file)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("user;item;when, local;stars", ["user", "item", "when, local", "stars"]),
        ('user,"a;b;c;d",stars', ["user", "a;b;c;d", "stars"]),
        ("user,item;x", ["user", "item;x"]),
    ],
)
def test_what_separates_the_columns(head: str, names: list[str], tmp_path: Path) -> None:
    """The sign that is there most often outside of quotes; a comma where it is a tie."""
    file = tmp_path / "r.csv"
    cells = ";" if head.count(";") == 3 and '"' not in head else ","
    file.write_text(head + "\n" + cells.join("123456"[: len(names)]) + "\n", encoding="utf-8")
    assert list(read_file(file).columns) == names

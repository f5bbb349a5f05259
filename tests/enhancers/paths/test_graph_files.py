"""Tables in files: what stands in the cells, however they are written; what cannot be read is named."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnish.enhancers.paths import graph_files
from burnish.enhancers.paths.graph_files import Cells, Written, find, head, read
from burnish.errors import DataError

PLAIN = [["a:token", "b:token"], ["007", "x"], ["NA", "y z"], ["", "x"], ["null", "1.0"]]


def rows(cells: dict[str, Cells]) -> list[tuple[Any, ...]]:
    columns = [
        [None if code < 0 else one.texts[code] for code in one.codes.tolist()] for one in cells.values()
    ]
    return list(zip(*columns, strict=True))


def expected(lines: list[list[str]]) -> list[tuple[Any, ...]]:
    return [tuple(cell or None for cell in line) for line in lines[1:]]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("last", [True, False])
def test_texts_are_as_they_stand(tmp_path: Path, ending: str, mark: bytes, packed: bool, last: bool) -> None:
    raw = mark + ending.join("\t".join(line) for line in PLAIN).encode() + (ending.encode() if last else b"")
    path = tmp_path / ("a.kg.gz" if packed else "a.kg")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert find(tmp_path / "a.kg") == path
    assert head(path, Written()) == {"a": "token", "b": "token"}
    assert rows(read(path, Written())) == expected(PLAIN)
    assert rows(read(path, Written(), ["b"])) == [line[1:] for line in expected(PLAIN)]


def test_quotes_around_tabs(tmp_path: Path) -> None:
    path = tmp_path / "a.kg"
    path.write_text('a:token\tb:token\n"x\ty"\t1\n"say ""hi"""\t2\n')
    assert rows(read(path, Written())) == [("x\ty", "1"), ('say "hi"', "2")]


@pytest.mark.parametrize("packed", [False, True])
def test_stray_quotes_lose_no_line(tmp_path: Path, packed: bool) -> None:
    text = 'a:token\tb:token\n"Weird Al\t1\nx\t2\n5" disk\t3\n"y\t4\nz\t5\n'
    path = tmp_path / ("a.kg.gz" if packed else "a.kg")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert [row[1] for row in rows(read(path, Written()))] == ["1", "2", "3", "4", "5"]
    assert rows(read(path, Written()))[0] == ('"Weird Al', "1")


def test_lines_between_two_quotes_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.kg"
    path.write_text('a:token\tb:token\n"x\t1\ny"\t2\n')
    assert rows(read(path, Written())) == [('"x', "1"), ('y"', "2")]


def test_in_pieces_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    lines = [[draw.choice("abcdef"), draw.choice(["", "1", "2", "3"])] for _ in range(100)]
    path = tmp_path / "a.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in [["x", "y"], *lines]))
    monkeypatch.setattr(graph_files, "_ROWS", 7)
    assert rows(read(path, Written())) == [tuple(cell or None for cell in line) for line in lines]


def test_separators_and_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,y\n"a, b",é\n', encoding="utf-8")
    assert rows(read(path, Written().like(path))) == [("a, b", "é")]
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert rows(read(packed, Written().like(packed))) == [("a, b", "é")]
    path.write_text("x;y\né;1\n", encoding="latin-1")
    assert rows(read(path, Written(";", "latin-1"))) == [("é", "1")]
    path.write_text("x\ty\né\t1\n", encoding="utf-16")
    assert rows(read(path, Written("\t", "utf-16"))) == [("é", "1")]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = {
        "text": ["a", None, "b", ""],
        "number": [1, 2, None, 2],
        "kind": ["x", "y", "x", "y"],
        "more": [0.5] * 4,
    }
    table = pa.table({**frame, "kind": pa.array(frame["kind"]).dictionary_encode()})
    pq.write_table(table, path, row_group_size=2)
    assert set(head(path, Written())) == set(frame)
    found = read(path, Written(), ["text", "number", "kind"])
    assert rows(found) == [("a", "1", "x"), (None, "2", "y"), ("b", None, "x"), (None, "2", "y")]
    with pytest.raises(DataError, match="'more' are texts or whole numbers"):
        read(path, Written(), ["more"])
    pd.DataFrame({"ids": [1.0, 2.0, None]}).to_parquet(path)
    assert rows(read(path, Written())) == [("1",), ("2",), (None,)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no first line that names the columns"),
        (b"a:token\ta:token\n1\t2\n", "two columns are called 'a'"),
        (b"a:token\tb:token\n1\t2\n1\t2\t3\n", "more or fewer cells than the first line's 2"),
        (b"a:token\tb:token\n1\t2\n1\n", "more or fewer cells"),
        (b'a:token\tb:token\n"1"\t2\n1\t2\t3\n', "cannot be read"),
        (b"a:token\tb:token\n1\t\xff\xfe\n", "cannot be read .*write it as utf-8"),
        (b"\xff\xfea", "cannot be read"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.kg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(path, Written())


@pytest.mark.parametrize("name", ["a.kg.gz", "a.parquet"])
def test_files_that_are_cut_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress("".join(f"{n}\t{n * n}\n" for n in range(2, 9999)).encode())[:5000])
    else:
        pd.DataFrame({"a": ["x"]}).to_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read(path, Written())


def test_parquet_without_numbers_has_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1.0, float("nan"), None, 3.0], "b": ["x", "y", "z", ""]}), path)
    assert rows(read(path, Written())) == [("1", "x"), (None, "y"), (None, "z"), ("3", None)]
    pq.write_table(pa.table({"a": ["x", "y"], "b": [1.0, 2.5]}), path)
    with pytest.raises(DataError, match=r"whose values in 'b' are texts or whole numbers"):
        read(path, Written())


def test_parquet_with_a_column_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array(["x"])
    pq.write_table(pa.Table.from_arrays([column, column, column], names=["a", "b", "a"]), path)
    with pytest.raises(DataError, match=r"a\.parquet: two columns are called 'a'"):
        read(path, Written())

"""Lines as records: JSON, Python dictionaries, and everything that is neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_reviews import write_lines

from burnish.backbones.converters.records import Broken, BrokenLineError, parse, records
from burnish.errors import DataError

RECORD = {
    "asin": "B1",
    "title": 'It\'s 12" \\ "long"',
    "price": 1.5,
    "categories": [["A", "B & C"]],
    "x": None,
}


def test_json_and_python_are_one() -> None:
    assert parse(json.dumps(RECORD).encode()) == RECORD
    assert parse(repr(RECORD).encode()) == RECORD
    assert parse(b"\xef\xbb\xbf" + json.dumps(RECORD).encode()) == RECORD


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": 1', "it is not JSON"),
        (b"user_id,parent_asin,rating", "it is not JSON: 'user_id,parent_asin,rating'"),
        (b"[1, 2]", "not an object"),
        (b"3", "not an object"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8"),
        (b"{" * 100_000, "it is not JSON"),
        (b"{'a': __import__('os').getcwd()}", "it is not JSON"),
        (b"{'a': 'x' * 3}", "it is not JSON"),
    ],
)
def test_broken_lines(line: bytes, said: str) -> None:
    with pytest.raises(BrokenLineError, match=said):
        parse(line)


def test_no_code_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(BrokenLineError):
        parse(f"{{'a': open({str(target)!r}, 'w')}}".encode())
    assert not target.exists()


def test_a_broken_line_stops_with_its_number(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.json", [{"a": 1}, "", "{oops", {"a": 2}])
    with pytest.raises(DataError, match=r"r\.json, line 3: it is not JSON.*--skip-broken"):
        list(records(path, Broken(path, skip=False)))


def test_skipped_lines_are_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "r.json", [{"a": 1}, "", "{oops", "{again", {"a": 2}])
    broken = Broken(path, skip=True)
    assert list(records(path, broken)) == [(1, {"a": 1}), (5, {"a": 2})]
    assert broken.count == 2
    assert "line 3" in broken.first

"""The C parser is used where it gives the frame of RecBole's reader, and nowhere else."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from burnish.speed.reading import look_at, numbered_rows, read_atomic
from burnish.speed.switches import without


class Read:
    """`pandas.read_csv`, noting which engine was asked for."""

    def __init__(self) -> None:
        self.engines: list[str] = []

    def __call__(self, file, **options):
        self.engines.append(options["engine"])
        return pd.read_csv(file, **options)


def options_of(file, separator="\t", encoding="utf-8"):
    """What RecBole asks for: every column of the header, numbers as float64, the rest as text."""
    header = file.read_bytes().split(b"\n")[0].decode("latin-1").strip("\r").split(separator)
    dtype = {column: np.float64 if column.endswith(":float") else str for column in header}
    return {
        "delimiter": separator,
        "usecols": header,
        "dtype": dtype,
        "encoding": encoding,
        "engine": "python",
    }


def both(file, separator="\t", encoding="utf-8"):
    """(frame of RecBole's reader, ours, the engines that ours asked for)."""
    options, read = options_of(file, separator, encoding), Read()
    return pd.read_csv(file, **options), read_atomic(read, file, dict(options)), read.engines


def test_numbers_and_text_are_equal_to_the_last_bit(ratings):
    expected, got, engines = both(ratings)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)
    assert engines == ["c"]
    assert expected["value:float"].isna().sum() > 0


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("a:token\tb:token\n1\t2\n\n3\t4", "c"),  # a blank line, no end of line at the end
        ("a:token\tb:token\r\n1\t2\r\n3\t4\r\n", "c"),
        ("a:token\tb:token\n\t2\nNA\tnull\n007\t1e3\n", "c"),
        ("a:token\n1\n2\n", "c"),
        ("a:token\tb:token\n1\n3\t4\n", "python"),  # a line too short
        ("a:token\tb:token\n 1\t2\n3\t4\n", "python"),  # a leading blank
        ('a:token\tb:token\n1\t"two\twords"\n3\t4\n', "python"),
        ('a:token\tb:token\n1\tsay "two" words\n3\t4\n', "python"),
    ],
)
def test_files_on_which_parsers_might_differ_go_recboles_way(tmp_path, text, engine):
    file = tmp_path / "x.inter"
    file.write_bytes(text.encode())
    expected, got, engines = both(file)
    pd.testing.assert_frame_equal(got, expected, check_exact=True)
    assert engines == [engine]


@pytest.mark.parametrize(("separator", "encoding"), [("::", "utf-8"), ("\t", "utf-16")])
def test_long_separators_and_wide_encodings_go_recboles_way(tmp_path, separator, encoding):
    file = tmp_path / "x.inter"
    file.write_text(f"a:token{separator}b:token\n1{separator}2\n", encoding=encoding)
    options = options_of(file, separator, encoding)
    options.update(usecols=["a:token", "b:token"], dtype={"a:token": str, "b:token": str})
    read = Read()
    assert read_atomic(read, file, options).to_numpy().tolist() == [["1", "2"]]
    assert read.engines == ["python"]


def test_quotes_that_swallow_lines_are_read_as_text(tmp_path, caplog):
    """RecBole's reader makes one line of three here, without a word."""
    file = tmp_path / "x.item"
    file.write_text('i:token\tt:token\n1\t"Heroes\n2\tplain\n3\tend"\n4\tlast\n')
    options = options_of(file)
    assert len(pd.read_csv(file, **options)) == 2
    with caplog.at_level(logging.WARNING):
        frame = read_atomic(pd.read_csv, file, options)
    assert frame["t:token"].tolist() == ['"Heroes', "plain", 'end"', "last"]
    assert "finds 2 of 4 lines" in caplog.text


def test_a_quote_that_is_never_closed_is_read_as_text(tmp_path, caplog):
    file = tmp_path / "x.item"
    file.write_text('i:token\tt:token\n1\t"Heroes\n2\tplain\n')
    options = options_of(file)
    with caplog.at_level(logging.WARNING):
        frame = read_atomic(pd.read_csv, file, options)
    assert frame["t:token"].tolist() == ['"Heroes', "plain"]
    assert "plain text" in caplog.text


def test_a_number_that_is_none_fails_as_in_recbole(tmp_path):
    file = tmp_path / "x.inter"
    file.write_text("a:float\n1\nmany\n")
    with pytest.raises(ValueError, match="convert"):
        read_atomic(pd.read_csv, file, options_of(file))


def test_blocks_do_not_cut_lines(ratings, monkeypatch):
    whole = look_at(ratings, "\t")
    monkeypatch.setattr("burnish.speed.reading._BLOCK", 37)
    assert look_at(ratings, "\t") == whole
    assert (whole.rows, whole.even, whole.quotes, whole.odd) == (300, True, False, False)


def test_recbole_reads_equal_data_sets(tmp_path):
    from burnish.enhancers.conformance.world import build_world

    fast = build_world("DeepFM", tmp_path).dataset
    with without("reading"):
        slow = build_world("DeepFM", tmp_path).dataset
    assert fast.field2seqlen == slow.field2seqlen
    for part in ("inter_feat", "user_feat", "item_feat"):
        one, other = getattr(fast, part), getattr(slow, part)
        assert one.columns == other.columns
        assert all(one[column].equal(other[column]) for column in one.columns)


@pytest.mark.parametrize(
    ("separator", "text"),
    [
        (",", 'i:token,t:token\n\n1,"Van, The"\n2,"He said ""hi"", loudly"\n3,plain "words"\n'),
        (",", 'i:token,t:token,g:token\n1,"two\nlines, and\nmore",x\n2,last,y\n'),
        (",", 'i:token,t:token\n1,"Van"\n2,"Up"\n'),
        ("\t", 'i:token\tt:token\n1\tThe "Third" Man\n2\t"Up"\n'),
        ("\t", 'i:token\tt:token\n1\t"Up\n2\tDown"\n3\tOver\n'),  # RecBole loses lines
        ("\t", 'i:token\tt:token\n1\t"Up" again\n2\tDown\n'),  # RecBole fails
    ],
)
def test_rows_are_those_of_the_frame(tmp_path, separator, text):
    """Titles and texts of items are read beside RecBole, and must be the ones that it reads."""
    file = tmp_path / "d.item"
    file.write_text(text, encoding="utf-8")
    frame = read_atomic(pd.read_csv, file, options_of(file, separator))
    rows = list(numbered_rows(file, separator))
    assert [row for _, row in rows] == [list(frame.columns), *frame.to_numpy().tolist()]
    lines = text.split("\n")
    for number, row in rows:
        assert lines[number - 1].startswith(row[0])


def test_quotes_that_do_not_close_are_told(tmp_path, caplog):
    file = tmp_path / "d.item"
    file.write_text('i,t\n1,"Van, The\n2,Up\n')
    assert [row for _, row in numbered_rows(file, ",")] == [["i", "t"], ["1", '"Van', " The"], ["2", "Up"]]
    assert "d.item" in caplog.text
    assert "not all of them close" in caplog.text

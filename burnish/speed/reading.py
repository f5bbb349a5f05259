"""Atomic files by pandas' C parser, where RecBole asks for the Python one, and text with stray quotes.

The C parser is used for files on which the two agree: one-character separators, every line with as many
fields as the header, no quotes and no odd characters.  Everything else goes RecBole's way.
"""

from __future__ import annotations

import codecs
import csv
import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from burnish.compat import after_import
from burnish.compat.view import ModuleView

from .switches import enabled

logger = logging.getLogger(__name__)

#: Encodings in which a byte below 128 always is the character of that number.
_ASCII_LIKE = {"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"}
_BLOCK = 2**24


def install() -> None:
    """Register the change to RecBole's data set module."""
    after_import("recbole.data.dataset.dataset", _change)


def _change(module: ModuleType) -> None:
    seen: ModuleType = vars(module)["pd"]
    vars(module)["pd"] = seen if isinstance(seen, _Pandas) else _Pandas(seen)


class _Pandas(ModuleView):
    """pandas as RecBole's data set module sees it, with another `read_csv`."""

    def read_csv(self, file: Any, **options: Any) -> Any:
        read = self.viewed.read_csv
        if not enabled("reading") or set(options) != {"delimiter", "usecols", "dtype", "encoding", "engine"}:
            return read(file, **options)
        return read_atomic(read, file, options)


@dataclass
class Lines:
    """What a look at a file's bytes tells.

    rows: lines with something on them, without the header.  even: all have as many separators as the header.
    quotes: a `"` somewhere.  odd: something on which parsers may differ (a lone carriage return, NUL, a byte
    order mark, a line that begins with a blank).
    """

    rows: int = -1
    even: bool = True
    quotes: bool = False
    odd: bool = False


def look_at(file: str | Path, separator: str) -> Lines:
    """Count lines and separators of `file`, in blocks.  separator: one ASCII character."""
    import numpy as np

    lines, separators = Lines(), -1
    mark, newline = ord(separator), ord("\n")
    with Path(file).open("rb") as stream:
        rest, first = b"", True
        while True:
            block = stream.read(_BLOCK)
            text = rest + block
            if not block:
                text += b"\n" if rest else b""  # the last line may lack its end
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if first:
                lines.odd |= text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
            lines.quotes |= b'"' in text
            lines.odd |= b"\0" in text or text.count(b"\r") != text.count(b"\r\n")
            lines.odd |= any(b"\n" + blank in text for blank in (b" ", b"\v", b"\f")) or text[:1] == b" "
            codes = np.frombuffer(text, dtype=np.uint8)
            ends = np.flatnonzero(codes == newline)
            lengths = np.diff(ends, prepend=-1) - 1
            filled = (lengths > 1) | ((lengths == 1) & (codes[ends - 1] != ord("\r")))
            counts = np.diff(np.searchsorted(np.flatnonzero(codes == mark), ends), prepend=0)
            if first and len(counts):
                separators, first = int(counts[0]), False
                lines.odd |= not filled[0]
            lines.even &= bool((counts[filled] == separators).all())
            lines.rows += int(filled.sum())
            if not block:
                return lines


def read_atomic(read: Any, file: Any, options: dict[str, Any]) -> Any:
    """The frame that `read(file, engine="python", ...)` gives, in less time.

    Where that call loses lines between two quotes, or fails on one, the file is read again with quotes as the
    plain text that they are, provided that every line then has as many fields as the header.
    """
    separator = options["delimiter"]
    if not _single_ascii(separator) or not _ascii_like(options["encoding"]):
        return read(file, **options)
    lines = look_at(file, separator)
    fast = {**options, "engine": "c"}
    if lines.even and not lines.odd and not lines.quotes:
        try:
            return read(file, **fast)
        except (ValueError, OverflowError):  # let RecBole's reader say what is wrong
            return read(file, **options)
    if not lines.quotes or not lines.even or lines.odd:
        return read(file, **options)
    problem = "fails on them"
    try:
        frame = read(file, **options)
        if len(frame) == lines.rows:
            return frame
        problem = f"finds {len(frame)} of {lines.rows} lines"
    except (ValueError, csv.Error):  # pandas' ParserError is a ValueError
        pass
    logger.warning("%s: quotes (\") are read as plain text; RecBole's reader %s", file, problem)
    return read(file, **fast, quoting=csv.QUOTE_NONE)


def numbered_rows(
    file: str | Path, separator: str, encoding: str | None = None, errors: str = "strict"
) -> Iterator[tuple[int, list[str]]]:
    """The rows of an atomic file as lists of cells, the head first, each with the number of its first line, from 1.

    Cells are those that `read_atomic` gives a data set: `i1,"Van, The"` has two where commas separate, and a quote that
    only stands somewhere in a text is a character as any other.  Blank lines are left out.

    Raises `OSError`, and `UnicodeError` unless `errors` says otherwise (as of `open`).
    """
    name = encoding or "utf-8"
    name = "utf-8-sig" if name.lower().replace("_", "-") in ("utf-8", "utf8") else name
    plain = False
    with Path(file).open(encoding=name, errors=errors, newline="") as lines:
        for number, line in enumerate(lines, start=1):
            if not plain and '"' in line:
                if _has_quoted_cells(file, separator, name, errors):
                    yield from _quoted_rows(itertools.chain([line], lines), separator, number)
                    return
                plain = True
            cells = line.rstrip("\r\n").split(separator)
            if _says_something(cells):
                yield number, cells


def _says_something(cells: list[str]) -> bool:
    return len(cells) > 1 or bool(cells and cells[0].strip())


def _quoted_rows(lines: Iterable[str], separator: str, first: int) -> Iterator[tuple[int, list[str]]]:
    reader, read = csv.reader(lines, delimiter=separator, strict=True), 0
    for row in reader:
        if _says_something(row):
            yield first + read, row
        read = reader.line_num


def _has_quoted_cells(file: str | Path, separator: str, encoding: str, errors: str) -> bool:
    """Whether quotes stand around cells; where they do not, or lines would be lost between two, they are text."""
    if len(separator) != 1 or separator in '"\r\n\0':
        return False
    with Path(file).open(encoding=encoding, errors=errors, newline="") as lines:
        counts = [line.count(separator) for line in lines if separator in line or line.strip()]
    even = len(set(counts)) == 1
    try:
        with Path(file).open(encoding=encoding, errors=errors, newline="") as lines:
            found = sum(1 for _ in _quoted_rows(lines, separator, 1))
    except csv.Error as error:
        if not even:
            logger.warning('%s: quotes (") are read as plain text, as not all of them close: %s', file, error)
        return False
    return not even or found == len(counts)


def _single_ascii(separator: Any) -> bool:
    return (
        isinstance(separator, str)
        and len(separator) == 1
        and separator.isascii()
        and separator not in '"\r\n\0'
    )


def _ascii_like(encoding: str | None) -> bool:
    try:
        return encoding is None or codecs.lookup(encoding).name in _ASCII_LIKE
    except LookupError:
        return False

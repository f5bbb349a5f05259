"""Files as tables: CSV and TSV, parquet, JSON lines; plain or gzip."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from burnish.backbones.converters.records import BrokenLineError, parse
from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, nearest, option

from .frames import texts_of
from .table import TEXT, Table, checked

_KINDS = {
    **dict.fromkeys((".csv", ".txt"), "csv"),
    **dict.fromkeys((".tsv", ".tab"), "tsv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet of Excel; save it as CSV",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    b"BZh": "compressed with bzip2; unpack it",
    b"\xfd7zXZ": "compressed with xz; unpack it",
}
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
_BLOCK = 2**24
#: Rows of JSON lines that are held as Python's objects at a time.
_RECORDS = 50_000


def read_file(path: Path, *, separator: str | None = None, encoding: str | None = None) -> Table:
    """The table in a file; its ending says how it is written.

    separator, encoding: of CSV and TSV, where they are not the usual ones.  Raises `DataError` for a file that cannot
    be read, with line, value and cure; `ConfigurationError` for an ending that says nothing.
    """
    kind = kind_of(path)
    start = _start(path)
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{path} is {what}")
    if kind != "parquet" and start.startswith(b"PAR1"):
        raise DataError(f"{path} is a parquet file; call it {path.stem}.parquet")
    try:
        if kind == "parquet":
            return _parquet(path)
        if kind == "json":
            return _json_lines(path)
        return _delimited(path, kind, separator, encoding)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut off ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}; make it readable") from error


def kind_of(path: Path) -> str:
    """csv, tsv, parquet or json, by the ending before .gz.  Raises `ConfigurationError`."""
    name = path.name.lower().removesuffix(".gz")
    kind = _KINDS.get(Path(name).suffix)
    if kind is None:
        guess = nearest(Path(name).suffix, _KINDS)
        hint = f" Did you mean {guess}?" if guess else ""
        raise ConfigurationError(
            f"{path}: the ending {Path(name).suffix!r} names no kind of table; rename it to .csv, .tsv, .parquet or "
            f".jsonl (and .gz behind the text ones).{hint}"
        )
    return kind


def _start(path: Path) -> bytes:
    if not path.exists():
        beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = nearest(path.name, beside)
        hint = f" Did you mean {str(path.with_name(guess))!r}?" if guess else ""
        raise DataError(f"{path}: there is no such file.{hint}")
    if not path.is_file():
        raise DataError(f"{path} is not a file; give a table (.csv, .tsv, .parquet, .jsonl)")
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; make it readable") from error
    if not start:
        raise DataError(f"{path} is empty; give a table with a head and rows")
    return start


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The bytes of a plain or gzip file, whatever its name."""
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        if not zipped:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain, mode="rb") as unpacked:
            yield io.BufferedReader(unpacked, 2**20)


# ---------------------------------------------------------------------- CSV and TSV


def _delimited(path: Path, kind: str, separator: str | None, encoding: str | None) -> Table:
    encoding = encoding or _encoding(path)
    head_line = _first_line(path, encoding)
    notes: list[str] = []
    if separator is None:
        separator = "\t" if kind == "tsv" else ","
        bare = _QUOTED.sub("", head_line)
        other = max(_SEPARATORS, key=bare.count)
        # A name may hold a comma: a head that has more of another sign is separated by that.
        if bare.count(separator) < bare.count(other) and (kind != "tsv" or separator not in bare):
            notes.append(f"{path.name}: columns are separated by {_SEPARATORS[other]}")
            separator = other
    if len(separator) != 1 or not separator.isascii() or separator in '"\r\n':
        raise ConfigurationError(f"separator = {separator!r}: give one character, such as ';'")
    quoted = True
    if separator == "\t" and '"' not in head_line:
        plain = _read(path, separator, encoding, quoted=False)
        if plain is not None:
            style = _quotes_of(plain)
            if style != "wrapped":
                if style == "plain":
                    notes.append(f'{path.name}: quotes (") are letters like others')
                return checked(path.name, *_parts(path, plain, separator, encoding, False), tuple(notes))
    names = next(_records(path, separator, encoding, quoted))[1]
    _check_head(path, names)
    table = _read(path, separator, encoding, quoted=True)
    if table is None:
        raise _uneven(path, separator, encoding, quoted)
    return checked(path.name, *_parts(path, table, separator, encoding, quoted), tuple(notes))


def _parts(path: Path, table: pa.Table, separator: str, encoding: str, quoted: bool) -> tuple[Any, Any, int]:
    columns = list(zip(table.column_names, table.columns, strict=True))
    place = partial(_line_of, path, separator, encoding, quoted)
    return columns, place, path.stat().st_size


def _read(path: Path, separator: str, encoding: str, *, quoted: bool) -> pa.Table | None:
    """All columns as texts; None where lines differ in their number of fields."""
    names = next(_records(path, separator, encoding, quoted))[1]
    _check_head(path, names)
    parsing = pacsv.ParseOptions(
        delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=quoted
    )
    converting = pacsv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False)
    reading = pacsv.ReadOptions(use_threads=False, encoding=encoding, block_size=_BLOCK)
    try:
        with _opened(path) as stream:
            return pacsv.read_csv(stream, reading, parsing, converting)
    except pa.ArrowInvalid as error:
        said = str(error)
        if "Expected" in said and "columns" in said:
            return None
        if "UTF8" in said or "utf" in said.lower():
            raise _not_decodable(path, encoding) from error
        raise DataError(f"{path} cannot be read as a table: {said.splitlines()[0]}; mend the file") from error
    except UnicodeDecodeError as error:
        raise _not_decodable(path, encoding) from error


def _quotes_of(table: pa.Table) -> str:
    """What quotes are in a file read without them: "none", "wrapped" around whole cells, or "plain" letters."""
    found = False
    for column in table.columns:
        begins = column.filter(pc.starts_with(column, '"'))
        found |= bool(pc.any(pc.match_substring(column, '"')).as_py())
        if len(begins) and not pc.all(pc.match_substring_regex(begins, '^"(?:[^"]|"")*"$')).as_py():
            return "plain"
    if not found:
        return "none"
    any_wrapped = any(pc.any(pc.starts_with(column, '"')).as_py() for column in table.columns)
    return "wrapped" if any_wrapped else "plain"


def _encoding(path: Path) -> str:
    """By the mark at the beginning, else UTF-8."""
    with _opened(path) as stream:
        start = stream.read(4)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8"


@contextmanager
def _text(path: Path, encoding: str) -> Iterator[Any]:
    name = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        with (
            _opened(path) as stream,
            io.TextIOWrapper(stream, encoding=name, errors="strict", newline="") as text,
        ):
            yield text
    except LookupError as error:
        raise ConfigurationError(
            f"encoding = {encoding!r} is not known; give one such as utf-8 or latin-1"
        ) from error


def _first_line(path: Path, encoding: str) -> str:
    try:
        with _text(path, encoding) as text:
            line = str(text.readline(2**20))
    except UnicodeError as error:
        raise _not_decodable(path, encoding) from error
    if not line.strip():
        raise DataError(f"{path}: the first line is blank; it names the columns, as in user,item,rating")
    return line


def _records(path: Path, separator: str, encoding: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """(line that it begins in, cells) of every record but blank lines."""
    limit = csv.field_size_limit(sys.maxsize // 2**32)
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        with _text(path, encoding) as text:
            reader, before = csv.reader(text, delimiter=separator, quoting=quoting), 0
            for cells in reader:
                if cells:
                    yield before + 1, cells
                before = reader.line_num
    except UnicodeError as error:
        raise _not_decodable(path, encoding) from error
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table: {error}; mend the file") from error
    finally:
        csv.field_size_limit(limit)


def _line_of(path: Path, separator: str, encoding: str, quoted: bool, row: int) -> str:
    """The line of a row of data; looked for when a message needs it only."""
    for at, (line, _) in enumerate(_records(path, separator, encoding, quoted)):
        if at == row + 1:
            return f"line {line}"
    return f"row {row + 1}"


def _check_head(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{path}, line 1: two columns are called {short(name)}; rename or remove one of them"
            )
    if len(names) < 2:
        raise DataError(
            f"{path}, line 1: there is one column only, {short(names[0] if names else '')}; if columns are "
            f"separated otherwise, say so with {option('separator')}"
        )


def _uneven(path: Path, separator: str, encoding: str, quoted: bool) -> DataError:
    wanted = 0
    for line, cells in _records(path, separator, encoding, quoted):
        wanted = wanted or len(cells)
        if len(cells) != wanted:
            return DataError(
                f"{path}, line {line}: {short(separator.join(cells))} has {len(cells)} "
                f"field{'s' if len(cells) > 1 else ''}, and the first line {wanted}; mend the line: a field that holds "
                f'the separator {separator!r} stands in quotes ("a{separator}b"), and quotes are closed; or say the '
                f"separator of the file with {option('separator')}"
            )
    return DataError(
        f'{path} cannot be read as a table; check that each line has {wanted} fields, and that quotes (") are closed'
    )


def _not_decodable(path: Path, encoding: str) -> DataError:
    line = 0
    with _opened(path) as stream:
        for line, content in enumerate(stream, 1):
            try:
                content.decode(encoding)
            except UnicodeDecodeError as error:
                bad = content[error.start : error.start + 4]
                return DataError(
                    f"{path}, line {line}: the bytes {bad!r} are not {encoding}; say what the file is written in with "
                    f"{option('encoding')}, such as latin-1 or cp1252, or save it as UTF-8"
                )
    return DataError(f"{path} is not {encoding}; say {option('encoding')}, or save it as UTF-8")


# ---------------------------------------------------------------------- parquet


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} is not a whole parquet file ({str(error).splitlines()[0]}); fetch it again"
        ) from error
    named = [
        (name, column)
        for name, column in zip(table.column_names, table.columns, strict=True)
        if not name.startswith("__index_level_")  # the row labels of a pandas frame
    ]
    return checked(path.name, named, lambda row: f"row {row + 1}", path.stat().st_size)


# ---------------------------------------------------------------------- JSON lines


def _json_lines(path: Path) -> Table:
    """One object a line.  The keys of all lines are columns; a line without a key has no value there."""
    numbers: list[int] = []
    parts: dict[str, list[pa.Array]] = {}
    lengths: list[int] = []
    block: list[dict[str, Any]] = []

    def close() -> None:
        names = dict.fromkeys([*parts, *(name for record in block for name in record)])
        for name in names:
            before = parts.setdefault(name, [pa.nulls(length) for length in lengths])
            before.append(_json_column(path, name, [record.get(name) for record in block], done))
        lengths.append(len(block))
        block.clear()

    done = 0

    with _opened(path) as stream:
        for line, content in enumerate(stream, 1):
            if not content.strip():
                continue
            try:
                block.append(parse(content.rstrip(b"\r\n")))
            except BrokenLineError as error:
                more = ""
                if line == 1 and content.lstrip().startswith(b"["):
                    more = f" (one array: jq -c '.[]' {path.name} > {path.stem}.jsonl makes lines of it)"
                raise DataError(
                    f"{path}, line {line}: {error}; each line is one object, as in {{...}}{more}"
                ) from error
            numbers.append(line)
            if len(block) == _RECORDS:
                close()
                done = len(numbers)
    if block:
        close()
    columns = [(name, _joined(pieces)) for name, pieces in parts.items()]
    return checked(path.name, columns, lambda row: f"line {numbers[row]}", path.stat().st_size)


def _json_column(path: Path, name: str, values: list[Any], done: int) -> pa.Array:
    """The cells of one block; texts where they are of several types."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) <= 1 and dict not in kinds:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            pass
    return texts_of(path.name, name, values, lambda row: f"row {done + row + 1}")


def _joined(pieces: list[pa.Array]) -> pa.ChunkedArray:
    """Blocks of one column; as texts where their types differ."""
    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    if len(kinds) == 1:
        kind = kinds.pop()
        return pa.chunked_array([piece.cast(kind) for piece in pieces])
    if not kinds:
        return pa.chunked_array(pieces)
    texts = [texts_of("", "", piece.to_pylist(), lambda row: "") for piece in pieces]
    return pa.chunked_array(texts)

"""Tables in files as columns of distinct texts and their numbers: atomic files, CSV, TSV (plain or gzip), Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from burnish.checks import is_file, short
from burnish.errors import DataError, unknown_name
from burnish.files.near import did_you_mean
from burnish.speed.reading import look_at

from .graph_options import GraphConfig

Numbers = NDArray[np.int64]
Texts = NDArray[np.object_]

_TYPES = ("token", "token_seq", "float", "float_seq")
_PARQUET = (".parquet", ".pq")
_BLOCK = 2**24
#: Rows that are in memory as texts.
_ROWS = 500_000
_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, csv.Error, LookupError)


@dataclass(frozen=True)
class Written:
    """How text files are written.  sequence: what stands between the values of one cell."""

    separator: str = "\t"
    encoding: str = "utf-8"
    sequence: str = " "

    @classmethod
    def of(cls, config: Any) -> Written:
        """RecBole's atomic files."""
        return cls(
            config["field_separator"] or "\t", config["encoding"] or "utf-8", config["seq_separator"] or " "
        )

    def like(self, path: Path, separator: str | None = None) -> Written:
        """Another text file: UTF-8, with the separator that is given or that its suffix says."""
        suffixes = [suffix.lower() for suffix in path.suffixes]
        return Written(separator or ("," if ".csv" in suffixes else "\t"))


@dataclass(frozen=True)
class Cells:
    """One column: its distinct texts, and for each row the number of its text, -1 where the cell is empty."""

    texts: Texts
    codes: Numbers

    def of_rows(self, rows: NDArray[Any]) -> Cells:
        """Some of the rows."""
        return Cells(self.texts, self.codes[rows])


def find(path: Path) -> Path | None:
    """The file, or the one of this name with .gz behind it; None where neither is there."""
    return next((one for one in (path, path.with_name(f"{path.name}.gz")) if is_file(one)), None)


def blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in pieces; of one that ends in .gz, those that are packed in it."""
    with _opened(path) as stream:
        yield from iter(lambda: stream.read(_BLOCK), b"")


def asked_file(name: str, folder: Path) -> Path | None:
    """A file by its path, from the working folder or from the data set's; None where neither is there."""
    return next((path for path in (Path(name).expanduser(), folder / name) if is_file(path)), None)


def check_graph_files(config: Any, graph: GraphConfig) -> None:
    """Raise `DataError` for a file that a graph's options name and that is not there.

    config: RecBole's, of the data set that the graph is of.
    """
    folder = Path(config["data_path"])
    for option in ("kg", "link", "net", "entity_names"):
        asked = getattr(graph, option)
        if asked is True:
            path = folder / f"{config['dataset']}.{option}"
            if find(path) is None:
                raise DataError(
                    f"graph: {option} = true, and {path} does not exist; put it there, or name another"
                )
        elif isinstance(asked, str):
            _check_asked(asked, option, folder)
    for edges in graph.edges:
        _check_asked(edges.file, "edges: file", folder)
    for kind in ("item", "user"):
        path = folder / f"{config['dataset']}.{kind}"
        if getattr(graph, f"{kind}_columns") and not is_file(path):
            raise DataError(f"graph: {kind}_columns names columns, and {path} does not exist; put it there")


def _check_asked(name: str, option: str, folder: Path) -> None:
    if asked_file(name, folder) is None:
        hint = did_you_mean(Path(name).expanduser()) or did_you_mean(folder / name)
        raise DataError(
            f"graph: {option} = {name!r}: there is no such file, here or in {folder}; give its path.{hint}"
        )


def head(path: Path, written: Written) -> dict[str, str]:
    """The columns of a file in their order, each with its type (of RecBole's `name:type`; "" where none is said)."""
    if path.suffix.lower() in _PARQUET:
        named = _parquet(path).schema_arrow.names
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{path}: two columns are called {twice!r}; rename or remove one of them")
        return dict.fromkeys(named, "")
    try:
        with _opened(path) as raw, io.TextIOWrapper(raw, encoding=_encoding(written), newline="") as lines:
            line = next(csv.reader([lines.readline().rstrip("\r\n")], delimiter=written.separator), [])
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); write it as {written.encoding} text") from error
    columns: dict[str, str] = {}
    for cell in line:
        name, colon, kind = cell.rpartition(":")
        if not colon or kind not in _TYPES:
            name, kind = cell, ""
        if name in columns:
            raise DataError(f"{path}, line 1: two columns are called {name!r}; rename or remove one of them")
        columns[name] = kind
    if not any(columns):
        raise DataError(f"{path} has no first line that names the columns; write one")
    return columns


def column(
    path: Path,
    name: str,
    columns: dict[str, str],
    what: str = "column",
    known: Sequence[str] | None = None,
) -> str:
    """The name, where the file has such a column; else `UnknownNameError` with the nearest.

    known: what people call the columns, where that is otherwise.
    """
    if name not in columns:
        cure = "The first line of the file names them."
        raise unknown_name(f"{path}: {what}", name, columns if known is None else known, cure=cure)
    return name


def read(
    path: Path, written: Written, wanted: Sequence[str] | None = None, *, plain: bool = False
) -> dict[str, Cells]:
    """Columns of a file, all or some.

    plain: quotes are characters like others.  Else they are read as RecBole reads them: around cells, unless lines
    would be lost between two of them.

    Raises `DataError` for what cannot be read as a table.
    """
    columns = list(head(path, written))
    wanted = columns if wanted is None else list(wanted)
    if path.suffix.lower() in _PARQUET:
        return _read_parquet(path, wanted)
    return _read_text(path, written, columns, wanted, plain)


def _joined(parts: list[tuple[Numbers, Texts]]) -> Cells:
    """One column of its pieces: codes and texts of each."""
    texts = np.concatenate([np.empty(0, dtype=object), *(own for _, own in parts)])
    codes, distinct = pd.factorize(texts)
    pieces, at = [np.empty(0, dtype=np.int64)], 0
    for own, ones in parts:
        pieces.append(np.append(codes[at : at + len(ones)], -1)[own])
        at += len(ones)
    return Cells(np.asarray(distinct, dtype=object), np.concatenate(pieces).astype(np.int64))


def _read_text(
    path: Path, written: Written, columns: list[str], wanted: list[str], plain: bool
) -> dict[str, Cells]:
    rows, quotes, even = _lines(path, written.separator)
    if not quotes and even is False:
        raise DataError(
            f"{path} has lines with more or fewer cells than the first line's {len(columns)}; give each as many, "
            f"separated by {written.separator!r}"
        )
    # With `usecols` pandas lets longer lines be; so that is for files whose lines were counted.
    some = wanted if even and not quotes and len(wanted) < len(columns) else None

    def parsed(quoting: int) -> dict[str, Cells]:
        pieces: dict[str, list[tuple[Numbers, Texts]]] = {name: [] for name in wanted}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            with pd.read_csv(  # type: ignore[call-overload]
                path,
                sep=written.separator,
                header=0,
                names=columns,
                usecols=some,
                dtype=str,
                na_values=[""],
                keep_default_na=False,
                index_col=False,
                encoding=_encoding(written),
                chunksize=_ROWS,
                quoting=quoting,
                engine="c" if len(written.separator) == 1 else "python",
            ) as chunks:
                for chunk in chunks:
                    for name, parts in pieces.items():
                        codes, texts = pd.factorize(chunk[name])
                        parts.append((codes, np.asarray(texts, dtype=object)))
        return {name: _joined(parts) for name, parts in pieces.items()}

    try:
        if plain or not quotes:
            return parsed(csv.QUOTE_NONE)
        try:
            cells = parsed(csv.QUOTE_MINIMAL)
        except (ValueError, csv.Error, pd.errors.ParserWarning):
            return parsed(csv.QUOTE_NONE)
        lost = any(len(one.codes) != rows for one in cells.values())
        return parsed(csv.QUOTE_NONE) if lost and even is not False else cells
    except (*_UNREADABLE, pd.errors.ParserWarning) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())}); write it as {written.encoding} text with as "
            f"many cells in each line as in the first, separated by {written.separator!r}"
        ) from error


def _lines(path: Path, separator: str) -> tuple[int, bool, bool | None]:
    """Rows below the first line, whether there are quotes, and whether lines have as many cells (None: unknown)."""
    try:
        if path.suffix != ".gz" and len(separator) == 1 and separator.isascii():
            seen = look_at(path, separator)
            return seen.rows, seen.quotes, None if seen.odd else seen.even
        quotes = any(b'"' in block for block in blocks(path))
        if not quotes:
            return 0, False, None
        with _opened(path) as stream:
            return sum(1 for line in stream if line.strip(b"\r\n")) - 1, True, None
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); is it whole?") from error


def _read_parquet(path: Path, wanted: list[str]) -> dict[str, Cells]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found, shown = {}, wanted
    try:
        schema = _parquet(path).schema_arrow
        texts = [name for name in wanted if pa.types.is_string(schema.field(name).type)]
        table = pq.read_table(path, columns=wanted, read_dictionary=texts, partitioning=None)
        for name in wanted:
            shown = [name]
            values = table.column(name)
            if not pa.types.is_dictionary(values.type):
                if pa.types.is_floating(values.type):
                    values = _whole_numbers(values)
                values = values.cast(pa.string()).dictionary_encode()
            whole = values.unify_dictionaries().combine_chunks()
            whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
            codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            kept = whole.dictionary.cast(pa.string()).to_numpy(zero_copy_only=False).astype(object)
            codes[np.isin(codes, np.flatnonzero(kept == ""))] = -1
            found[name] = Cells(kept, codes)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:  # pyarrow's own are of these
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())}); give a Parquet file whose "
            f"values in {', '.join(map(short, shown))} are texts or whole numbers"
        ) from error
    return found


def _whole_numbers(values: Any) -> Any:
    """A column of floats as integers; NaN, as some write an empty cell of numbers, is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values.cast(pa.int64())  # refuses what is not whole


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({error}); is it whole?") from error


def _opened(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _encoding(written: Written) -> str:
    """UTF-8 with or without a byte order mark."""
    return (
        "utf-8-sig" if written.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else written.encoding
    )

"""Tables as files, written piece by piece and put in place when complete."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import pandas as pd

from burnish.errors import ConfigurationError, DataError, unknown_name

from .whole import written_whole

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
}


def format_of(path: Path, format: str | None, allowed: Sequence[str]) -> str:
    """The format asked for, else the one that the suffix names.

    Raises `UnknownNameError` for a format that is not allowed, `ConfigurationError` for a suffix that says nothing.
    """
    if format is not None:
        if format not in allowed:
            raise unknown_name("format", format, allowed)
        return format
    chosen = _SUFFIXES.get(path.suffix.lower())
    if chosen is None or chosen not in allowed:
        raise ConfigurationError(
            f"{path}: the suffix {path.suffix!r} names no format that can be written here; give the format "
            f"({', '.join(allowed)}) or one of these as the suffix"
        )
    return chosen


def part_of(output: Path, share: tuple[int, int]) -> Path:
    """The file of one part: `top-00002-of-00004.parquet`, so that parts sort in the order of the users.

    share: which part, from 0, and of how many.
    """
    number, of = share
    return output.with_name(f"{output.stem}-{number + 1:05d}-of-{of:05d}{output.suffix}")


def write_text(frame: pd.DataFrame, format: str, stream: TextIO, *, header: bool) -> None:
    """One piece of a table as CSV, TSV, or as JSON with one object a line, on a text stream."""
    if format in ("csv", "tsv"):
        separator = "," if format == "csv" else "\t"
        frame.to_csv(stream, sep=separator, index=False, header=header, lineterminator="\n")
    elif len(frame):
        text = frame.to_json(orient="records", lines=True, force_ascii=False, double_precision=15)
        stream.write(text if text.endswith("\n") else text + "\n")


class TableFile:
    """A file that a table is written into piece by piece: `with TableFile(path, "csv") as file: file.write(frame)`.

    format: csv, tsv, json (one object a line) or parquet.  The file appears under its name when the block ends, and not
    at all when it ends with an exception.
    """

    def __init__(self, path: Path, format: str) -> None:
        self.path = path
        self.format = format
        self.rows = 0
        self._stack = ExitStack()
        self._text: TextIO | None = None
        self._parquet: Any = None
        self._started = False

    def __enter__(self) -> TableFile:
        with ExitStack() as stack:  # a file that cannot be opened is `written_whole`'s to explain
            self._beside = stack.enter_context(written_whole(self.path))
            if self.format != "parquet":
                self._text = stack.enter_context(self._beside.open("w", encoding="utf-8", newline=""))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def write(self, frame: pd.DataFrame) -> None:
        """Add rows; the first piece decides the columns and their types."""
        if self._text is not None:
            write_text(frame, self.format, self._text, header=not self._started)
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            table = pa.Table.from_pandas(frame, preserve_index=False)
            if self._parquet is None:
                self._parquet = self._stack.enter_context(pq.ParquetWriter(self._beside, table.schema))
            self._parquet.write_table(table.cast(self._parquet.schema))
        self._started = True
        self.rows += len(frame)


def read_parquet(path: Path, cure: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """The table in a parquet file.

    columns: those that must be in it.  cure: what to do where it is damaged; `DataError` says it, after the file and
    what is wrong with it.
    """
    import pyarrow as pa

    try:
        table = pd.read_parquet(path)
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError),
        pa.ArrowException,
    ) as error:
        what = str(error).strip().splitlines()
        raise DataError(f"{path} is damaged ({what[0] if what else type(error).__name__}); {cure}") from error
    lacking = [name for name in columns if name not in table]
    if lacking:
        raise DataError(f"{path} is damaged (it has no column {lacking[0]!r}); {cure}")
    return table

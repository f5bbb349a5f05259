"""The file of reviews: one row an interaction, in the order of the .inter file, written in parts."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from .escapes import escaped
from .formats import Body, Head
from .record_values import decimal

#: A part is written when it has this many rows, or this many characters of text.
_ROWS, _CHARACTERS = 20_000, 8 * 2**20

#: By the name of a format, the ending of its file.
ENDINGS = {"parquet": ".reviews.parquet", "tsv": ".reviews.tsv.gz"}


class ReviewWriter(Protocol):
    """A context manager that takes rows and has written them all when it is left without an exception."""

    def write(self, head: Head, body: Body) -> None:
        """Take one row."""

    def __enter__(self) -> ReviewWriter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def review_writer(file_format: str, stem: Path, extras: tuple[str, ...]) -> ReviewWriter:
    """A writer for the folder and name of `stem`.  extras: the names of `Body.extras`."""
    path = stem.with_name(stem.name + ENDINGS[file_format])
    return ParquetReviews(path, extras) if file_format == "parquet" else TsvReviews(path, extras)


class ParquetReviews:
    """Columns user_id, item_id, rating, timestamp, the extras, summary, review; texts exactly as published."""

    def __init__(self, path: Path, extras: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {
            "user_id": pa.string(),
            "item_id": pa.string(),
            "rating": pa.float64(),
            "timestamp": pa.float64(),
        }
        kinds |= dict.fromkeys(extras, pa.int64()) | {"summary": pa.string(), "review": pa.string()}
        self._schema = pa.schema(list(kinds.items()))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[tuple[Any, ...]] = []
        self._characters = 0

    def write(self, head: Head, body: Body) -> None:
        """Take one row."""
        self._rows.append((*head, *body.extras, body.summary, body.review))
        self._characters += len(body.summary) + len(body.review)
        if len(self._rows) == _ROWS or self._characters >= _CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [
                pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)
            ]
            self._writer.write_table(pa.table(arrays, schema=self._schema))
        self._rows, self._characters = [], 0

    def __enter__(self) -> ParquetReviews:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


class TsvReviews:
    """The same columns as tab-separated gzip text; texts with backslash escapes, as `summary:escaped` says."""

    def __init__(self, path: Path, extras: tuple[str, ...]) -> None:
        self._raw = path.open("wb")
        # Neither a name nor a time in the header: equal input gives equal bytes.
        self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)
        self._file = io.TextIOWrapper(self._gzip, encoding="utf-8", newline="\n")
        columns = ["user_id", "item_id", "rating", "timestamp", *extras, "summary:escaped", "review:escaped"]
        self._file.write("\t".join(columns) + "\n")

    def write(self, head: Head, body: Body) -> None:
        """Take one row."""
        numbers = ("" if value is None else str(value) for value in body.extras)
        cells = (head.user, head.item, decimal(head.rating), decimal(head.timestamp), *numbers)
        self._file.write("\t".join((*cells, escaped(body.summary), escaped(body.review))) + "\n")

    def __enter__(self) -> TsvReviews:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        finally:
            self._raw.close()

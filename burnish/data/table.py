"""A table as the conversion sees it: named columns of any type, and where a row stands, for messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from burnish.errors import DataError

#: All text: a chunk of `string` holds 2 GiB at most.
TEXT = pa.large_string()


@dataclass(frozen=True)
class Table:
    """Columns by name, all of the same length.

    source: the file, or what messages call the table.  place: how messages call row `n` (from 0), such as "line 12".
    bytes: of the file; 0 for what is in memory.  notes: what was found out while reading.
    """

    source: str
    columns: dict[str, pa.ChunkedArray]
    place: Callable[[int], str]
    bytes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def at(self, row: int) -> str:
        """File and row, as messages begin."""
        return f"{self.source}, {self.place(int(row))}"

    def taken(self, rows: Any) -> Table:
        """Some of the rows, which keep their places.  rows: `[m]` numbers from 0."""
        columns = {name: column.take(pa.array(rows)) for name, column in self.columns.items()}
        return Table(self.source, columns, lambda row: self.place(int(rows[row])), self.bytes, self.notes)


def checked(
    source: str,
    columns: Iterable[tuple[str, pa.ChunkedArray]],
    place: Callable[[int], str],
    size: int = 0,
    notes: tuple[str, ...] = (),
) -> Table:
    """A table whose columns have names of their own and at least one row; raises `DataError`."""
    named: dict[str, pa.ChunkedArray] = {}
    for number, (name, column) in enumerate(columns, 1):
        if not str(name).strip():
            name = f"column_{number}"
        if name in named:
            raise DataError(f"{source}: two columns are called {name!r}; rename or remove one of them")
        named[str(name)] = column
    table = Table(source, named, place, size, notes)
    if not named or not table.rows:
        raise DataError(f"{source} has no rows; give a table with a head and at least one row")
    return table


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts in one type, whatever its own (dictionaries, short strings)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column if column.type == TEXT else column.cast(TEXT)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers: whole ones, floating point or decimals."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_time(kind: pa.DataType) -> bool:
    """Whether a column holds points in time."""
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)

"""Columns that go along: their types found or forced, their names made fit for RecBole, their cells made safe."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from burnish.checks import short
from burnish.errors import DataError, option

from .options import Options
from .table import TEXT, Table, as_text, is_list, is_number, is_text, is_time
from .times import NO_TIME, times_of, written
from .values import (
    Cleaned,
    is_numeric,
    list_cells,
    number_cells,
    numbers_of,
    numeric_rows,
    text_cells,
)

#: Columns with a meaning of their own in RecBole's files.
RESERVED = ("user_id", "item_id", "rating", "timestamp", "head_id", "relation_id", "tail_id", "entity_id")


@dataclass(frozen=True)
class Column:
    """One column of the data set, for the table that people see.

    file: the ending, such as "inter".  name: as written.  kind: RecBole's type.  source: what the table called it.
    distinct, empty: how many values and empty cells there are, of the rows that stay; distinct is None of numbers.
    """

    file: str
    name: str
    kind: str
    source: str
    distinct: int | None
    empty: int
    example: str


@dataclass
class Carried:
    """The columns of one file: heads and cells, in their order.

    title: the written name of the column that names items, where there is one.
    """

    heads: list[str] = field(default_factory=list)
    cells: list[Any] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    title: str | None = None
    cleaned: Cleaned = field(default_factory=Cleaned)

    def add(self, file: str, name: str, kind: str, source: str, cells: Any) -> None:
        """One more column."""
        filled = cells.drop_null()
        distinct = None if kind.startswith("float") else int(pc.count_distinct(filled).as_py())
        example = str(filled[0].as_py()) if len(filled) else ""
        self.heads.append(f"{name}:{kind}")
        self.cells.append(cells)
        self.columns.append(Column(file, name, kind, source, distinct, len(cells) - len(filled), example))


def carry(
    into: Carried,
    table: Table,
    file: str,
    options: Options,
    *,
    but: Collection[str],
    taken: set[str],
    title: str | None = None,
) -> None:
    """Add the columns of a table beyond its ids, rating and time.

    but: those that have a place already, or none.  taken: names that the data set has; those added join them.
    title: the column that names items, whose texts are no lists.
    """
    names = fit_names(
        [name for name in table.columns if name not in but and options.carries(name)], file, taken
    )
    for source, name in names.items():
        values = table.columns[source]
        forced = options.kind(source)
        kind = forced or ("token_seq" if source == title else found_kind(values, options.list_separator))
        if kind is None:
            into.notes.append(f"column {source!r} of {table.source} ({values.type}) is left out")
            continue
        as_list = source != title and (forced is not None or is_listed(values, options.list_separator))
        cells, cleaned = cells_of(table, source, kind, options.list_separator if as_list else None)
        if not len(cells.drop_null()):
            into.notes.append(
                f"column {source!r} of {table.source} has no value in the rows that stay and is left out"
            )
            continue
        if forced is None and (why := _half_numbers(table, source, kind)):
            into.notes.append(why)
        if name != source:
            into.notes.append(f"column {source!r} of {table.source} is called {name!r} in the data set")
        taken.add(name)
        into.cleaned += cleaned
        into.add(file, name, kind, source, cells)


def found_kind(values: pa.ChunkedArray, separator: str) -> str | None:
    """RecBole's type of a column; None for what has no place in its files.

    Numbers are float, texts token; a text of words, hardly ever the same twice (titles, descriptions), or with the
    separator of lists in it and no blank beside (`Drama|War`) is token_seq, as lists are.
    """
    kind = values.type
    if is_list(kind):
        inner = kind.value_type
        if is_number(inner):
            return "float_seq"
        return (
            "token_seq" if is_text(inner) or pa.types.is_boolean(inner) or pa.types.is_null(inner) else None
        )
    if is_time(kind):
        return "float"
    if is_number(kind):
        return "token" if _too_large(values) else "float"
    if pa.types.is_boolean(kind):
        return "token"
    if pa.types.is_null(kind):
        return "token"
    if not is_text(kind):
        return None
    if is_numeric(values):
        return "token" if _too_large(values) else "float"
    texts = as_text(values).drop_null()
    if is_listed(values, separator):
        return "token_seq"
    words = pc.sum(pc.match_substring_regex(texts, r"\S\s+\S")).as_py() or 0
    return (
        "token_seq"
        if 2 * words > len(texts) and 2 * pc.count_distinct(texts).as_py() > len(texts)
        else "token"
    )


def is_listed(values: pa.ChunkedArray, separator: str) -> bool:
    """Whether texts are lists, as `Drama|War` is; with a blank beside a separator it is a letter like others."""
    if not is_text(values.type):
        return False
    texts, bar = as_text(values).drop_null(), re.escape(separator)
    spaced = pc.any(pc.match_substring_regex(texts, rf"\s{bar}|{bar}\s")).as_py()
    return bool(pc.any(pc.match_substring(texts, separator)).as_py()) and not spaced


def _too_large(values: pa.ChunkedArray) -> bool:
    """Whether whole numbers would lose digits as floating-point ones, as numbers of articles do."""
    if is_text(values.type):
        return bool(pc.any(pc.match_substring_regex(as_text(values), r"^\s*[+-]?\d{16,}\s*$")).as_py())
    if not pa.types.is_integer(values.type):
        return False
    ends = pc.min_max(values).as_py()
    return any(end is not None and abs(end) >= 2**53 for end in ends.values())


def _half_numbers(table: Table, column: str, kind: str) -> str:
    """What is to be said of a column that looks like numbers and is carried as text; empty for others."""
    values = table.columns[column]
    if not kind.startswith("token"):
        return ""
    if (is_number(values.type) or is_text(values.type)) and _too_large(values):
        return f"column {column!r} of {table.source} has whole numbers of more than 15 digits, and is kept as text"
    if not is_text(values.type):
        return ""
    numeric, codes, filled = numeric_rows(values)
    if codes.any():  # 007 among them: these are names
        return ""
    texts = as_text(values)
    comma = int(pc.sum(pc.match_substring_regex(texts, r"^\s*[+-]?\d+,\d+\s*$")).as_py() or 0)
    count = int(numeric.sum())
    if 2 * (count + comma) <= int(filled.sum()) or count == int(filled.sum()):
        return ""
    row = int((filled & ~numeric).argmax())
    force = option("columns", f"*,{column}:float")
    return (
        f"column {column!r} of {table.source} is kept as text, though most of it are numbers: {table.place(row)} has "
        f"{short(texts[row].as_py())}; mend that, and {force} has numbers of it"
    )


def cells_of(table: Table, column: str, kind: str, separator: str | None) -> tuple[Any, Cleaned]:
    """The cells of a column of one type, null where nothing stands.  Raises `DataError` for what does not fit.

    separator: between the parts of texts that are lists; None where they are none.
    """
    values = table.columns[column]
    cure = f"mend it, or carry the column as text: {option('columns', f'*,{column}:token')}"
    if kind == "float":
        if is_time(values.type):
            micro, _ = times_of(table, column, None, None)
            cells = written(micro).to_pylist()
            return pa.array(
                [c if t != NO_TIME else None for c, t in zip(cells, micro, strict=True)], TEXT
            ), Cleaned()
        numbers = numbers_of(table, column, cure=cure)
        lost = 0
        if is_text(values.type):  # filled cells with a word for a missing number
            texts = pc.utf8_trim_whitespace(as_text(values))
            there = pc.fill_null(pc.not_equal(texts, pa.scalar("", TEXT)), False)
            lost = int((there.to_numpy() & (numbers != numbers)).sum())
        return number_cells(numbers), Cleaned(missing=lost)
    if kind == "float_seq":
        return _numbers_of_lists(table, column, separator or " ", cure), Cleaned()
    if is_list(values.type):
        if kind == "token":
            raise DataError(
                f"{table.source}: column {column!r} holds lists, which are no token; say token_seq"
            )
        return list_cells(values.to_pylist())
    if kind == "token_seq":
        texts = as_text(_plain(values))
        if separator is not None and pc.any(pc.match_substring(texts, separator)).as_py():
            return list_cells([None if t is None else t.split(separator) for t in texts.to_pylist()])
        return text_cells(texts)
    return text_cells(_plain(values))


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if is_text(values.type):
        return values
    if pa.types.is_floating(values.type):
        return pa.chunked_array([number_cells(values.to_numpy().astype(float))])
    return values.cast(TEXT)


def _numbers_of_lists(table: Table, column: str, separator: str, cure: str) -> pa.Array:
    values = table.columns[column]
    if is_list(values.type):
        lists: Iterable[Any] = values.to_pylist()
    else:
        texts = as_text(_plain(values)).to_pylist()
        lists = [None if text is None else text.replace(separator, " ").split() for text in texts]
    cells = []
    for row, parts in enumerate(lists):
        try:
            cells.append(" ".join(_finite(part) for part in parts or () if part is not None) or None)
        except (TypeError, ValueError):
            raise DataError(
                f"{table.at(row)}, column {column!r}: {parts!r} is no list of finite numbers; {cure}"
            ) from None
    return pa.array(cells, type=TEXT)


def _finite(part: Any) -> str:
    number = float(part)
    if number in (float("inf"), float("-inf")) or number != number:
        raise ValueError
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def fit_names(sources: Sequence[str], file: str, taken: Collection[str]) -> dict[str, str]:
    """Names that RecBole's files can hold, by those of the table, in its order; no other column has one of them.

    Those that fit as they are come first, so that a name never stands for the column beside its own.
    """
    found: dict[str, str] = {}
    for source in sorted(sources, key=lambda one: _held(one) != one or one in taken or one in RESERVED):
        found[source] = fit_name(source, file, {*taken, *found.values()})
    return {source: found[source] for source in sources}


def _held(source: str) -> str:
    return re.sub(r"[\s:\",]+", "_", source.strip()).strip("_") or "column"


def fit_name(source: str, file: str, taken: Collection[str]) -> str:
    """A name that RecBole's files can hold and that no other column has."""
    name = _held(source)
    if name not in taken and name not in RESERVED:
        return name
    base = f"{file}_{name}" if file != "inter" else f"{name}_2"
    number, name = 2, base
    while name in taken or name in RESERVED:
        number, name = number + 1, f"{base}_{number + 1}"
    return name

"""Scores in files: TSV, CSV or parquet, one row an id, one column an attribute.

The first column is `item_id` (or `user_id`); `<attribute>_sd` beside an attribute is its uncertainty; an empty cell is
an unknown score.  Ids are text: "007" stays "007".  `training_split` says, in every row, which training rows made
scores of users.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.checks import is_file, short
from burnish.errors import ConfigurationError, DataError, nearest, unknown_name
from burnish.files.data_names import DataNames
from burnish.files.near import did_you_mean
from burnish.files.whole import written_whole

from ..attributes import AttributeSchema
from .protocol import FloatArray, Scores, Texts

ID_COLUMNS = ("item_id", "user_id")
SPREAD = "_sd"
SPLIT = "training_split"
_FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
_UNKNOWN = ("", "nan", "na", "null", "none")


class FileScorer:
    """Scores that somebody else made, read from a file.

    An id that has no row in the file gets NaN, and a note that says so.

    Parameters
    ----------
    path
        A TSV, CSV or parquet file, as `read_scores` takes it.
    names
        What the data set calls its ids.
    """

    name = "file"

    def __init__(self, path: Path | str, names: DataNames | None = None) -> None:
        self.path = Path(path)
        self.names = names

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Read the scores; the texts themselves are not looked at.

        Parameters
        ----------
        texts
            Only their ids count.
        schema
            The attributes to read, and their scale.

        Returns
        -------
        Scores
            Of `texts.ids`, in their order, on `schema.names`.

        Raises
        ------
        DataError
            For a file that cannot be used, or that has a row for none of the ids.
        UnknownNameError
            For an attribute that the file has no column for.
        """
        return chosen_rows(read_scores(self.path, schema, names=self.names), texts.ids)


def chosen_rows(scores: Scores, ids: Sequence[str]) -> Scores:
    """The scores of these ids, in this order; NaN and a note for an id that has none.

    Raises `DataError` where none of the ids has a row.
    """
    number = {token: row for row, token in enumerate(scores.ids)}
    missing = [token for token in ids if token not in number]
    if len(missing) == len(ids):
        raise DataError(
            f"{scores.source}: none of the {len(ids)} ids has a row (it has {', '.join(map(repr, scores.ids[:3]))}, "
            f"...; asked for {', '.join(map(repr, ids[:3]))}, ...); these are scores of something else"
        )
    spread = None
    if scores.uncertainty is not None:
        spread = np.full((len(ids), len(scores.attributes)), np.nan)
        there = [row for row, token in enumerate(ids) if token in number]
        spread[there] = scores.uncertainty[[number[ids[row]] for row in there]]
    notes = {token: scores.notes[token] for token in ids if token in scores.notes}
    notes |= dict.fromkeys(missing, f"no row in {scores.source}")
    return replace(scores, ids=tuple(ids), values=scores.rows(ids), uncertainty=spread, notes=notes)


@dataclass(frozen=True)
class _Table:
    """The cells of a file: names of its columns, and rows of cells with the number of their line (or row)."""

    names: tuple[str, ...]
    rows: list[tuple[int, tuple[Any, ...]]]


def read_scores(
    path: Path | str,
    schema: AttributeSchema | None = None,
    *,
    id_column: str | None = None,
    names: DataNames | None = None,
) -> Scores:
    """The scores in a TSV, CSV or parquet file.

    Parameters
    ----------
    path
        The file; its suffix names the format.
    schema
        Take its attributes, in its order, and insist on its scale; columns beyond them are left out.  Without it every
        column but that of ids is an attribute, and the scale is unknown.
    id_column
        Insist on "item_id", or on "user_id"; by default either will do.
    names
        What the data set calls its ids, which a column of ids may be called, too.

    Returns
    -------
    Scores
        One row an id, in the order of the file.

    Raises
    ------
    DataError
        For a file that is missing or holds no scores, a repeated or empty id, a cell that is not a number or is out of
        scale (with its row and column).
    UnknownNameError
        For a missing column of ids or of an attribute.
    ConfigurationError
        For a suffix that names none of the formats.
    """
    path = Path(path)
    table = _read_parquet(path) if _format_of(path) == "parquet" else _read_text(path)
    key = _id_column(path, table.names, id_column, names or DataNames())
    attributes, spreads = _attribute_columns(path, table.names, key, schema)
    if not table.rows:
        raise DataError(f"{path} has a head line and no rows; give each item one")
    ids = _ids(path, table, key)
    scale = None if schema is None else (float(schema.scale[0]), float(schema.scale[1]))
    values = _numbers(path, table, ids, attributes, scale)
    uncertainty = None
    if spreads:
        uncertainty = np.full(values.shape, np.nan)
        spread = _numbers(path, table, ids, tuple(spreads.values()), (0.0, math.inf))
        uncertainty[:, [attributes.index(name) for name in spreads]] = spread
    return Scores(
        ids,
        attributes,
        values,
        uncertainty,
        scale,
        source=f"file {path}",
        split=_split(path, table),
        id_name=key,
    )


def write_scores(scores: Scores, path: Path | str, *, id_column: str = "item_id") -> None:
    """Write a file that `read_scores` reads back the same.

    Parameters
    ----------
    scores
        What to write.
    path
        TSV, CSV or parquet, by the suffix; the file appears under its name when it is complete.
    id_column
        "item_id" or "user_id".

    Raises
    ------
    ConfigurationError
        For another suffix, or a folder.
    DataError
        For an id that the format cannot hold.
    """
    path = Path(path)
    check_output(path)
    kind = _format_of(path)
    if id_column not in ID_COLUMNS:
        raise unknown_name("column of ids", id_column, ID_COLUMNS)
    if SPLIT in scores.attributes:
        raise ConfigurationError(
            f"{SPLIT!r} is a column of its own in files of scores; call the attribute otherwise"
        )
    names = [id_column, *scores.attributes]
    if scores.uncertainty is not None:
        names += [f"{name}{SPREAD}" for name in scores.attributes]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"two columns would be called {twice!r}; call the attribute otherwise")
    numbers = scores.values if scores.uncertainty is None else np.hstack([scores.values, scores.uncertainty])
    with written_whole(path) as beside:
        if kind == "parquet":
            _write_parquet(beside, names, scores.ids, numbers, scores.split)
        else:
            _write_text(beside, kind, names, scores.ids, numbers, scores.split)


def check_output(path: Path) -> None:
    """Raises `ConfigurationError` for a path that `write_scores` would refuse: another suffix, or a folder."""
    _format_of(path)
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; give the name of a file")


# ---------------------------------------------------------------------- reading


def _format_of(path: Path) -> str:
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigurationError(
            f"{path}: the suffix {path.suffix!r} names no format of scores; use .tsv, .csv or .parquet"
        )
    return kind


def _not_there(path: Path) -> DataError:
    return DataError(f"file of scores {str(path)!r} does not exist.{did_you_mean(path)}")


def _read_text(path: Path) -> _Table:
    if not is_file(path):
        raise _not_there(path)
    tabs = _format_of(path) == "tsv"
    options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=not tabs, **options)
            names = tuple(_plain(name) for name in next(reader, []))
            rows = [(reader.line_num, tuple(row)) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a {'TSV' if tabs else 'CSV'} file: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); give a file that can") from error
    if not names:
        raise DataError(f"{path} is empty; its first line names the columns: item_id, and the attributes")
    for line, row in rows:
        if len(row) != len(names):
            raise DataError(
                f"{path}, line {line} has {len(row)} cells and the first line {len(names)}; the cells of a line are "
                f"separated by {'tabs' if tabs else 'commas'}"
            )
    return _Table(names, rows)


def _plain(name: str) -> str:
    """The name of a column without the type that RecBole's files append: `item_id:token`."""
    return name.strip().split(":")[0]


def _read_parquet(path: Path) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not is_file(path):
        raise _not_there(path)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a parquet file: {error}") from error
    columns = [column.to_pylist() for column in table.columns]
    rows = [(number, row) for number, row in enumerate(zip(*columns, strict=True), start=1)]
    return _Table(tuple(_plain(name) for name in table.column_names), rows)


def _id_column(path: Path, names: tuple[str, ...], asked: str | None, data: DataNames) -> str:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise DataError(f"{path}: two columns are called {short(name)}; give each its own name")
    sides = {"item_id": data.item_columns, "user_id": data.user_columns}
    by_side = [sides[side] for side in (ID_COLUMNS if asked is None else (asked,))]
    present = [found for known in by_side if (found := next((n for n in known if n in names), None))]
    if len(present) > 1:
        raise DataError(
            f"{path} has columns {present[0]!r} and {present[1]!r}; scores are of items or of users, not of pairs"
        )
    if present:
        return present[0]
    wanted = [name for known in by_side for name in known]
    near = next((guess for name in wanted if (guess := nearest(name, names))), None)
    hint = f" Is it {short(near)}? Then rename it." if near else ""
    if wanted == [*ID_COLUMNS]:
        hint += " A data set made of your own tables knows their names: say --dataset."
    shown = ", ".join(map(short, names[:8])) + (", ..." if len(names) > 8 else "")
    raise DataError(f"{path} has no column {' or '.join(map(repr, wanted))} (it has {shown}).{hint}")


def _attribute_columns(
    path: Path, names: tuple[str, ...], key: str, schema: AttributeSchema | None
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The attributes, and the column of uncertainty of those that have one."""
    others = [name for name in names if name not in (key, SPLIT)]
    if schema is not None:
        for name in schema.names:
            if name not in others:
                raise unknown_name(f"{path}: column of the schema's attribute", name, others)
        attributes = schema.names
    else:
        attributes = tuple(
            name for name in others if not (name.endswith(SPREAD) and name.removesuffix(SPREAD) in others)
        )
    if not attributes:
        raise DataError(f"{path} has ids and no attribute; give it a column for each attribute")
    spreads = {name: f"{name}{SPREAD}" for name in attributes if f"{name}{SPREAD}" in others}
    return attributes, spreads


def _ids(path: Path, table: _Table, key: str) -> tuple[str, ...]:
    at = table.names.index(key)
    first: dict[str, int] = {}
    for line, row in table.rows:
        cell = row[at]
        if isinstance(cell, float):
            raise DataError(
                f"{path}: {key} holds the number {short(cell)} in row {line}; store ids as text or integers"
            )
        token = "" if cell is None else str(cell)
        if not token.strip():
            raise DataError(f"{path}, row {line}: {key} is empty")
        if token in first:
            raise DataError(
                f"{path}, row {line}: {key} {short(token)} is there already, in row {first[token]}"
            )
        first[token] = line
    return tuple(first)


def _split(path: Path, table: _Table) -> str | None:
    """The fingerprint of the split that made the scores; None where the file does not say."""
    if SPLIT not in table.names:
        return None
    at = table.names.index(SPLIT)
    told = {"" if row[at] is None else str(row[at]).strip() for _, row in table.rows}
    if len(told) > 1:
        raise DataError(
            f"{path}: column {SPLIT!r} holds {len(told)} values, and scores of one file are of one training split; "
            f"score the users again"
        )
    return told.pop() or None


def _numbers(
    path: Path,
    table: _Table,
    ids: tuple[str, ...],
    columns: tuple[str, ...],
    bounds: tuple[float, float] | None,
) -> FloatArray:
    places = [table.names.index(name) for name in columns]
    values = np.full((len(ids), len(columns)), np.nan)
    for number, (line, row) in enumerate(table.rows):
        for column, at in enumerate(places):
            where = f"{path}, row {line}, column {short(columns[column])} ({short(ids[number])})"
            values[number, column] = _number(row[at], where, bounds)
    return values


def _number(cell: Any, where: str, bounds: tuple[float, float] | None) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in _UNKNOWN):
        return math.nan
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"{where}: {short(cell)} is not a number; leave the cell empty where the score is unknown, and give a "
            f"schema to read only its attributes"
        ) from None
    if math.isinf(value):
        raise DataError(f"{where}: {short(cell)} is infinite; give a finite number, or leave the cell empty")
    if bounds is not None and not math.isnan(value) and not bounds[0] <= value <= bounds[1]:
        limits = "0 or more" if bounds[1] == math.inf else f"from {bounds[0]:g} to {bounds[1]:g}"
        raise DataError(f"{where}: {value:g} is out of scale; it must be {limits}")
    return value


# ---------------------------------------------------------------------- writing


def _write_text(
    path: Path, kind: str, names: list[str], ids: tuple[str, ...], numbers: FloatArray, split: str | None
) -> None:
    if kind == "tsv":
        for token in (*names, *ids):
            if any(mark in token for mark in "\t\r\n"):
                raise DataError(f"the id {token!r} has a tab or an end of line in it: write CSV or parquet")
    with path.open("w", encoding="utf-8", newline="") as stream:
        if kind == "csv":
            writer: Any = csv.writer(stream, lineterminator="\n")
        else:
            writer = csv.writer(
                stream, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n"
            )
        more = [] if split is None else [split]
        writer.writerow([*names, *([SPLIT] if more else [])])
        for token, row in zip(ids, numbers.tolist(), strict=True):
            writer.writerow([token, *(_cell(value) for value in row), *more])


def _cell(value: float) -> str:
    """The shortest text that reads back as the same number; empty for NaN."""
    if math.isnan(value):
        return ""
    return repr(int(value)) if value == int(value) else repr(value)


def _write_parquet(
    path: Path, names: list[str], ids: tuple[str, ...], numbers: FloatArray, split: str | None
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: list[Any] = [pa.array(ids, type=pa.string())]
    columns += [pa.array(numbers[:, at], type=pa.float64(), from_pandas=True) for at in range(len(names) - 1)]
    if split is not None:
        names, columns = [*names, SPLIT], [*columns, pa.array([split] * len(ids), type=pa.string())]
    pq.write_table(pa.Table.from_arrays(columns, names=names), path)

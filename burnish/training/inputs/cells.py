"""Atomic files while they are read: lines and cells that cannot be meant, and names that may be missing values.

A file is read once.  Only where that fails, or where a look at its bytes says that lines differ in length, it is gone
through line by line, to name the first one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from burnish.compat.names_ import MISSING_NUMBERS
from burnish.compat.view import ModuleView
from burnish.errors import DataError
from burnish.speed.reading import look_at, numbered_rows

from .heads import TIMES, learns_ratings, not_decodable, reading_encoding


@dataclass
class Reading:
    """What was read of one file.

    rows: of data.  warnings: what a person should know of it.  missing: empty cells of number columns, by column.
    """

    path: Path
    rows: int = 0
    warnings: list[str] = field(default_factory=list)


@contextmanager
def watched_reading(config: Any) -> Iterator[list[Reading]]:
    """While this is open, RecBole's data sets read their files in UTF-8 (or `encoding`), and each reading is checked.

    Yields the readings, in their order.  Raises `DataError` inside for a file that cannot be read.
    """
    from recbole.data.dataset import dataset as module

    seen, options = module.pd, config.final_config_dict
    had, before = "encoding" in options, options.get("encoding")
    readings: list[Reading] = []
    marked = any(
        reading_encoding(file, before) == "utf-8-sig"
        for file in Path(config["data_path"]).glob(f"{config['dataset']}.*")
        if file.is_file()
    )
    options["encoding"] = "utf-8-sig" if marked else before or "utf-8"
    module.pd = _Pandas(seen, config, readings)
    try:
        yield readings
    finally:
        module.pd = seen
        options.pop("encoding")
        if had:
            options["encoding"] = before


class _Pandas(ModuleView):
    """pandas as RecBole's data sets see it, whose `read_csv` checks."""

    def __init__(self, viewed: Any, config: Any, readings: list[Reading]) -> None:
        super().__init__(viewed)
        self.__dict__.update(config=config, readings=readings)

    def read_csv(self, file: Any, **options: Any) -> Any:
        reading = Reading(Path(file))
        separator, encoding = options["delimiter"], options["encoding"]
        _check_lines(reading.path, separator, encoding)
        try:
            frame = self.viewed.read_csv(file, **options)
        except (ValueError, OverflowError, IndexError) as error:  # pandas' ParserError is a ValueError
            raise _first_wrong(
                self.config, reading.path, separator, encoding, options["dtype"], error
            ) from error
        reading.rows = len(frame)
        if not reading.rows:
            raise DataError(
                f"{reading.path} has a header and no rows; add rows, or remove the file or its columns from load_col"
            )
        for cell in frame.columns:
            _check_column(self.config, reading, str(cell), frame[cell])
        self.readings.append(reading)
        return frame


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Numbered lines, from 1, without their ends; raises `DataError` for bytes that are not in the encoding."""
    number = 0
    try:
        with path.open(encoding=encoding, newline=None) as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line.rstrip("\n")
    except UnicodeError as error:
        raise DataError(not_decodable(path, _line_of(path, encoding), error, encoding)) from error


def _rows(path: Path, separator: str, encoding: str | None) -> Iterator[tuple[int, list[str]]]:
    """Numbered rows of cells; raises `DataError` for bytes that are not in the encoding."""
    try:
        yield from numbered_rows(path, separator, encoding)
    except UnicodeError as error:
        name = encoding or "utf-8"
        raise DataError(not_decodable(path, _line_of(path, name), error, name)) from error


def _line_of(path: Path, encoding: str) -> int:
    """The first line that cannot be decoded."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode(encoding)
            except UnicodeError:
                return number
    return 1


def _check_lines(path: Path, separator: str, encoding: str) -> None:
    """Every line must have as many fields as the header: pandas would shift columns, or leave cells empty."""
    plain = encoding in ("utf-8", "utf-8-sig", "latin-1", "ascii") and len(separator) == 1
    if plain:
        look = look_at(path, separator)
        if look.even and not look.odd:
            return
        if b"\0" in path.read_bytes():
            raise DataError(f"{path}, line {_line_with(path, chr(0), encoding)} holds a NUL byte; remove it")
    wanted = None
    for number, cells in _rows(path, separator, encoding):
        count = len(cells)
        wanted = count if wanted is None else wanted
        if count != wanted:
            line = separator.join(cells)
            raise DataError(
                f"{path}, line {number}: {line[:80]!r} has {count} field{'s' if count > 1 else ''}, and "
                f"the first line {wanted}; mend the line (fields are separated by field_separator = {separator!r})"
            )


def _line_with(path: Path, text: str, encoding: str) -> int:
    return next((number for number, line in _lines(path, encoding) if text in line), 1)


def _first_wrong(
    config: Any, path: Path, separator: str, encoding: str, kinds: dict[str, Any], error: Exception
) -> DataError:
    """The first cell of a number column that is not a number, or else what the reader said."""
    head: list[str] = []
    for number, cells in _rows(path, separator, encoding):
        if not head:
            head = cells
            continue
        for name, cell in zip(head, cells, strict=False):
            if kinds.get(name) is not None and kinds[name] is not str and not _is_number(cell):
                column = name.partition(":")[0]
                if column == config["TIME_FIELD"]:
                    return DataError(
                        f"{path}, line {number}: {cell!r} in column {column!r} (TIME_FIELD) is not a number; {TIMES}"
                    )
                return DataError(not_a_number(path, number, column, cell))
    return DataError(
        f"{path} cannot be read as a table: {error}; check that each line has the fields of the first one, and that "
        f'quotes (") are closed'
    )


def _is_number(cell: str) -> bool:
    if cell.strip().lower() in MISSING_NUMBERS:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def not_a_number(path: Path, line: int, column: str, cell: str) -> str:
    """The message for text in a column of numbers."""
    return (
        f"{path}, line {line}: {cell!r} in column {column!r} is not a number; mend the cell, leave it empty, or give "
        f"the column another type in the first line ({column}:token)"
    )


def _check_column(config: Any, reading: Reading, cell: str, values: Any) -> None:
    """One column as it was read, before RecBole changes it."""
    name, _, kind = cell.partition(":")
    ids = (config["USER_ID_FIELD"], config["ITEM_ID_FIELD"])
    graph = ("HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "ENTITY_ID_FIELD", "RELATION_ID_FIELD")
    ids += tuple(config[option] for option in graph)
    if kind == "float":
        _check_numbers(config, reading, name, values)
    elif kind == "float_seq":
        _check_sequences(config, reading, name, values)
    elif kind == "token" and name in ids:
        _check_names(config, reading, name, values)


def _check_numbers(config: Any, reading: Reading, name: str, values: Any) -> None:
    import numpy as np

    numbers = values.to_numpy()
    missing = np.flatnonzero(np.isnan(numbers))
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(
            f"{reading.path}, line {line_of_row(config, reading.path, infinite[0])}: {numbers[infinite[0]]} in "
            f"column {name!r} is not a finite number; mend the cell, or leave it empty"
        )
    if not len(missing):
        return
    line = line_of_row(config, reading.path, missing[0])
    required = {
        config["TIME_FIELD"]: "times are sorted by, so none can be made up",
        config["LABEL_FIELD"]: "RecBole would fill it with the mean, and train and test on that",
    }
    if learns_ratings(config):
        required[config["RATING_FIELD"]] = (
            f"RecBole would fill it with the mean, and {config['model']} be tested on that"
        )
    for threshold in config["threshold"] or ():
        required[threshold] = "its label would be made of nothing"
    if reading.path.suffix == ".inter" and name in required:
        raise DataError(
            f"{reading.path}, line {line}: column {name!r} is missing a value, as in {len(missing)} of "
            f"{len(numbers)} rows; {required[name]}. Remove these rows, or fill them in yourself"
        )
    if len(missing) == len(numbers):
        raise DataError(
            f"{reading.path}: column {name!r} has no value at all (line {line}: ''); remove it, or leave it out of "
            f"load_col"
        )
    reading.warnings.append(
        f"{reading.path.name}: column {name!r} is empty in {len(missing)} of {len(numbers)} rows (the first is line "
        f"{line}); RecBole fills it with the mean of the others"
    )


def _check_sequences(config: Any, reading: Reading, name: str, values: Any) -> None:
    separator = config["seq_separator"]
    for row, cell in enumerate(values):
        for part in cell.split(separator) if isinstance(cell, str) else ():
            try:
                wrong = bool(part) and not math.isfinite(float(part))
            except ValueError:
                wrong = True
            if wrong:
                line = line_of_row(config, reading.path, row)
                raise DataError(not_a_number(reading.path, line, name, part))


def _check_names(config: Any, reading: Reading, name: str, values: Any) -> None:
    """Ids that look like missing values are kept as they are, and said; rows without one are dropped, or refused."""
    blank = values.index[values.isna()]
    if len(blank) and (
        reading.path.suffix not in (".inter", ".item", ".user") or config["benchmark_filename"]
    ):
        raise DataError(
            f"{reading.path}, line {line_of_row(config, reading.path, blank[0])}: column {name!r} is empty, as in "
            f"{len(blank)} of {len(values)} rows; remove these rows, or give the id"
        )
    _say_blanks(reading, name, values)
    for one in values.unique():
        if not isinstance(one, str) or one.strip().lower() not in MISSING_NUMBERS:
            continue
        count = int((values == one).sum())
        reading.warnings.append(
            f"{reading.path.name}: {name} {one!r} in {count} row{'s' if count > 1 else ''} is kept as a name; where "
            f"it stands for ids that do not exist, remove these rows"
        )
    padding = values.index[values == "[PAD]"]
    if len(padding):
        raise DataError(
            f"{reading.path}: '[PAD]' in column {name!r} (row {padding[0] + 1} of data) is RecBole's name for no id "
            f"at all; give it another name"
        )


#: Characters that show as nothing at either end of an id: blanks of all kinds, and marks of no width.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def _say_blanks(reading: Reading, name: str, values: Any) -> None:
    """Warn of ids with blanks around them, which are other ids than those without."""
    there = [one for one in values.unique() if isinstance(one, str)]
    spaced = [one for one in there if one != _bare(one)]
    if not spaced:
        return
    count = int(values.isin(spaced).sum())
    known = set(there)
    both = sum(_bare(one) in known for one in spaced)
    beside = f"; {both} of these {len(spaced)} ids stand there without them, too, as others" if both else ""
    reading.warnings.append(
        f"{reading.path.name}: {name} has blanks or invisible characters around it in {count} row"
        f"{'s' if count > 1 else ''}, as in {spaced[0]!a}, and is kept so{beside}; remove them where they are not "
        f"meant"
    )


def _bare(name: str) -> str:
    before = ""
    while name != before:
        before, name = name, name.strip().strip(_INVISIBLE)
    return name


def line_of_row(config: Any, path: Path, row: int) -> int:
    """The number of the line that holds a row of data, where blank lines are none."""
    rows = numbered_rows(path, config["field_separator"], config["encoding"])
    return next((number for at, (number, _) in enumerate(rows) if at == row + 1), row + 2)

"""Tables in memory: pandas' frames and tables of pyarrow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from burnish.errors import ConfigurationError, DataError

from .table import TEXT, Table, checked


def from_memory(data: Any, source: str) -> Table:
    """A frame or a table of pyarrow.

    source: what messages call it.  Raises `ConfigurationError` for anything else, `DataError` for cells that cannot be
    used.
    """
    if isinstance(data, pa.Table):
        return checked(
            source, zip(data.column_names, data.columns, strict=True), lambda row: f"row {row + 1}"
        )
    if not isinstance(data, pd.DataFrame):
        raise ConfigurationError(
            f"{source} is a {type(data).__name__}; give a pandas DataFrame, a pyarrow Table, or from_file a file"
        )
    labels = data.index

    def place(row: int) -> str:
        plain = isinstance(labels, pd.RangeIndex) and labels.start == 0 and labels.step == 1
        return f"row {row + 1}" if plain else f"row {row + 1} (index {labels[row]!r})"

    columns = (
        (str(name), column_of(source, str(name), data.iloc[:, at], place))
        for at, name in enumerate(data.columns)
    )
    return checked(source, columns, place)


def column_of(source: str, name: str, values: Any, place: Callable[[int], str]) -> pa.ChunkedArray:
    """A pandas column; where its cells are of several types, their texts."""
    try:
        made = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeEncodeError):
        made = texts_of(source, name, values, place)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def texts_of(source: str, name: str, values: Iterable[Any], place: Callable[[int], str]) -> pa.Array:
    """The cells as texts, None where there is none.  Raises `DataError` for text that is no Unicode."""
    texts = []
    for row, value in enumerate(values):
        text = cell_text(value)
        try:
            text is None or text.encode("utf-8")
        except UnicodeEncodeError:
            raise DataError(
                f"{source}, {place(row)}, column {name!r}: {value!a} holds half a character (a lone surrogate), which "
                f"no file can hold; mend it"
            ) from None
        texts.append(text)
    return pa.array(texts, type=TEXT)


def cell_text(value: Any) -> str | None:
    """One cell as text: numbers exactly, whole ones without a point; None where it is missing."""
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)

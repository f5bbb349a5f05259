"""Times in whole numbers that double precision cannot tell apart, such as nanoseconds since 1970.

Numbers above 2^53 (nanoseconds: 1.6e18, in steps of 256) are equal once they are float64, so that RecBole sorts them by
chance of the file.
"""

from __future__ import annotations

import csv
import functools
from decimal import Decimal, InvalidOperation
from types import ModuleType
from typing import Any

from burnish.errors import DataError

from .mend import mend

_DATASET = "recbole.data.dataset.dataset"
#: The first whole number whose successor is not a float64.
_LARGEST_EXACT = 2.0**53


@mend(
    "whole-times",
    library="recbole",
    versions="1.2.1",
    symptom="silent: times become float64 (dataset.py:480), where nanoseconds since 1970 are equal within 256 ns, "
    "and are sorted by chance",
    modules=(_DATASET,),
    applies=lambda: True,
)
def read_whole_times(module: ModuleType) -> None:
    """Keep a column of times that float64 cannot tell apart as whole numbers until it is sorted; no other."""
    dataset = module.Dataset
    dataset._load_feat = _reading_whole_times(dataset._load_feat)
    dataset._normalize = _refusing_to_merge(dataset._normalize)


def _reading_whole_times(load: Any) -> Any:
    @functools.wraps(load)
    def _load_feat(self: Any, filepath: str, source: Any) -> Any:
        frame = load(self, filepath, source)
        time = self.time_field
        if str(getattr(source, "value", source)) != "inter" or frame is None or time not in frame:
            return frame
        numbers = frame[time]
        if numbers.dtype.kind == "f" and _needs_a_look(numbers.to_numpy()):
            exact = _exactly(self, filepath, time, numbers.to_numpy())
            if exact is not None:
                frame[time] = exact
        return frame

    return _load_feat


def _needs_a_look(numbers: Any) -> bool:
    """Whether double precision may have rounded the column: beyond 2^53, or parts of a second that it hardly holds."""
    import numpy as np

    if not len(numbers) or not np.isfinite(numbers).all():
        return False
    if np.abs(numbers).max() >= _LARGEST_EXACT:
        return True
    return bool(np.abs(numbers).max() >= 2.0**20 and (numbers != np.floor(numbers)).any())


def _exactly(dataset: Any, filepath: str, time: str, numbers: Any) -> Any:
    """The column as int64 where float64 merges whole numbers; None where it merges nothing.

    Raises `DataError` where it merges times that int64 cannot hold either.
    """
    import numpy as np

    cells = _cells(dataset, filepath, time, numbers)
    if cells is None or len(set(cells)) == len(np.unique(numbers)):
        return None
    try:
        exact = [Decimal(cell.strip()) for cell in cells]
    except InvalidOperation:  # what only the reader of numbers takes for one
        return None
    if len(set(exact)) == len(np.unique(numbers)):
        return None
    whole = all(value == value.to_integral_value() for value in exact)
    if whole and all(-(2**63) <= value < 2**63 for value in exact):
        return np.array([int(value) for value in exact], dtype=np.int64)
    first: dict[float, int] = {}
    for row, number in enumerate(numbers.tolist()):
        other = first.setdefault(number, row)
        if exact[other] != exact[row]:
            raise DataError(
                f"{filepath}: column {time!r} (TIME_FIELD) holds {cells[other]} and {cells[row]} (rows {other + 1} and "
                f"{row + 1} of data), which are one number in double precision, so their order would be lost; write "
                f"whole numbers of at most 18 digits, such as nanoseconds since 1970"
            )
    return None


def _cells(dataset: Any, filepath: str, time: str, numbers: Any) -> list[str] | None:
    """The column's cells as they stand in the file; None where they are not found as the numbers were."""
    import numpy as np
    import pandas as pd

    config = dataset.config
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        try:
            table = pd.read_csv(
                filepath,
                delimiter=config["field_separator"],
                usecols=[f"{time}:float"],
                dtype=str,
                encoding=config["encoding"],
                quoting=quoting,
            )
            cells: list[str] = table[f"{time}:float"].tolist()
            if len(cells) == len(numbers) and np.allclose(
                np.array(cells, dtype=float), numbers, rtol=1e-12, atol=0
            ):
                return cells
        except (ValueError, TypeError, csv.Error):  # read in the other way, or not at all
            continue
    return None


def _refusing_to_merge(normalize: Any) -> Any:
    @functools.wraps(normalize)
    def _normalize(self: Any) -> None:
        time = self.time_field
        kept = time is not None and time in self.inter_feat and self.inter_feat[time].dtype.kind == "i"
        before = self.inter_feat[time].nunique() if kept else 0
        normalize(self)
        if kept and self.inter_feat[time].nunique() < before:
            raise DataError(
                f"{self.dataset_name}.inter: column {time!r} (TIME_FIELD) holds whole numbers that are told apart by "
                f"more digits than double precision has, and normalize_field or normalize_all scale it to 0..1, where "
                f"some of them are equal; leave {time!r} out of normalize_field, and normalize_all out"
            )

    return _normalize

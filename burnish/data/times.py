"""Times of all spellings as whole microseconds since 1970."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from burnish.checks import short
from burnish.errors import ConfigurationError, DataError, option, unknown_name

from .table import TEXT, Table, as_text, is_number, is_text, is_time

#: Microseconds in a unit of time; of nanoseconds, how many make one.
UNITS = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0}
_CALLED = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
#: Below each of these a number since 1970 is one of the unit: all are in 1973, but of seconds, in 5138.
_LIMITS = (1e11, 1e14, 1e17)
_WHOLE, _NUMBER = r"^[+-]?\d{1,18}$", r"^[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$"
#: A zone behind a time of day: 12:30Z, 12:30:00.5+01:00, T12+02.
_ZONE = r"[T ]\d\d(?::?\d\d)?(?::?\d\d)?(?:[.,]\d+)?\s?(?:Z|z|[+-]\d\d:?(?:\d\d)?)$"
_DAY = r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"
#: No point in time: `times_of` gives it where the cell is empty.
NO_TIME = np.iinfo(np.int64).min
#: Later or earlier than any data: year 1 to 9999.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_800_000_000


def check_time_options(unit: str | None, format: str | None) -> None:
    """Raise for a unit that does not exist, or a format that no time is read by."""
    if unit is not None and unit not in UNITS:
        raise unknown_name("time unit", unit, UNITS)
    if unit is not None and format is not None:
        raise ConfigurationError(
            f"time_unit = {unit!r} and time_format = {format!r}: a time is a number or a text; give one"
        )
    if format is not None and "%" not in format:
        raise ConfigurationError(f"time_format = {format!r}: give one such as %d/%m/%Y %H:%M")


def times_of(
    table: Table, column: str, unit: str | None, format: str | None
) -> tuple[NDArray[np.int64], str]:
    """Microseconds since 1970 `[n]`, `NO_TIME` where a cell is empty; and what the column was taken for.

    unit, format: how times are written; by default found out.  Raises `DataError` for what is no time, or where rows
    are written in two ways, with rows, values and cure.
    """
    values = table.columns[column]
    if is_time(values.type):
        return _typed(table, column, values)
    if is_number(values.type):
        return _of_numbers(table, column, values, unit)
    if not is_text(values.type):
        raise DataError(
            f"{table.source}: column {column!r} is of the type {values.type}, which holds no times; name another one, "
            f"or none"
        )
    texts = pc.utf8_trim_whitespace(as_text(values))
    texts = pc.if_else(pc.equal(texts, pa.scalar("", TEXT)), pa.scalar(None, TEXT), texts)
    if format is not None:
        return _parsed(table, column, texts, format)
    numeric = np.asarray(pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False))
    there = np.asarray(pc.is_valid(texts))
    if unit is not None or (numeric == there).all():
        return _of_numeric_texts(table, column, texts, unit)
    if (numeric & there).any():
        one, other = int(np.argmax(numeric)), int(np.argmax(there & ~numeric))
        raise DataError(
            f"{table.source}, column {column!r}: {short(texts[one].as_py())} ({table.place(one)}) is a number and "
            f"{short(texts[other].as_py())} ({table.place(other)}) is none; write all times alike"
        )
    return _iso(table, column, texts)


def written(microseconds: NDArray[np.int64]) -> pa.Array:
    """Times as cells of an atomic file: seconds since 1970, with as many decimals as needed."""
    seconds, rest = np.divmod(microseconds, 1_000_000)
    if not rest.any():
        return pa.array(seconds).cast(TEXT)
    # Exact to the microsecond in double precision, which RecBole reads times in, up to the year 2255.
    return pa.array([f"{value:.6f}".rstrip("0").rstrip(".") for value in (microseconds / 1e6).tolist()], TEXT)


def shown(microseconds: int) -> str:
    """A time for people: 2023-01-05 12:30:00, in UTC."""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, tz=timezone.utc)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _typed(table: Table, column: str, values: pa.ChunkedArray) -> tuple[NDArray[np.int64], str]:
    kind = values.type
    if pa.types.is_date(kind):
        return _filled(values.cast(pa.timestamp("us"))), "dates"
    told = "times with a zone" if kind.tz else "times without a zone, taken as UTC"
    exact = values.cast(pa.timestamp("us", tz=kind.tz), safe=False)
    return _checked(table, column, _filled(exact)), told


def _filled(values: pa.ChunkedArray) -> NDArray[np.int64]:
    whole = values.cast(pa.int64()).fill_null(NO_TIME)
    return whole.to_numpy().astype(np.int64)


def _of_numeric_texts(
    table: Table, column: str, texts: pa.ChunkedArray, unit: str | None
) -> tuple[NDArray[np.int64], str]:
    there = pc.is_valid(texts)
    fits = np.asarray(pc.fill_null(pc.match_substring_regex(texts, _NUMBER), True))
    if not fits.all():
        row = int(np.argmin(fits))
        raise DataError(
            f"{table.at(row)}, column {column!r}: {short(texts[row].as_py())} is not a number, and time_unit = "
            f"{unit!r} says that times are; leave the unit out, or give time_format"
        )
    days = pc.all(pc.match_substring_regex(texts, _DAY)).as_py()
    if unit is None and days and pc.any(there).as_py():
        return _parsed(table, column, texts, "%Y%m%d")
    texts = pc.replace_substring_regex(texts, r"^\+", "")
    if pc.all(pc.match_substring_regex(texts, _WHOLE)).as_py():
        return _of_numbers(table, column, texts.cast(pa.int64()), unit)
    return _of_numbers(table, column, texts.cast(pa.float64()), unit)


def _of_numbers(
    table: Table, column: str, values: pa.ChunkedArray, unit: str | None
) -> tuple[NDArray[np.int64], str]:
    """Numbers since 1970, whole or not, of the unit that their size says."""
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    numbers = values.fill_null(0).to_numpy()
    there = np.asarray(pc.is_valid(values))
    if pa.types.is_floating(values.type):
        there = there & ~np.isnan(numbers)
        numbers = np.where(there, numbers, 0).astype(np.float64)
    if unit is None:
        days = there.any() and _are_days(numbers[there])
        if days:
            texts = pa.chunked_array([pa.array(numbers.astype(np.int64), mask=~there).cast(TEXT)])
            return _parsed(table, column, texts, "%Y%m%d")
        unit = _unit_of(table, column, numbers, there)
    if not (np.abs(numbers.astype(np.float64)) < 9e18).all():
        row = int(np.argmax(~(np.abs(numbers.astype(np.float64)) < 9e18)))
        raise DataError(
            f"{table.at(row)}, column {column!r}: {numbers[row]!r} is no time since 1970; mend it"
        )
    factor = UNITS[unit]
    whole = np.issubdtype(numbers.dtype, np.integer)
    with np.errstate(over="ignore", invalid="ignore"):
        rough = numbers.astype(np.float64) * (factor or 1e-3)
        if factor and whole and (np.abs(rough) < 9e18).all():
            micro = numbers.astype(np.int64) * factor
        elif whole and not factor:
            micro = numbers.astype(np.int64) // 1000
        else:
            micro = np.where(np.abs(rough) < 9e18, np.round(rough), 9e18).astype(np.int64)
    micro[~there] = NO_TIME
    told = f"{_CALLED[unit]} since 1970"
    if not factor and whole and (numbers % 1000 != 0).any():
        told += ", kept to the microsecond"
    return _checked(table, column, micro), told


def _are_days(numbers: NDArray[np.generic]) -> bool:
    """Whether all numbers read as dates such as 20230105, which as seconds would all lie in 1970."""
    values = numbers.astype(np.float64)
    year, month, day = values // 10000, values // 100 % 100, values % 100
    fits = (values == np.floor(values)) & (year >= 1900) & (year < 2100)
    return bool((fits & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())


def _unit_of(table: Table, column: str, numbers: NDArray[np.generic], there: NDArray[np.bool_]) -> str:
    sizes = np.digitize(np.abs(numbers.astype(np.float64)), _LIMITS)
    first = int(np.argmax(there))
    other = np.flatnonzero(there & (sizes != sizes[first]))
    if len(other):
        names = list(UNITS)
        told = [
            f"{numbers[row]!s} ({table.place(row)}) looks like {_CALLED[names[sizes[row]]]}"
            for row in (first, int(other[0]))
        ]
        raise DataError(
            f"{table.source}, column {column!r}: {' and '.join(told)} since 1970; mend the times, or say the unit with "
            f"{option('time_unit')}, one of {', '.join(UNITS)}"
        )
    return list(UNITS)[int(sizes[first])] if there.any() else "s"


def _iso(table: Table, column: str, texts: pa.ChunkedArray) -> tuple[NDArray[np.int64], str]:
    texts = pc.replace_substring_regex(texts, r"\s*(?:UTC|GMT)$", "Z")
    there = np.asarray(pc.is_valid(texts))
    zoned = np.asarray(pc.fill_null(pc.match_substring_regex(texts, _ZONE), False))
    micro, told = _parsed(table, column, texts, None)
    if zoned.any() and (there & ~zoned).any():
        one, other = int(np.argmax(zoned)), int(np.argmax(there & ~zoned))
        raise DataError(
            f"{table.source}, column {column!r}: {short(texts[one].as_py())} ({table.place(one)}) has a zone and "
            f"{short(texts[other].as_py())} ({table.place(other)}) has none; write all times with their zone, or none"
        )
    clock = pc.any(pc.match_substring(texts, ":")).as_py()
    if not clock:
        return micro, "dates"
    return micro, told if zoned.any() else "times without a zone, taken as UTC"


def _parsed(
    table: Table, column: str, texts: pa.ChunkedArray, format: str | None
) -> tuple[NDArray[np.int64], str]:
    """Texts by a format, or as ISO 8601."""
    plain = pd.Series(texts.to_pylist(), dtype=object)
    try:
        parsed = pd.to_datetime(plain, format=format or "ISO8601", utc=True, errors="coerce")
    except ValueError as error:
        raise ConfigurationError(f"time_format = {format!r} cannot be read: {error}") from error
    there = np.asarray(pc.is_valid(texts))
    wrong = np.flatnonzero(parsed.isna().to_numpy() & there)
    if len(wrong):
        row = int(wrong[0])
        say = f"as time_format = {format!r} says" if format not in (None, "%Y%m%d") else "that is understood"
        raise DataError(
            f"{table.at(row)}, column {column!r}: {short(texts[row].as_py())} is no time {say}; times are ISO 8601 "
            f"(2023-01-05, 2023-01-05T12:30:00Z), numbers since 1970, or as {option('time_format')} says, such as "
            f"%d/%m/%Y; without times say {option('time', 'none')}"
        )
    stamps = parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    micro = np.where(there, stamps, NO_TIME)
    told = "dates" if format == "%Y%m%d" else f"times as {format}" if format else "times with a zone"
    return _checked(table, column, micro), told


def _checked(table: Table, column: str, micro: NDArray[np.int64]) -> NDArray[np.int64]:
    outside = np.flatnonzero((micro != NO_TIME) & ((micro < _EARLIEST) | (micro >= _LATEST)))
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{table.at(row)}, column {column!r}: {short(table.columns[column][row].as_py())} is outside the years "
            f"1 to 9999; mend it, or say the unit with {option('time_unit')}"
        )
    return micro

"""Times in all spellings, against datetime."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import burnish
from burnish.errors import BurnishError, ConfigurationError, DataError, UnknownNameError

MOMENT = datetime(2023, 1, 5, 12, 30, 15, tzinfo=timezone.utc)
SECONDS = 1672921815


def span(times: list[Any], **options: Any) -> tuple[tuple[int, int], str]:
    """First and last time in microseconds, and what the column was taken for."""
    rows = pd.DataFrame({"user": range(len(times)), "item": range(len(times)), "when": times})
    card = burnish.data.from_frame(rows, dry_run=True, **options)
    assert card.span is not None
    return card.span, next(note for note in card.notes if "read as" in note)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("2023-01-05T12:30:15Z", "times with a zone"),
        ("2023-01-05T13:30:15+01:00", "times with a zone"),
        ("2023-01-05 07:30:15-0500", "times with a zone"),
        ("2023-01-05 12:30:15 UTC", "times with a zone"),
        ("2023-01-05T12:30:15", "times without a zone, taken as UTC"),
        ("2023-01-05 12:30:15", "times without a zone, taken as UTC"),
        (" 2023-01-05 12:30:15 ", "times without a zone, taken as UTC"),
        (str(SECONDS), "seconds since 1970"),
        (f"{SECONDS}.0", "seconds since 1970"),
        (SECONDS, "seconds since 1970"),
        (float(SECONDS), "seconds since 1970"),
        (SECONDS * 10**3, "milliseconds since 1970"),
        (SECONDS * 10**6, "microseconds since 1970"),
        (SECONDS * 10**9, "nanoseconds since 1970"),
        (str(SECONDS * 10**9), "nanoseconds since 1970"),
        (MOMENT.replace(tzinfo=None), "times without a zone, taken as UTC"),
        (MOMENT, "times with a zone"),
    ],
)
def test_one_moment_in_many_ways(cell: Any, told: str) -> None:
    (first, last), note = span([cell, cell])
    assert first == last == SECONDS * 10**6
    assert note.endswith(f"read as {told}")


@pytest.mark.parametrize("cell", ["2023-01-05", date(2023, 1, 5), 20230105, "20230105"])
def test_dates(cell: Any) -> None:
    (first, _), note = span([cell, cell])
    assert first == SECONDS // 86400 * 86400 * 10**6
    assert note.endswith("dates")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("year", [1974, 1999, 2200])
def test_the_size_says_the_unit(unit: str, year: int) -> None:
    micro = int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) * 10**6
    cell = micro * 1000 // {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[unit]
    assert span([cell, cell])[0] == (micro, micro)


def test_fractions_of_seconds() -> None:
    late = MOMENT + timedelta(microseconds=123456)
    (first, last), _ = span([late.isoformat(), late.isoformat()])
    assert first == last == SECONDS * 10**6 + 123456
    assert span([f"{SECONDS}.25", str(SECONDS)])[0][1] == SECONDS * 10**6 + 250000


def test_a_format_and_a_unit_of_ones_own() -> None:
    assert span(["05/01/2023", "06/01/2023"], time_format="%d/%m/%Y")[0][0] == 1672876800 * 10**6
    assert span([5, 7000], time_unit="ms")[0] == (5000, 7_000_000)
    assert span([20230105, 20230106], time_unit="s")[0][0] == 20230105 * 10**6


@pytest.mark.parametrize(
    ("times", "options", "kind", "told"),
    [
        (
            [SECONDS, SECONDS * 1000],
            {},
            DataError,
            r"row 1\) looks like seconds and .*row 2\).*milliseconds.*time_unit=",
        ),
        ([SECONDS * 1000, 0], {}, DataError, r"0 \(row 2\) looks like seconds"),
        (
            ["2023-01-05T12:00Z", "2023-01-05T12:00"],
            {},
            DataError,
            r"row 1\) has a zone and .*row 2\) has none",
        ),
        (["2023-01-05", "17"], {}, DataError, r"'17' \(row 2\) is a number"),
        (
            ["2023-01-05", "05/01/2023"],
            {},
            DataError,
            r"row 2, column 'when': '05/01/2023' is no time.*time_format=",
        ),
        (["2023-01-05", "2023-13-05"], {}, DataError, r"row 2, column 'when': '2023-13-05'"),
        (["2023-01-05", ""], {}, DataError, r"row 2: column 'when' is empty.*missing='drop'"),
        (
            ["01.02.2023", "x"],
            {"time_format": "%d.%m.%Y"},
            DataError,
            r"row 2.*'x' is no time as time_format",
        ),
        (["a", "b"], {"time_unit": "s"}, DataError, r"row 1.*'a' is not a number"),
        ([1, 2], {"time_unit": "sec"}, UnknownNameError, r"time unit 'sec' is not known"),
        ([1, 2], {"time_unit": "s", "time_format": "%Y"}, ConfigurationError, "give one"),
        ([10**18, 10**18], {"time_unit": "s"}, DataError, "outside the years"),
        ([True, False], {}, DataError, "type bool, which holds no times"),
    ],
)
def test_what_is_no_time(
    times: list[Any], options: dict[str, Any], kind: type[BurnishError], told: str
) -> None:
    with pytest.raises(kind, match=told):
        span(times, **options)


def test_few_seconds_are_told() -> None:
    rows = pd.DataFrame({"user": [1, 2], "item": [1, 2], "time": [3, 4]})
    card = burnish.data.from_frame(rows, dry_run=True)
    assert any("before 1980" in note for note in card.notes)


def test_later_rows_are_told_by_time(tmp_path: Path) -> None:
    """Duplicates: by exact times, whatever the zone."""
    rows = pd.DataFrame(
        {
            "user": ["u"] * 3,
            "item": ["i"] * 3,
            "rating": [1, 2, 3],
            "time": ["2023-01-05T12:00:00+00:00", "2023-01-05T14:00:00+03:00", "2023-01-05T09:30:00-01:00"],
        }
    )
    for how, rating in (("last", "1"), ("first", "3")):
        burnish.data.from_frame(rows, out=tmp_path / how, duplicates=how)
        line = (tmp_path / how / f"{how}.inter").read_text().splitlines()[1]
        assert line.split("\t")[2] == rating

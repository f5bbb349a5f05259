"""Amazon Reviews as published in 2014, 2018 and 2023, told apart by their fields.

2014 and 2018: J. McAuley's and J. Ni's collections (`reviewerID`, `asin`, `overall`, `unixReviewTime` in seconds);
2018 has `vote` and `verified` where 2014 has `helpful`.  2023: Y. Hou's collection (`user_id`, `parent_asin`,
`rating`, `timestamp` in milliseconds).
"""

from __future__ import annotations

from dataclasses import dataclass

from burnish.errors import DataError

from .formats import Body, Format, Head
from .record_values import count, exact_text, number, stars, token
from .records import BrokenLineError, Record

#: Times before 1973 in milliseconds are really seconds, and seconds after the year 5000 milliseconds.
_SECONDS_BELOW = 1e11


@dataclass(frozen=True)
class Classic:
    """2014 and 2018.  The two differ in what is known beside the text."""

    year: int
    extras: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"amazon-{self.year}"

    def head(self, record: Record) -> Head:
        """See `Format`."""
        if year_of(record) not in (self.year, None):
            raise BrokenLineError(_mixed(record, self.year))
        time = number(record, "unixReviewTime")
        if abs(time) >= _SECONDS_BELOW:
            raise BrokenLineError(f"field 'unixReviewTime' is {time:.0f}: milliseconds, where seconds belong")
        return Head(token(record, "reviewerID"), token(record, "asin"), stars(record, "overall"), time)

    def body(self, record: Record) -> Body:
        """See `Format`."""
        if self.year == 2014:
            helpful = record.get("helpful")
            pair = helpful if isinstance(helpful, (list, tuple)) and len(helpful) == 2 else (None, None)
            extras: tuple[int | None, ...] = (count(pair[0]), count(pair[1]))
        else:
            extras = (count(record.get("vote")), _flag(record.get("verified")))
        return Body(exact_text(record.get("summary")), exact_text(record.get("reviewText")), extras)


@dataclass(frozen=True)
class Current:
    """2023.  Items are `parent_asin`, under which the variants (`asin`) of a product are one item."""

    extras: tuple[str, ...] = ("helpful_up", "verified")

    @property
    def name(self) -> str:
        return "amazon-2023"

    def head(self, record: Record) -> Head:
        """See `Format`."""
        if "reviewerID" in record or "overall" in record:
            raise BrokenLineError(_mixed(record, 2023))
        # The first release named the field sort_timestamp.
        field = "sort_timestamp" if "timestamp" not in record and "sort_timestamp" in record else "timestamp"
        time = number(record, field)
        if abs(time) < _SECONDS_BELOW:
            raise BrokenLineError(f"field {field!r} is {time:.0f}: seconds, where milliseconds belong")
        return Head(
            token(record, "user_id"), token(record, "parent_asin"), stars(record, "rating"), time / 1000
        )

    def body(self, record: Record) -> Body:
        """See `Format`."""
        votes = record.get("helpful_vote", record.get("helpful_votes"))
        extras = (count(votes), _flag(record.get("verified_purchase")))
        return Body(exact_text(record.get("title")), exact_text(record.get("text")), extras)


def year_of(record: Record) -> int | None:
    """2014, 2018 or 2023 by the fields that only one of them has; None where no such field is there."""
    if "parent_asin" in record or "user_id" in record:
        return 2023
    if "helpful" in record:
        return 2014
    if "verified" in record or "vote" in record or "style" in record:
        return 2018
    return None


def recognise(record: Record) -> Format:
    """The kind of file that this record is the first of.  Raises `DataError` with what it seems to be instead."""
    if "business_id" in record:
        raise DataError("it is of Yelp; use `burnish data yelp`")
    if "reviewerID" in record and "asin" in record:
        year = year_of(record)
        if year == 2018:
            return Classic(2018, ("helpful_up", "verified"))
        if year != 2023:
            return Classic(2014, ("helpful_up", "helpful_total"))
    elif "user_id" in record and "parent_asin" in record:
        return Current()
    elif (
        "user_id" not in record
        and "reviewerID" not in record
        and ("title" in record or "categories" in record)
    ):
        raise DataError(
            "it describes an item; give that file as --meta, and the file of reviews as --reviews"
        )
    raise DataError(
        f"its fields are {', '.join(list(record)[:12]) or 'none'}. Reviews of 2014 and 2018 have reviewerID, asin, "
        f"overall and unixReviewTime; those of 2023 have user_id, parent_asin, rating and timestamp"
    )


def _mixed(record: Record, year: int) -> str:
    other = "2014 or 2018" if year == 2023 else str(year_of(record))
    return f"its fields are those of {other}, but the file begins with reviews of {year}; convert them separately"


def _flag(value: object) -> int | None:
    return int(value) if isinstance(value, bool) else None

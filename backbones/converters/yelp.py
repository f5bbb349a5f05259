"""Yelp's open data set: reviews, businesses (the items) and users, as JSON lines.

Mean stars and numbers of reviews are left out of items and users: they cover the test split too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from burnish.errors import DataError

from .formats import Body, Description, Format, Head
from .record_values import cell, count, decimal, exact_text, stars, token, token_cell, token_seq_cell
from .records import BrokenLineError, Record

_VOTES = ("useful", "funny", "cool")


@dataclass(frozen=True)
class Yelp:
    """The file of reviews, with one text a review and no summary."""

    name: str = "yelp"
    extras: tuple[str, ...] = _VOTES

    def head(self, record: Record) -> Head:
        """See `Format`."""
        user, item = token(record, "user_id"), token(record, "business_id")
        return Head(user, item, stars(record, "stars"), seconds(record, "date"))

    def body(self, record: Record) -> Body:
        """See `Format`."""
        older = record.get("votes")  # until 2016 the votes were an object of their own
        votes: Record = older if isinstance(older, dict) else record
        return Body("", exact_text(record.get("text")), tuple(count(votes.get(name)) for name in _VOTES))


def seconds(record: Record, field: str) -> float:
    """A date "YYYY-MM-DD", perhaps with a time, as seconds since 1970; without a time zone it counts as UTC."""
    value = record.get(field)
    if value is None:
        raise BrokenLineError(f"field {field!r} is missing")
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise BrokenLineError(
            f"field {field!r} is not a date YYYY-MM-DD hh:mm:ss: {str(value)[:40]!r}"
        ) from error


def recognise(record: Record) -> Format:
    """The kind of file that this record is the first of.  Raises `DataError` with what it seems to be instead."""
    if "asin" in record:
        raise DataError("it is of Amazon; use `burnish data amazon`")
    if {"user_id", "business_id"} <= record.keys() and "stars" in record:
        return Yelp()
    if {"user_id", "business_id"} <= record.keys():
        raise DataError(
            "it has no stars, as in the file of tips; give yelp_academic_dataset_review.json as --reviews"
        )
    if "business_id" in record:
        raise DataError(
            "it describes a business; give that file as --business, and the file of reviews as --reviews"
        )
    if "user_id" in record:
        raise DataError("it describes a user; give that file as --user, and the file of reviews as --reviews")
    raise DataError(
        f"its fields are {', '.join(list(record)[:12]) or 'none'}; Yelp's reviews have user_id, business_id, stars, "
        f"date and text"
    )


def _listed(value: Any) -> Iterable[Any]:
    """Yelp writes lists as lists (older files) or with commas between."""
    if isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, list) else ()


def _price_range(record: Record) -> str:
    attributes = record.get("attributes")
    written = attributes.get("RestaurantsPriceRange2") if isinstance(attributes, dict) else None
    level = count(str(written).strip("u'\"")) if written is not None else None
    return "" if level is None else str(level)


def _number(record: Record, field: str) -> str:
    value = record.get(field)
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return decimal(float(value)) if known and not math.isnan(value) else ""  # type: ignore[arg-type]


def _since(record: Record) -> str:
    try:
        return decimal(seconds(record, "yelping_since"))
    except BrokenLineError:
        return ""


def _flag(record: Record, field: str) -> str:
    flag = count(record.get(field))
    return "" if flag is None else str(flag)


BUSINESSES = Description(
    kind="item",
    fields=("business_id",),
    cells={
        "title:token_seq": lambda record: cell(record.get("name")),
        "categories:token_seq": lambda record: token_seq_cell(_listed(record.get("categories"))),
        "city:token": lambda record: token_cell(record.get("city")),
        "state:token": lambda record: token_cell(record.get("state")),
        "price_range:token": _price_range,
        "is_open:token": lambda record: _flag(record, "is_open"),
        "latitude:float": lambda record: _number(record, "latitude"),
        "longitude:float": lambda record: _number(record, "longitude"),
    },
)

USERS = Description(
    kind="user",
    fields=("user_id",),
    cells={
        "yelping_since:float": _since,
        "fans:float": lambda record: _number(record, "fans"),
        "elite:token_seq": lambda record: token_seq_cell(_listed(record.get("elite"))),
    },
)

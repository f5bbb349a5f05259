"""What a converter must know about one kind of published file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .record_values import token
from .records import BrokenLineError, Record


class Head(NamedTuple):
    """What the filter needs of a review.  timestamp: seconds since 1970."""

    user: str
    item: str
    rating: float
    timestamp: float


class Body(NamedTuple):
    """What is left of a review.  extras: one value a name in `Format.extras`, None where unknown."""

    summary: str
    review: str
    extras: tuple[int | None, ...]


class Format(Protocol):
    """One kind of published file of reviews, recognised by its first record."""

    @property
    def name(self) -> str:
        """Such as "amazon-2014"."""

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of further columns of the file of reviews, all of whole numbers."""

    def head(self, record: Record) -> Head:
        """Check a record and take out ids, rating and time.  Raises `BrokenLineError`."""

    def body(self, record: Record) -> Body:
        """The texts of a record that passed `head`; never raises."""


@dataclass(frozen=True)
class Description:
    """How one record about an item or a user becomes a row of an atomic file.

    kind: "item" or "user".  fields: fields that may hold the id, in order of preference.
    cells: from the atomic column ("title:token_seq") to what makes its cell of a record; empty where unknown.
    """

    kind: str
    fields: tuple[str, ...]
    cells: Mapping[str, Callable[[Record], str]]

    def key(self, record: Record) -> str:
        """The id.  Raises `BrokenLineError` where no field holds one."""
        for field in self.fields:
            if field in record:
                return token(record, field)
        wanted = " or ".join(repr(field) for field in self.fields)
        raise BrokenLineError(f"it has no field {wanted}, but {', '.join(list(record)[:8]) or 'none'}")

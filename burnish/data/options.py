"""What a conversion is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, nearest, unknown_name

from .times import check_time_options

DUPLICATES = ("last", "first", "keep", "mean", "max", "sum", "error")
MISSING = ("error", "drop", "keep")
KINDS = ("token", "token_seq", "float", "float_seq")
#: In the place of a column's name: there is none.
NONE = "none"


@dataclass(frozen=True)
class Options:
    """How tables are read and which rows stay; the fields are the arguments of `from_frame`."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None
    item_id: str | None = None
    user_id: str | None = None
    columns: str | Sequence[str] | Mapping[str, str | None] | None = None
    list_separator: str = "|"
    time_unit: str | None = None
    time_format: str | None = None
    duplicates: str = "last"
    missing: str = "error"
    min_rating: float | None = None
    k_core: int | None = None
    min_user: int | None = None
    min_item: int | None = None
    separator: str | None = None
    encoding: str | None = None
    #: Types of `columns` by name, None where they are to be found out; "*" for all others.
    wanted: dict[str, str | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.duplicates not in DUPLICATES:
            raise unknown_name("way with duplicates", str(self.duplicates), DUPLICATES)
        if self.missing not in MISSING:
            raise unknown_name("way with missing cells", str(self.missing), MISSING)
        check_time_options(self.time_unit, self.time_format)
        for name in ("k_core", "min_user", "min_item"):
            if getattr(self, name) is not None:
                whole_number(name, getattr(self, name))
        if self.k_core is not None and (self.min_user is not None or self.min_item is not None):
            raise ConfigurationError(
                f"k_core = {self.k_core}: it stands for min_user and min_item; leave it or these out"
            )
        if self.min_rating is not None:
            finite_number("min_rating", self.min_rating)
        if not self.list_separator:
            raise ConfigurationError("list_separator = '': give what stands between the parts, such as '|'")
        self.wanted.update(_wanted(self.columns))

    @property
    def least(self) -> tuple[int, int]:
        """The least interactions of a user and of an item."""
        if self.k_core is not None:
            return self.k_core, self.k_core
        return self.min_user or 1, self.min_item or 1

    def carries(self, name: str) -> bool:
        """Whether a column beyond ids, rating and time goes along."""
        return not self.wanted or name in self.wanted or "*" in self.wanted

    def kind(self, name: str) -> str | None:
        """The type that a column is to have; None to find it out."""
        return self.wanted.get(name)


def _wanted(columns: str | Sequence[str] | Mapping[str, str | None] | None) -> dict[str, str | None]:
    """`title,genres:token_seq`, a list of such words, or a mapping, as names with types."""
    if columns is None:
        return {}
    if isinstance(columns, Mapping):
        found: dict[str, Any] = dict(columns)
    else:
        words = columns.split(",") if isinstance(columns, str) else list(columns)
        found = {}
        for word in words:
            name, colon, kind = str(word).strip().rpartition(":")
            known = colon and (kind in KINDS or nearest(kind, KINDS) is not None)
            found[name if known else str(word).strip()] = kind if known else None
    for name, kind in found.items():
        if not name:
            raise ConfigurationError(
                f"columns = {columns!r}: a name is empty; give names, as in title,year:float"
            )
        if kind is not None and kind not in KINDS:
            raise unknown_name(f"columns: type of {name!r}", str(kind), KINDS)
    return found

"""What a conversion is asked for, checked before anything is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from burnish.checks import finite_number, whole_number
from burnish.errors import ConfigurationError, nearest, unknown_name
from burnish.files.data_names import split_names

from .times import check_time_options

DUPLICATES = ("last", "first", "keep", "mean", "max", "sum", "error")
MISSING = ("error", "drop", "keep")
KINDS = ("token", "token_seq", "float", "float_seq")
#: In the place of a column's name: there is none.
NONE = "none"
#: Arguments that name columns, and others that are texts.
NAMES = ("user", "item", "rating", "time", "item_id", "user_id", "title")
_TEXTS = ("list_separator", "time_unit", "time_format", "separator", "encoding")


@dataclass(frozen=True)
class Options:
    """How tables are read and which rows stay; the fields are the arguments of `from_frame`."""

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None
    item_id: str | None = None
    user_id: str | None = None
    title: str | None = None
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
    #: Types of `columns` by name, None where they are to be found out; "*" for all others.  None: all of them.
    wanted: dict[str, str | None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        for name in (*NAMES, *_TEXTS):
            value = getattr(self, name)
            if name in NAMES and value is not None:  # frames may call columns 0, 1, ...
                object.__setattr__(self, name, str(value))
            elif value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{name} = {value!r}: give a text")
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
        object.__setattr__(self, "wanted", _wanted(self.columns))

    @property
    def least(self) -> tuple[int, int]:
        """The least interactions of a user and of an item."""
        if self.k_core is not None:
            return self.k_core, self.k_core
        return self.min_user or 1, self.min_item or 1

    def carries(self, name: str) -> bool:
        """Whether a column beyond ids, rating and time goes along."""
        return self.wanted is None or "*" in self.wanted or self.names(name) or name == self.title

    def names(self, name: str) -> bool:
        """Whether `columns` has this very name."""
        return self.wanted is not None and name in self.wanted

    def kind(self, name: str) -> str | None:
        """The type that a column is to have; None to find it out."""
        return None if self.wanted is None else self.wanted.get(name)

    def check_wanted(self, known: Collection[str], taken: Mapping[str, str]) -> None:
        """Raise for names of `columns` that no table has, and for types of columns that have theirs already.

        known: the columns of all tables.  taken: what is made of some, as "ratings", by name.
        """
        if self.wanted is None:
            return
        for name, kind in list(self.wanted.items()):
            whole = f"{name}:{kind}"
            if name not in known and kind is not None and whole in known:  # a name that ends like a type
                del self.wanted[name]
                self.wanted[whole] = None
                continue
            if name == NONE and name not in known and len(self.wanted) == 1:
                self.wanted.clear()
                continue
            if name != "*" and name not in known:
                cure = "A name with commas stands in double quotes." if isinstance(self.columns, str) else ""
                raise unknown_name("columns: column", name, known, cure=cure)
            if kind is not None and name in taken:
                raise ConfigurationError(
                    f"columns: {name!r} is taken as {taken[name]} already, and its type is fixed; leave {kind!r} out"
                )


def _wanted(columns: str | Sequence[str] | Mapping[str, str | None] | None) -> dict[str, str | None] | None:
    """`title,genres:token_seq`, a list of such words, or a mapping, as names with types."""
    if columns is None:
        return None
    if isinstance(columns, Mapping):
        found: dict[str, Any] = {str(name): kind for name, kind in columns.items()}
    else:
        words = split_names(columns) if isinstance(columns, str) else list(columns)
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

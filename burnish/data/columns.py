"""Which column is which: named, or guessed by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from burnish.errors import ConfigurationError, unknown_name

from .options import NONE, Options
from .table import Table
from .values import is_numeric

#: Usual names in lower case without signs, the most telling first.
_USUAL = {
    "user": (
        *(
            "userid",
            "user",
            "uid",
            "useridx",
            "customerid",
            "customer",
            "customerno",
            "reviewerid",
            "reviewer",
        ),
        *(
            "memberid",
            "member",
            "visitorid",
            "visitor",
            "accountid",
            "account",
            "clientid",
            "client",
            "buyer",
        ),
        *(
            "profileid",
            "playerid",
            "player",
            "readerid",
            "reader",
            "listener",
            "subscriber",
            "username",
            "person",
        ),
    ),
    "item": (
        *(
            "itemid",
            "item",
            "iid",
            "itemidx",
            "productid",
            "product",
            "sku",
            "asin",
            "movieid",
            "movie",
            "filmid",
        ),
        *(
            "film",
            "bookid",
            "book",
            "isbn",
            "trackid",
            "track",
            "songid",
            "song",
            "artistid",
            "artist",
            "articleid",
        ),
        *(
            "article",
            "newsid",
            "businessid",
            "gameid",
            "game",
            "recipeid",
            "courseid",
            "gmapid",
            "parentasin",
        ),
        *("stockcode", "poi", "venueid", "venue"),
    ),
    "rating": (
        "rating",
        "ratings",
        "stars",
        "star",
        "score",
        "overall",
        "grade",
        "plays",
        "playcount",
        "weight",
    ),
    "time": (
        *("timestamp", "time", "datetime", "date", "when", "ts", "createdat", "eventtime", "unixreviewtime"),
        *("ratedat", "created", "reviewtime", "invoicedate", "orderdate", "purchasedate", "utc"),
    ),
    "head": ("head", "headid", "h", "subject", "source", "from", "entity1"),
    "relation": ("relation", "relationid", "r", "predicate", "rel", "property", "type", "edge"),
    "tail": ("tail", "tailid", "t", "object", "target", "to", "entity2"),
    "entity": ("entity", "entityid", "node", "nodeid", "uri", "wikidata", "freebaseid"),
}


@dataclass(frozen=True)
class Roles:
    """The columns of the interactions; rating and time are None where there are none.  notes: what was guessed."""

    user: str
    item: str
    rating: str | None
    time: str | None
    notes: tuple[str, ...] = ()


def find_roles(table: Table, options: Options) -> Roles:
    """The columns of users, items, ratings and times.

    Raises `UnknownNameError` for a column that is not there, with the nearest; `ConfigurationError` where none can be
    guessed, or one is named twice.
    """
    taken: dict[str, str] = {}
    for role in ("user", "item", "rating", "time"):
        asked = getattr(options, role)
        if asked is None or (asked == NONE and asked not in table.columns and role in ("rating", "time")):
            continue
        named(table, asked, f"--{role}")
        if asked in taken.values():
            other = next(one for one, name in taken.items() if name == asked)
            raise ConfigurationError(f"{other} and {role} are both {asked!r}; name two columns")
        taken[role] = asked
    notes = []
    for role in ("user", "item", "rating", "time"):
        if role in taken or getattr(options, role) is not None:
            continue
        guess = guessed(table, role, set(taken.values()))
        if guess is None and role in ("user", "item"):
            raise ConfigurationError(
                f"{table.source}: no column looks like the {role}s; it has {', '.join(map(repr, table.columns))}. Name "
                f"it with --{role} ({role}=)"
            )
        if guess is not None and role == "rating" and not is_numeric(table.columns[guess]):
            guess = None
        if guess is not None:
            taken[role] = guess
            notes.append(f"{role}: column {guess!r}")
    said = (f"taken by their names in {table.source}: {', '.join(notes)}",) if notes else ()
    return Roles(taken["user"], taken["item"], taken.get("rating"), taken.get("time"), said)


def find_key(table: Table, asked: str | None, own: str, role: str) -> tuple[str, str]:
    """The column of ids in a table about items or users, and a note where it was guessed.

    own: what the interactions call it, which comes first.
    """
    option = f"--{role}-id"
    if asked is not None:
        return named(table, asked, option), ""
    guess = own if own in table.columns else guessed(table, role, set()) or _plain_id(table)
    if guess is None:
        raise ConfigurationError(
            f"{table.source}: no column looks like the {role}s' ids; it has {', '.join(map(repr, table.columns))}. "
            f"Name it with {option} ({role}_id=)"
        )
    note = "" if guess == own else f"taken by its name in {table.source}: {role} id: column {guess!r}"
    return guess, note


def _plain_id(table: Table) -> str | None:
    return next((name for name in table.columns if name.lower() in ("id", "key", "code")), None)


def named(table: Table, asked: str, option: str) -> str:
    """The column, where it is there; else `UnknownNameError` with the nearest."""
    if asked not in table.columns:
        raise unknown_name(f"{table.source}: column of {option} ({_argument(option)})", asked, table.columns)
    return asked


def _argument(option: str) -> str:
    return option.lstrip("-").replace("-", "_") + "="


def guessed(table: Table, role: str, taken: set[str]) -> str | None:
    """The column whose name says that it is this, None for none; of several the most telling."""
    by_name: dict[str, str] = {}
    for name in table.columns:
        if name not in taken:
            by_name.setdefault(re.sub(r"[\W_]+", "", name.lower()), name)
    return next((by_name[usual] for usual in _USUAL[role] if usual in by_name), None)

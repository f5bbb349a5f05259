"""Which column is which: named, or guessed by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from burnish.checks import short
from burnish.errors import ConfigurationError, option, unknown_name
from burnish.files.data_names import usual_title

from .options import NONE, Options
from .table import Table, as_text, is_text, is_time
from .values import has_numbers

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
    """The columns of the interactions; rating and time are None where there are none.

    notes: what was guessed, and what was not.  refused: columns that look like ratings or times, which the options say
    are none.
    """

    user: str
    item: str
    rating: str | None
    time: str | None
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def by_column(self) -> dict[str, str]:
        """What is made of a column, by its name."""
        made = {
            "ids of users": self.user,
            "ids of items": self.item,
            "ratings": self.rating,
            "times": self.time,
        }
        return {column: what for what, column in made.items() if column is not None}


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
        named(table, asked, role)
        if asked in taken.values():
            other = next(one for one, name in taken.items() if name == asked)
            raise ConfigurationError(f"{other} and {role} are both {asked!r}; name two columns")
        taken[role] = asked
    notes, lacking, refused = [], [], []
    for role in ("user", "item", "rating", "time"):
        if role in taken:
            continue
        guess = guessed(table, role, set(taken.values()))
        if getattr(options, role) is not None:  # none
            refused += [] if guess is None or options.names(guess) else [guess]
            continue
        if guess is None and role in ("user", "item"):
            raise ConfigurationError(
                f"{table.source}: no column looks like the {role}s; it has {', '.join(map(repr, table.columns))}. Name "
                f"it with {option(role)}"
            )
        why = None if guess is None or role in ("user", "item") else _unlike(table.columns[guess], role)
        if guess is not None and why is None:
            taken[role] = guess
            notes.append(f"{role}: column {guess!r}")
        elif guess is not None or len(table.columns) > len(taken):
            found = "no column is called like them" if guess is None else f"column {guess!r} {why}"
            lacking.append(f"no {role}s were taken from {table.source}: {found}; {option(role)} names one")
    said = (f"taken by their names in {table.source}: {', '.join(notes)}",) if notes else ()
    gone = tuple(
        f"column {name!r} of {table.source} is left out, as there are to be no ratings or times; "
        f"{option('columns')} names what goes along"
        for name in refused
    )
    return Roles(
        taken["user"],
        taken["item"],
        taken.get("rating"),
        taken.get("time"),
        (*said, *lacking, *gone),
        tuple(refused),
    )


def _unlike(values: pa.ChunkedArray, role: str) -> str | None:
    """Why a column that is called like ratings or times can be none at all; None for one whose cells are to be read.

    With a single number among the cells it is one: what the others are is an error then, and no reason to do without.
    """
    filled = as_text(values).drop_null() if is_text(values.type) else values.drop_null()
    if is_text(values.type):
        filled = filled.filter(pc.not_equal(pc.utf8_trim_whitespace(filled), pa.scalar("", filled.type)))
    if not len(filled):
        return "is empty"
    if role == "time":
        return None
    if is_time(values.type):
        return "holds times"
    if not is_text(values.type) or has_numbers(filled):
        return None
    return f"holds no numbers, such as {short(filled[0].as_py())}"


def find_title(table: Table, key: str, options: Options) -> tuple[str | None, str]:
    """The column that names items for people, None for none, and a note where it was guessed.

    By a usual name, else the first of texts of few words that hardly repeat.
    Raises `UnknownNameError` for one that is asked for and not there.
    """
    asked = options.title
    if asked == NONE and asked not in table.columns:
        return None, ""
    if asked is not None:
        return named(table, asked, "title"), ""
    others = [name for name in table.columns if name != key and options.carries(name)]
    guess, why = usual_title(others), "by its name"
    if guess is None:
        guess = next((name for name in others if _names_things(table.columns[name])), None)
        why = "as its texts hardly repeat"
    if guess is None:
        return None, ""
    return (
        guess,
        f"titles of items: column {guess!r} of {table.source}, {why}; {option('title')} names another",
    )


#: Texts of more words than this, on average, describe.
_LONGEST_TITLE = 12


def _names_things(values: pa.ChunkedArray) -> bool:
    if not is_text(values.type):
        return False
    texts = as_text(values).drop_null()
    words = pc.sum(pc.match_substring_regex(texts, r"\S\s+\S")).as_py() or 0
    if 2 * words <= len(texts) or pc.count_distinct(texts).as_py() < 0.9 * len(texts):
        return False
    counts = pc.count_substring_regex(texts, r"\S+")
    return (pc.mean(counts).as_py() or 0) <= _LONGEST_TITLE


def find_key(table: Table, asked: str | None, own: str, role: str) -> tuple[str, str]:
    """The column of ids in a table about items or users, and a note where it was guessed.

    own: what the interactions call it, which comes first.
    """
    if asked is not None:
        return named(table, asked, f"{role}_id"), ""
    guess = own if own in table.columns else guessed(table, role, set()) or _plain_id(table)
    if guess is None:
        raise ConfigurationError(
            f"{table.source}: no column looks like the {role}s' ids; it has {', '.join(map(repr, table.columns))}. "
            f"Name it with {option(f'{role}_id')}"
        )
    note = "" if guess == own else f"taken by its name in {table.source}: {role} id: column {guess!r}"
    return guess, note


def _plain_id(table: Table) -> str | None:
    return next((name for name in table.columns if name.lower() in ("id", "key", "code")), None)


def named(table: Table, asked: str, argument: str) -> str:
    """The column, where it is there; else `UnknownNameError` with the nearest."""
    if asked not in table.columns:
        raise unknown_name(f"{table.source}: column of {option(argument)}", asked, table.columns)
    return asked


def guessed(table: Table, role: str, taken: set[str]) -> str | None:
    """The column whose name says that it is this, None for none; of several the most telling."""
    by_name: dict[str, str] = {}
    for name in table.columns:
        if name not in taken:
            by_name.setdefault(re.sub(r"[\W_]+", "", name.lower()), name)
    return next((by_name[usual] for usual in _USUAL[role] if usual in by_name), None)

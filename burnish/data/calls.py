"""`burnish.data.from_frame` and `from_file`: tables of one's own as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from burnish.checks import short
from burnish.errors import ConfigurationError

from .card import DataCard
from .convert import convert
from .options import Options

if TYPE_CHECKING:
    import pandas as pd

#: A table beside the interactions: a frame, or a file.
Beside = Union["pd.DataFrame", Path, str, None]


def from_frame(
    frame: pd.DataFrame,
    *,
    out: Path | str | None = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    items: Beside = None,
    users: Beside = None,
    item_id: str | None = None,
    user_id: str | None = None,
    title: str | None = None,
    kg: Beside = None,
    links: Beside = None,
    columns: str | Sequence[str] | Mapping[str, str | None] | None = None,
    list_separator: str = "|",
    time_unit: str | None = None,
    time_format: str | None = None,
    duplicates: str = "last",
    missing: str = "error",
    min_rating: float | None = None,
    k_core: int | None = None,
    min_user: int | None = None,
    min_item: int | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> DataCard:
    """Make a data set of tables in memory, one row an interaction.

    The folder holds RecBole's atomic files with its usual names (user_id, item_id, rating, timestamp), so that every
    model runs on it without options, and a card that remembers the tables' own names.

    Parameters
    ----------
    frame : DataFrame
        The interactions.
    out : Path or str, optional
        The folder to make; its name is the data set's.  Only a dry run needs none.
    user, item : str, optional
        The columns of ids, as the frame calls them (0 and 1, too); by default guessed by their names.  Ids are kept as
        text exactly.
    rating, time : str, optional
        The columns of ratings (numbers) and times (ISO 8601, dates, numbers since 1970); by default guessed, "none" for
        none.
    items, users : DataFrame, Path or str, optional
        What is known of items and of users, a row each.
    item_id, user_id : str, optional
        Their columns of ids; by default called as in `frame`, else guessed.
    title : str, optional
        The column of `items` that names an item for people; by default guessed, "none" for none.
    kg : DataFrame, Path or str, optional
        A knowledge graph: columns head, relation and tail.
    links : DataFrame, Path or str, optional
        Which item is which entity of the graph; by default items are entities of their own name.
    columns : str, sequence of str or mapping, optional
        The other columns that go along, as in "title,genres:token_seq", "*" for all others, "none" for none; by default
        all, with types that are found out (token, token_seq, float, float_seq).  In a text a name with commas stands in
        double quotes.
    list_separator : str, default "|"
        Between the parts of a text that is a list.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Of times as numbers; by default their size says it.
    time_format : str, optional
        Of times as text, such as "%d/%m/%Y"; by default ISO 8601.
    duplicates : {"last", "first", "mean", "max", "sum", "keep", "error"}
        What several rows of one user and item become.
    missing : {"error", "drop", "keep"}
        What a row without user, item, rating or time gives; "keep" is an error, too, but takes words such as NA for
        ids.
    min_rating : float, optional
        Lower ratings are left out, after duplicates.
    k_core : int, optional
        Users and items with fewer interactions are left out, until all have enough.
    min_user, min_item : int, optional
        The same with two numbers.
    dry_run : bool, default False
        Write nothing.
    force : bool, default False
        Replace a data set that was converted before.

    Returns
    -------
    DataCard
        What was read, left out and written; `card.lines()` says it for people.

    Raises
    ------
    DataError
        For a cell or file that cannot be used: place, value and cure.
    UnknownNameError
        For a column that is not there, with the nearest.
    ConfigurationError
        For options that do not go together, and an `out` that cannot be made.

    Examples
    --------
    >>> import pandas as pd
    >>> sales = pd.DataFrame({"customer": ["007", "8"], "sku": ["a b", "c"], "stars": [5, 4]})
    >>> card = burnish.data.from_frame(sales, rating="stars", out="dataset/shop", dry_run=True)
    >>> card.size.ratings, card.names
    (2, {'user': 'customer', 'item': 'sku', 'rating': 'stars'})
    """
    own = {**locals()}
    return _made(own, own.pop("frame"))


def from_file(
    file: Path | str,
    *,
    out: Path | str | None = None,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    items: Beside = None,
    users: Beside = None,
    item_id: str | None = None,
    user_id: str | None = None,
    title: str | None = None,
    kg: Beside = None,
    links: Beside = None,
    columns: str | Sequence[str] | Mapping[str, str | None] | None = None,
    list_separator: str = "|",
    time_unit: str | None = None,
    time_format: str | None = None,
    duplicates: str = "last",
    missing: str = "error",
    min_rating: float | None = None,
    k_core: int | None = None,
    min_user: int | None = None,
    min_item: int | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    dry_run: bool = False,
    force: bool = False,
) -> DataCard:
    """Make a data set of tables in files, one row an interaction, as `burnish data csv` does.

    Parameters
    ----------
    file : Path or str
        The interactions: CSV, TSV, parquet or JSON lines, by the ending; the text ones plain or gzip.
    out, user, item, rating, time, items, users, item_id, user_id, title, kg, links : optional
        As for `from_frame`.
    columns, list_separator, time_unit, time_format : optional
        As for `from_frame`.
    duplicates, missing, min_rating, k_core, min_user, min_item : optional
        As for `from_frame`.
    separator : str, optional
        Between the fields of CSV and TSV; by default commas and tabs, or what the first line says.
    encoding : str, optional
        Of CSV and TSV; by default UTF-8, or what a mark at the beginning says.
    dry_run, force : bool, default False
        As for `from_frame`.

    Returns
    -------
    DataCard
        What was read, left out and written.

    Raises
    ------
    BurnishError
        As of `from_frame`.

    Examples
    --------
    >>> card = burnish.data.from_file("ratings.csv", out="dataset/bookshop")  # doctest: +SKIP
    """
    own = {**locals()}
    file = own.pop("file")
    if hasattr(file, "columns"):
        raise ConfigurationError(f"file is a {type(file).__name__}; from_frame takes it, or give a path")
    return _made(own, _path("file", file))


def _made(arguments: dict[str, Any], interactions: Any) -> DataCard:
    tables = {role: arguments.pop(role) for role in ("items", "users", "kg", "links")}
    out, dry_run, force = (arguments.pop(name) for name in ("out", "dry_run", "force"))
    given = {"interactions": interactions, **tables}
    options = Options(**arguments)
    return convert(given, None if out is None else _path("out", out), options, dry_run=dry_run, force=force)


def _path(argument: str, given: Any) -> Path:
    if not isinstance(given, str | PathLike) or not str(given):
        raise ConfigurationError(f"{argument} = {short(given)}: give a path")
    return Path(given)

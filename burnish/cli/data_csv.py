"""`burnish data csv`: tables of one's own become a data set."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import Screen
from .shared import Silent

if TYPE_CHECKING:
    from burnish.data.card import DataCard

EPILOG = (
    "Examples:\n\n"
    "burnish data csv ratings.csv --out dataset/bookshop\n\n"
    "burnish data csv ratings.csv --user customer --item sku --rating stars --time when --items books.csv "
    "--k-core 5 --out dataset/bookshop\n\n"
    "burnish data csv plays.parquet --duplicates sum --columns '*,year:float' --dry-run\n\n"
    "Reads .csv, .tsv, .parquet and .jsonl, plain or .gz. Columns that are not named are guessed by their names, and "
    "said. Docs: docs/own-data.md."
)


@dataclass(frozen=True, kw_only=True)
class CsvOptions:
    """The options of the verb; but `out` and `quiet` the arguments of `burnish.data.from_file`."""

    out: Annotated[
        Path | None,
        typer.Option("--out", "--output", "-o", help="The folder to make, which also names the data set."),
    ] = None
    user: Annotated[str | None, typer.Option("--user", help="Column of users.")] = None
    item: Annotated[str | None, typer.Option("--item", help="Column of items.")] = None
    rating: Annotated[str | None, typer.Option("--rating", help="Column of ratings; none for none.")] = None
    time: Annotated[
        str | None,
        typer.Option("--time", help="Column of times (ISO 8601, dates, since 1970); none for none."),
    ] = None
    items: Annotated[Path | None, typer.Option("--items", help="A table about items, a row each.")] = None
    item_id: Annotated[
        str | None, typer.Option("--item-id", help="Its column of ids, where it is called otherwise.")
    ] = None
    users: Annotated[Path | None, typer.Option("--users", help="A table about users, a row each.")] = None
    user_id: Annotated[
        str | None, typer.Option("--user-id", help="Its column of ids, where it is called otherwise.")
    ] = None
    title: Annotated[
        str | None,
        typer.Option("--title", help="Column of --items that names an item for people; none for none."),
    ] = None
    kg: Annotated[Path | None, typer.Option("--kg", help="Triples of a graph: head, relation, tail.")] = None
    links: Annotated[
        Path | None, typer.Option("--links", help="Which item is which entity of the graph.")
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            help="Other columns that go along, with a type: title,genres:token_seq; * for the rest; none.",
        ),
    ] = None
    list_separator: Annotated[
        str, typer.Option("--list-separator", help="Between the parts of a text that is a list.")
    ] = "|"
    time_unit: Annotated[
        str | None, typer.Option("--time-unit", help="Of times as numbers: s, ms, us or ns.")
    ] = None
    time_format: Annotated[
        str | None, typer.Option("--time-format", help="Of times as text, such as %d/%m/%Y.")
    ] = None
    duplicates: Annotated[
        str,
        typer.Option(
            "--duplicates",
            help="Of several rows of one user and item: last, first, mean, max, sum, keep or error.",
        ),
    ] = "last"
    missing: Annotated[
        str,
        typer.Option(
            "--missing", help="Rows without user, item, rating or time: error, drop, or keep (NA is a name)."
        ),
    ] = "error"
    min_rating: Annotated[float | None, typer.Option("--min-rating", help="Lower ratings are left out.")] = (
        None
    )
    k_core: Annotated[
        int | None, typer.Option("--k-core", min=1, help="The least interactions of users and of items.")
    ] = None
    min_user: Annotated[
        int | None, typer.Option("--min-user", min=1, help="The least interactions of a user.")
    ] = None
    min_item: Annotated[
        int | None, typer.Option("--min-item", min=1, help="The least interactions of an item.")
    ] = None
    separator: Annotated[
        str | None, typer.Option("--separator", help="Between the fields of CSV and TSV, where unusual.")
    ] = None
    encoding: Annotated[str | None, typer.Option("--encoding", help="Of CSV and TSV, such as latin-1.")] = (
        None
    )
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Replace a data set that was converted before.")] = (
        False
    )
    quiet: Silent = False


def csv(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="The interactions, one a row: .csv, .tsv, .parquet or .jsonl.")
    ],
    options: CsvOptions,
) -> None:
    """A table of your own, one row an interaction, with tables about items and users, and a graph, beside it."""
    from burnish.data.calls import from_file

    screen = Screen.of(context, options.quiet)
    arguments: dict[str, Any] = {
        one.name: getattr(options, one.name) for one in fields(options) if one.name != "quiet"
    }
    try:
        card = from_file(file, **arguments)
    except KeyboardInterrupt:
        screen.say("nothing was written")
        raise
    if not screen.quiet:
        screen.results.print(column_table(card))
    for line in card.lines():
        screen.say(line)
    if not card.written:
        screen.say("dry run: nothing was written")
        return
    assert options.out is not None
    screen.say(f"written: {options.out} ({', '.join(card.files)})")
    screen.say(f"next: burnish run --model BPR --dataset {options.out.name}{where(options.out)}")


def where(out: Path) -> str:
    """The option that says where the data are, where RecBole would not look there: in `dataset`."""
    parent = out.absolute().parent
    return "" if parent == Path("dataset").absolute() else f" --data-path {shlex.quote(str(parent))}"


def column_table(card: DataCard) -> Any:
    """One row a column: where it came from, and what it is."""
    from rich.table import Table

    table = Table("file", "column", "from", "type", title=f"data set {card.name}", title_justify="left")
    for name in ("values", "empty"):
        table.add_column(name, justify="right")
    table.add_column("an example")
    for column in card.columns:
        example = column.example if len(column.example) <= 40 else f"{column.example[:37]}..."
        distinct = "" if column.distinct is None else f"{column.distinct:,}"
        empty = f"{column.empty:,}" if column.empty else ""
        table.add_row(column.file, column.name, column.source, column.kind, distinct, empty, example)
    return table

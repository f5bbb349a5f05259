"""`burnish recommend`: the best items for users, from a trained run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import guarded
from .screen import Screen

if TYPE_CHECKING:
    import pandas as pd

    from burnish.trained.recommend import Recommender

EPILOG = (
    "Examples:\n\n"
    "burnish run --model LightGCN --dataset ml-100k --output out, then: burnish recommend out --users 196,186\n\n"
    "burnish recommend out --output top.csv --k 20\n\n"
    "burnish recommend out --users-file users.txt --missing row --output top.parquet\n\n"
    "Known items (training, validation and test data) are left out, and so are items that no training interaction "
    "has; --include-known and --include-unseen keep them."
)
FORMATS = ("table", "csv", "json", "parquet")


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("recommend", epilog=EPILOG)(guarded(recommend))


def recommend(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Folder of a run (burnish run --output), or a checkpoint with --trust.")
    ],
    users: Annotated[
        str | None,
        typer.Option("--users", "-u", help="Original ids, separated by commas; all users otherwise."),
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option("--users-file", help="A file with one id a line.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many items a user.")] = 10,
    state: Annotated[
        str,
        typer.Option(
            "--state", help="latest: after everything known; test: as the test evaluation sees a user."
        ),
    ] = "latest",
    include_known: Annotated[
        bool, typer.Option("--include-known", help="Also items that the user has interacted with.")
    ] = False,
    include_unseen: Annotated[
        bool,
        typer.Option(
            "--include-unseen", help="Also items without a training interaction, marked in a column."
        ),
    ] = False,
    missing: Annotated[
        str | None,
        typer.Option("--missing", help="A user without a prediction: error (when users are named) or row."),
    ] = None,
    title_field: Annotated[
        str | None, typer.Option("--title-field", help="Column of the .item file to show as the title.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "--out", "-o", help="Write to this file: .csv, .json (one object a line) or .parquet."
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="table, csv, json or parquet (by the suffix of --output)."),
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data-path", "--data_path", help="Where the data set's folder is now.")
    ] = None,
    batch_users: Annotated[int | None, typer.Option("--batch-users", help="Users scored at a time.")] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Unpickle a checkpoint, or import a run's class: can execute code."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")] = False,
) -> None:
    """The best items for all or some users, with the ids of the original data, scores and titles."""
    from burnish.trained.open import open_trained
    from burnish.trained.recommend import Recommender

    screen = Screen.of(context, quiet)
    kind = choose_format(format, output)
    chosen = read_users(users, users_file)
    screen.say("reading the run and its data ...")
    made = Recommender(
        open_trained(run, data_path=data_path, trust=trust),
        k=k,
        state=state,
        include_known=include_known,
        include_unseen=include_unseen,
        missing=missing,
        title_field=title_field,
        batch_users=batch_users,
    )
    if made.unseen_items and not include_unseen:
        screen.say(
            f"{made.unseen_items} items without a training interaction are left out (--include-unseen)"
        )
    total = len(chosen) if chosen is not None else len(made.all_users())
    with_progress(screen, made, chosen, total, lambda: destination(screen, output, kind))


def choose_format(format: str | None, output: Path | None) -> str:
    """The format asked for, else the one that the output's suffix names, else a table on the screen."""
    from burnish.errors import unknown_name
    from burnish.files.tables import format_of

    if output is None:
        if format not in (None, "table", "csv", "json"):
            if format == "parquet":
                raise typer.BadParameter("parquet needs a file: give --output", param_hint="--format")
            raise unknown_name("format", str(format), FORMATS)
        return format or "table"
    return format_of(output, format, FORMATS[1:])


def read_users(users: str | None, file: Path | None) -> list[str] | None:
    """The users asked for, None for all.  Raises `ConfigurationError` for both, a missing file, or none named."""
    from burnish.errors import ConfigurationError

    if users is not None and file is not None:
        raise ConfigurationError("--users and --users-file both name users; give one of them")
    if users is None and file is None:
        return None
    if file is not None:
        try:
            words = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"--users-file {file} cannot be read: {error}") from error
    else:
        words = str(users).split(",")
    found = [word.strip() for word in words if word.strip()]
    if not found:
        raise ConfigurationError(
            "no user is named; give ids such as --users 196,186, or leave the option out for all"
        )
    return list(dict.fromkeys(found))


class OnScreen:
    """A table, CSV or JSON lines on standard output."""

    def __init__(self, screen: Screen, kind: str) -> None:
        self.screen = screen
        self.kind = kind
        self.rows = 0

    def __enter__(self) -> OnScreen:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def write(self, frame: pd.DataFrame) -> None:
        """Print the rows of one batch."""
        from burnish.files.tables import write_text

        if self.kind == "table":
            self.screen.results.print(as_table(frame))
        else:
            write_text(frame, self.kind, sys.stdout, header=self.rows == 0)
        self.rows += len(frame)


def destination(screen: Screen, output: Path | None, kind: str) -> Any:
    """Where the rows go."""
    from burnish.files.tables import TableFile

    return OnScreen(screen, kind) if output is None else TableFile(output, kind)


def as_table(frame: pd.DataFrame) -> Any:
    """A table for people: the user once, scores with four decimals, a reason where there is no item."""
    import pandas as pd
    from rich.table import Table

    shown = [name for name in frame.columns if name != "status"]
    table = Table(*[name.replace("_", " ") for name in shown])
    for name in ("rank", "score"):
        table.columns[shown.index(name)].justify = "right"
    before = None
    for row in frame.to_dict("records"):
        cells = {name: "" if pd.isna(row[name]) else str(row[name]) for name in shown}
        if row["status"] != "ok":
            cells["item"] = f"({row['status']})"
        else:
            cells["score"] = f"{row['score']:.4f}"
        cells["user"] = "" if row["user"] == before else cells["user"]
        before = row["user"]
        table.add_row(*cells.values())
    return table


def with_progress(
    screen: Screen, made: Recommender, users: list[str] | None, total: int, open_file: Callable[[], Any]
) -> None:
    """Score batch after batch into what `open_file` gives, with a bar where somebody watches a file being written."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    chunks = made.chunks(users)
    first = next(chunks, None)  # unknown users are refused before any file is begun
    file = open_file()
    columns = (TextColumn("users"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    hidden = screen.quiet or not screen.notes.is_terminal or isinstance(file, OnScreen)
    with file, Progress(*columns, console=screen.notes, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=total)
        while first is not None:
            file.write(first)
            progress.advance(task, first["user"].nunique())
            first = next(chunks, None)
    if not isinstance(file, OnScreen):
        screen.say(f"written: {file.path} ({file.rows} rows, {total} users)")

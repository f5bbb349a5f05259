"""`burnish recommend`: the best items for users, from a trained run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .compound import Ids
from .screen import Screen
from .shared import (
    DataPath,
    Quiet,
    Run,
    RunModel,
    State,
    TitleField,
    Trust,
    choose_format,
    format_option,
    output_option,
    share_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from burnish.trained.recommend import Recommender

EPILOG = (
    "Examples:\n\n"
    "burnish run --model LightGCN --dataset ml-100k --output out, then: burnish recommend out --users 196,186\n\n"
    "burnish recommend out --output top.csv --k 20\n\n"
    "burnish recommend out --users-file users.txt --missing row --output top.parquet\n\n"
    "burnish recommend out --output top.parquet --shard 2/4 (into top-00002-of-00004.parquet)\n\n"
    "Known items (training, validation and test data) are left out, and so are items that no training interaction "
    "has; --include-known and --include-unseen keep them."
)
SHOWN, WRITTEN = ("table", "csv", "json"), ("csv", "json", "parquet")


def recommend(
    context: typer.Context,
    run: Run,
    users: Annotated[
        list[str] | None, Ids("user", "-u", "Original ids, separated by commas; all users otherwise.")
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option("--users-file", help="A file with one id a line.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many items a user.")] = 10,
    state: State = "latest",
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
    title_field: TitleField = None,
    output: Annotated[
        Path | None, output_option("Write to this file: .csv, .json (one object a line) or .parquet.")
    ] = None,
    format: Annotated[
        str | None, format_option("table, csv, json or parquet (by the suffix of --output).")
    ] = None,
    data_path: DataPath = None,
    batch_users: Annotated[int | None, typer.Option("--batch-users", help="Users scored at a time.")] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", help="I/N: part I of N of the users, into a file that names the part."),
    ] = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """The best items for all or some users, with the ids of the original data, scores and titles."""
    from burnish.telling import counted
    from burnish.trained.finished_shards import check_writable
    from burnish.trained.open import open_trained
    from burnish.trained.recommend import Recommender

    screen = Screen.of(context, quiet)
    kind = choose_format(format, output, shown=SHOWN, written=WRITTEN)
    user_ids = read_users(users, users_file)
    share = None if shard is None else share_of(shard)
    if output is not None:
        check_writable(output)
    screen.say("reading the run and its data ...")
    recommender = Recommender(
        open_trained(run, model=model, data_path=data_path, trust=trust),
        k=k,
        state=state,
        include_known=include_known,
        include_unseen=include_unseen,
        missing=missing,
        title_field=title_field,
        batch_users=batch_users,
    )
    if recommender.unseen_items and not include_unseen:
        screen.say(
            f"{counted(recommender.unseen_items, 'item')} without a training interaction left out (--include-unseen)"
        )
    if share is not None and output is not None:
        from burnish.files.tables import part_of

        output = part_of(output, share)
    write(screen, recommender, user_ids, output, kind, share)


def read_users(users: list[str] | None, file: Path | None) -> list[str] | None:
    """The users asked for, None for all.  Raises `ConfigurationError` for both, a missing file, or none named."""
    from burnish.errors import ConfigurationError
    from burnish.files.near import did_you_mean

    if users is not None and file is not None:
        raise ConfigurationError("--users and --users-file both name users; give one of them")
    if file is None:
        return users
    try:
        words = [word.rstrip("\r") for word in file.read_text(encoding="utf-8-sig").split("\n")]
    except FileNotFoundError:
        raise ConfigurationError(f"--users-file {file}: there is no such file.{did_you_mean(file)}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"--users-file {file} is no text in UTF-8: {error}") from error
    except OSError as error:
        raise ConfigurationError(f"--users-file {file} cannot be read: {error.strerror}") from error
    ids = [word for word in words if word.strip()]  # with blanks around, as some ids have
    if not ids:
        raise ConfigurationError(
            f"--users-file {file} names no user; write one id a line, or leave the option out for all"
        )
    return list(dict.fromkeys(ids))


class OnScreen:
    """A table, CSV or JSON lines on standard output.  heads: what columns are called there."""

    def __init__(self, screen: Screen, kind: str, heads: Mapping[str, str]) -> None:
        self.screen = screen
        self.kind = kind
        self.heads = dict(heads)
        self.rows = 0

    def __enter__(self) -> OnScreen:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def write(self, frame: pd.DataFrame) -> None:
        """Print the rows of one batch."""
        from burnish.files.tables import write_text

        if self.kind == "table":
            self.screen.results.print(as_table(frame, self.heads))
        else:
            named = frame.rename(columns=self.heads)
            write_text(named, self.kind, sys.stdout, header=self.rows == 0)
        self.rows += len(frame)


def as_table(frame: pd.DataFrame, heads: Mapping[str, str] = MappingProxyType({})) -> Any:
    """A table for people: the user once, scores with four decimals, a reason where there is no item."""
    import pandas as pd
    from rich.table import Table

    shown = [name for name in frame.columns if name != "status"]
    table = Table(*[heads.get(name, name.replace("_", " ")) for name in shown])
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


def write(
    screen: Screen,
    recommender: Recommender,
    users: list[str] | None,
    output: Path | None,
    kind: str,
    share: tuple[int, int] | None = None,
) -> None:
    """Score batch after batch, with a bar where somebody watches a file being written.

    A part without users, of which there are fewer batches than parts, is a file with heads alone.
    """
    from burnish.files.data_names import data_names
    from burnish.files.tables import TableFile
    from burnish.telling import counted

    total = len(recommender.share_of(users if users is not None else recommender.all_users(), share))
    batches = recommender.chunks(users, share=share)
    batch = next(batches, None)  # unknown users are refused before any file is begun
    heads = data_names(recommender.trained.config).heads(recommender.empty().columns)
    file: Any = OnScreen(screen, kind, heads) if output is None else TableFile(output, kind)
    with file, screen.bar("users", total=total, hidden=output is None) as move:
        while batch is not None:
            file.write(batch if output is None else batch.rename(columns=heads))
            move(advance=batch["user"].nunique())
            batch = next(batches, None)
        if output is not None and not file.rows:
            file.write(recommender.empty().rename(columns=heads))
    if share is not None and not total:
        screen.say(
            f"there are no users for part {share[0] + 1} of {share[1]}: they are divided into batches of "
            f"{recommender.users_at_once}; a smaller --batch-users, the same for all parts, divides them further"
        )
    if output is not None:
        screen.say(f"written: {output} ({counted(file.rows, 'row')}, {counted(total, 'user')})")

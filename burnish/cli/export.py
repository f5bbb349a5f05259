"""`burnish export`: embeddings of a trained run as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import guarded
from .screen import Screen

EPILOG = (
    "Examples:\n\n"
    "burnish export out --side item --output items.parquet\n\n"
    "burnish export out --side user --kind raw --output users.npz\n\n"
    "An .npz file holds the arrays ids, vectors and seen_in_training, and is read by numpy.load; .parquet and .csv "
    "have the columns id, seen_in_training, d0, d1, ... Padding is left out."
)


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("export", epilog=EPILOG)(guarded(export))


def export(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Folder of a run (burnish run --output), or a checkpoint with --trust.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", help="The file: .npz, .parquet or .csv.")
    ],
    side: Annotated[str, typer.Option("--side", "-s", help="item or user.")] = "item",
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="refined (as the backbone reads them), raw, or output (graph backbones, DReX, NARRE, ...).",
        ),
    ] = "refined",
    table: Annotated[
        str | None, typer.Option("--table", help="Which table, where there are several; the first otherwise.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="npz, parquet or csv (by the suffix of --output).")
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data-path", "--data_path", help="Where the data set's folder is now.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Unpickle a checkpoint, or import a run's class: can execute code."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """The embeddings of all items or users of a trained model, with the ids of the original data."""
    from burnish.files.tables import format_of
    from burnish.trained.export import export_embeddings, save_embeddings

    screen = Screen.of(context, quiet)
    chosen = format_of(output, format, ("npz", "parquet", "csv"))
    sides: Any = side
    kinds: Any = kind
    found = export_embeddings(run, sides, kinds, table=table, data_path=data_path, trust=trust)
    save_embeddings(found, output, chosen)
    rows, width = found.vectors.shape
    screen.say(f"written: {output} ({rows} {side}s, {width} numbers each, {kind}, table {found.table})")

"""`burnish export`: embeddings of a trained run as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .screen import Screen
from .shared import (
    DataPath,
    Run,
    RunModel,
    Trust,
    choose_format,
    format_option,
    output_option,
    quiet_option,
)

EPILOG = (
    "Examples:\n\n"
    "burnish export out --side item --output items.parquet\n\n"
    "burnish export out --side user --kind raw --output users.npz\n\n"
    "An .npz file holds the arrays ids, vectors and seen_in_training, and is read by numpy.load; .parquet and .csv "
    "have the columns id, seen_in_training, d0, d1, ... Padding is left out."
)


def export(
    context: typer.Context,
    run: Run,
    output: Annotated[Path, output_option("The file: .npz, .parquet or .csv.")],
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
    format: Annotated[str | None, format_option("npz, parquet or csv (by the suffix of --output).")] = None,
    data_path: DataPath = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Annotated[bool, quiet_option("Say nothing but errors.")] = False,
) -> None:
    """The embeddings of all items or users of a trained model, with the ids of the original data."""
    from burnish.telling import counted
    from burnish.trained.export import export_embeddings, save_embeddings
    from burnish.trained.finished_shards import check_writable

    screen = Screen.of(context, quiet)
    file_format = choose_format(format, output, written=("npz", "parquet", "csv"))
    check_writable(output)
    sides: Any = side
    kinds: Any = kind
    embeddings = export_embeddings(
        run, sides, kinds, table=table, model=model, data_path=data_path, trust=trust
    )
    save_embeddings(embeddings, output, file_format)
    rows, width = embeddings.vectors.shape
    screen.say(
        f"written: {output} ({counted(rows, side)}, {counted(width, 'number')} each, {kind}, table {embeddings.table})"
    )

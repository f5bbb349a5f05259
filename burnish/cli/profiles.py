"""`burnish profiles`: the words that a trained run's attention over reviews rests on, as a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .failures import guarded
from .screen import Screen

EPILOG = (
    "Examples:\n\n"
    "burnish profiles out --side user --top 10 --out users.parquet\n\n"
    "burnish profiles out --out words.tsv\n\n"
    "Columns: side, id, rank, word, mass (the sum of attention over the reviews of the training split), share (of the "
    "whole profile) and n_reviews (those with the word). DReX and DReXMLP have such profiles (docs/explain.md)."
)


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("profiles", epilog=EPILOG)(guarded(profiles))


def profiles(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Folder of a run (burnish run --output), or a checkpoint with --trust.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", "-o", help="The file: .parquet, .tsv, .csv or .json."),
    ] = None,
    side: Annotated[str, typer.Option("--side", "-s", help="user, item or both.")] = "both",
    top: Annotated[
        int | None,
        typer.Option("--top", "-k", help="Words a profile; by default the model's keep_profile_words."),
    ] = None,
    weighting: Annotated[
        str | None,
        typer.Option("--weighting", "-w", help="attention (the model's, by default), excess or distinctive."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", "-f", help="parquet, tsv, csv or json (by the suffix of --out; tsv on the screen)."
        ),
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data-path", "--data_path", help="Where the data set's folder is now.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Unpickle a checkpoint, or import a run's class: can execute code."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")] = False,
) -> None:
    """Keyword profiles of users and items: the words of their reviews that a model's attention rests on."""
    from burnish.errors import unknown_name
    from burnish.files.tables import format_of, write_text
    from burnish.trained.keyword_profiles import FORMATS, keyword_profiles, save_profiles

    screen = Screen.of(context, quiet)
    if output is None and format not in (None, *FORMATS[1:]):
        raise unknown_name("format on the screen", str(format), FORMATS[1:])
    chosen = (format or "tsv") if output is None else format_of(output, format, FORMATS)
    screen.say("reading the run and its data ...")
    sides: Any = side
    found = keyword_profiles(run, sides, top, weighting=weighting, data_path=data_path, trust=trust)
    if output is None:
        write_text(found, chosen, sys.stdout, header=True)
        return
    save_profiles(found, output, chosen)
    people = found.groupby("side", observed=True)["id"].nunique().to_dict()
    counts = ", ".join(f"{count} {name}s" for name, count in people.items())
    screen.say(
        f"written: {output} ({len(found)} words of {counts or 'nobody: there are no training reviews'})"
    )

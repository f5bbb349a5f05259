"""`burnish profiles`: the words that a trained run's attention over reviews rests on, as a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .screen import Screen
from .shared import DataPath, Quiet, Run, RunModel, Trust, choose_format, format_option, out_option

EPILOG = (
    "Examples:\n\n"
    "burnish profiles out --side user --top 10 --out users.parquet\n\n"
    "burnish profiles out --out words.tsv\n\n"
    "Columns: side, id, rank, word, mass (the sum of attention over the reviews of the training split), share (of the "
    "whole profile) and n_reviews (those with the word). DReX and DReXMLP have such profiles (docs/explain.md)."
)


def profiles(
    context: typer.Context,
    run: Run,
    output: Annotated[Path | None, out_option("The file: .parquet, .tsv, .csv or .json.")] = None,
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
        str | None, format_option("parquet, tsv, csv or json (by the suffix of --out; tsv on the screen).")
    ] = None,
    data_path: DataPath = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Keyword profiles of users and items: the words of their reviews that a model's attention rests on."""
    from burnish.files.tables import write_text
    from burnish.telling import counted
    from burnish.trained.finished_shards import check_writable
    from burnish.trained.keyword_profiles import FORMATS, keyword_profiles, save_profiles

    screen = Screen.of(context, quiet)
    kind = choose_format(format, output, shown=FORMATS[1:], written=FORMATS)
    if output is not None:
        check_writable(output)
    screen.say("reading the run and its data ...")
    sides: Any = side
    words = keyword_profiles(
        run, sides, top, weighting=weighting, model=model, data_path=data_path, trust=trust
    )
    if output is None:
        write_text(words, kind, sys.stdout, header=True)
        return
    save_profiles(words, output, kind)
    profiled = words.groupby("side", observed=True)["id"].nunique().to_dict()
    counts = ", ".join(counted(count, str(name)) for name, count in profiled.items())
    screen.say(
        f"written: {output} ({counted(len(words), 'word')} of {counts or 'nobody: there are no training reviews'})"
    )

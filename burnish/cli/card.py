"""`burnish card`: the model card of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .screen import Screen
from .shared import Run, choose_format, format_of_suffix, format_option, output_option, quiet_option

EPILOG = (
    "Examples:\n\n"
    "burnish card out\n\n"
    "burnish card out --output card.html\n\n"
    "Neither the model nor the data are loaded: all of it stands in the run's folder."
)
FORMATS = ("markdown", "html", "json")
_BY_SUFFIX = {".md": "markdown", ".html": "html", ".json": "json", ".markdown": "markdown", ".htm": "html"}


def card(
    context: typer.Context,
    run: Run,
    output: Annotated[
        Path | None, output_option("A file, .md, .html or .json; the terminal otherwise.")
    ] = None,
    format: Annotated[
        str | None, format_option("markdown, html or json (by the suffix of --output).")
    ] = None,
    quiet: Annotated[bool, quiet_option("Say nothing but errors.")] = False,
) -> None:
    """What a run optimises, what decides its recommendations, how good it is, and where it is weak: in plain words."""
    from burnish.files.whole import write_text
    from burnish.trained.card import card as make_card
    from burnish.trained.finished_shards import check_writable

    screen = Screen.of(context, quiet)
    if output is not None and format is None:
        format = format_of_suffix(output, _BY_SUFFIX)
    kind = choose_format(format, None, shown=FORMATS)
    if output is not None:
        check_writable(output)
    made = make_card(run)
    text = {
        "markdown": made.markdown,
        "html": made.html,
        "json": lambda: json.dumps(made.as_object(), indent=1, ensure_ascii=False) + "\n",
    }[kind]()
    if output is None:
        screen.write(text.rstrip("\n"))
        return
    write_text(output, text)
    screen.say(f"written: {output}")

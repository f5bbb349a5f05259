"""`burnish models`: the backbones that enhancers can be attached to."""

from __future__ import annotations

from typing import Annotated

import typer

from .screen import Screen
from .shared import NamesOnly

EPILOG = "Example: burnish models --category sequential"


def models(
    context: typer.Context,
    category: Annotated[
        str | None,
        typer.Option(
            "--category",
            "-c",
            help="Only this category: general, sequential, context, knowledge, exlib, ratings, reviews, plug-in.",
        ),
    ] = None,
    quiet: NamesOnly = False,
) -> None:
    """List the backbones by category, with what each category needs: RecBole's models, burnish's own, plug-ins."""
    from rich.table import Table

    from burnish.enhancers.zoo import NEEDS, list_backbones
    from burnish.errors import unknown_name

    screen = Screen.of(context, quiet)
    category_of = list_backbones()
    categories = dict.fromkeys(category_of.values())
    if category is not None and category not in categories:
        raise unknown_name("category", category, categories)
    names = [name for name in category_of if category in (None, category_of[name])]
    if screen.quiet:
        screen.write("\n".join(names))
        return
    table = Table("category", "n", "needs", "backbones")
    table.columns[2].max_width = 24
    for group in categories:
        members = sorted((name for name in names if category_of[name] == group), key=str.lower)
        if members:
            table.add_row(
                group, str(len(members)), NEEDS.get(group, ""), ", ".join(members), end_section=True
            )
    screen.results.print(table)

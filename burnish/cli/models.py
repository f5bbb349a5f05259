"""`burnish models`: the backbones that enhancers can be attached to."""

from __future__ import annotations

from typing import Annotated

import typer

from .failures import guarded
from .screen import Screen

EPILOG = "Example: burnish models --category sequential"


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("models", epilog=EPILOG)(guarded(models))


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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names only, one a line.")] = False,
) -> None:
    """List the backbones by category, with what each category needs: RecBole's models, burnish's own, plug-ins."""
    from rich.table import Table

    from burnish.enhancers.zoo import NEEDS, list_backbones
    from burnish.errors import unknown_name

    screen = Screen.of(context, quiet)
    found = list_backbones()
    categories = dict.fromkeys(found.values())
    if category is not None and category not in categories:
        raise unknown_name("category", category, categories)
    names = [name for name in found if category in (None, found[name])]
    if screen.quiet:
        screen.write("\n".join(names))
        return
    table = Table("category", "n", "needs", "backbones")
    table.columns[2].max_width = 24
    for group in categories:
        members = sorted((name for name in names if found[name] == group), key=str.lower)
        if members:
            table.add_row(
                group, str(len(members)), NEEDS.get(group, ""), ", ".join(members), end_section=True
            )
    screen.results.print(table)

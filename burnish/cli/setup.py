"""`burnish setup`: add RecBole, without ray, to the environment that burnish is installed in."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from .failures import RUN_FAILED
from .screen import Screen
from .shared import quiet_option

EPILOG = (
    "Examples:\n\n"
    "burnish setup\n\n"
    "burnish setup --dry-run\n\n"
    "burnish setup --index-url https://mirror.example/simple (other options go to pip, or to uv where there is no pip)"
)


def setup(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command that would be run, and run nothing.")
    ] = False,
    quiet: Annotated[bool, quiet_option("Say nothing unless something goes wrong.")] = False,
) -> None:
    """Install RecBole 1.2.1 without ray, once, after burnish itself: a download of some 2 MB.

    RecBole asks for ray<=2.6.3, which has no wheel for Python 3.12 and later and which burnish never calls; everything
    else that RecBole needs came with burnish. Where RecBole 1.2.1 is there already, nothing is done.
    """
    from burnish.installation import RECBOLE, SetupError, install_recbole, installed_recbole, setup_command

    screen = Screen.of(context, quiet)
    version = installed_recbole()
    if version == RECBOLE:
        screen.say(f"RecBole {RECBOLE} is installed: nothing to do.")
        return
    command = setup_command([*context.args, *(["--quiet"] if screen.quiet else [])])
    if dry_run:
        screen.write(shlex.join(command))
        return
    before = f"RecBole {version} is replaced" if version else "RecBole is not installed yet"
    screen.say(f"{before}: installing RecBole {RECBOLE}, without its requirement ray.")
    screen.say(shlex.join(command))
    try:
        install_recbole(command)
    except SetupError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(RUN_FAILED) from error
    screen.say(f"RecBole {RECBOLE} is installed. `burnish doctor` looks at the rest.")

"""`burnish`: the application and its global options.  Importing this is quick: no torch, no RecBole."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from burnish._version import __version__
from burnish.speed.waiting import wait_passively

from . import (
    aggregate,
    bake,
    bench,
    card,
    clean,
    data,
    doctor,
    enhancers,
    explain,
    explain_eval,
    export,
    guide,
    improve,
    models,
    paths,
    profiles,
    recommend,
    report,
    run,
    setup,
    value,
)
from .failures import INTERRUPTED
from .shared import add_verb, quiet_option

app = typer.Typer(
    name="burnish",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="New here? `burnish setup` adds RecBole, `burnish doctor` looks at the environment; then "
    "`burnish run --model BPR --dataset ml-100k --enhancers softmax,average --epochs 5`.\n\n"
    "Exit codes: 0 done, 1 a run failed, 2 bad usage or input, 130 stopped. "
    "BURNISH_DEBUG=1 shows tracebacks.",
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    parts = []
    for package in ("recbole", "torch", "numpy", "pandas"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} missing")
    python = ".".join(str(number) for number in sys.version_info[:3])
    typer.echo(f"burnish {__version__} (Python {python}, {', '.join(parts)})")
    raise typer.Exit


@app.callback()
def burnish(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print versions and leave."),
    ] = False,
    quiet: Annotated[bool, quiet_option("Print results only: no progress, no remarks.")] = False,
) -> None:
    """Plug-and-play embedding enhancement for RecBole recommenders, with an honest comparison beside it."""
    context.obj = {"quiet": quiet}


add_verb(app, run.run, run.EPILOG, recbole_options=True)
add_verb(app, recommend.recommend, recommend.EPILOG, threads=True)
add_verb(app, explain.explain, explain.EPILOG, threads=True)
add_verb(app, explain_eval.explain_eval, explain_eval.EPILOG, threads=True)
add_verb(app, card.card, card.EPILOG)
add_verb(app, export.export, export.EPILOG, threads=True)
add_verb(app, profiles.profiles, profiles.EPILOG, threads=True)
add_verb(app, value.value, value.EPILOG, recbole_options=True)
add_verb(app, clean.clean, clean.EPILOG, recbole_options=True, threads=True)
app.add_typer(guide.app, name="guide")
app.add_typer(paths.app, name="paths")
app.add_typer(data.app, name="data")
add_verb(app, improve.improve, improve.EPILOG, recbole_options=True)
add_verb(app, bench.bench, bench.EPILOG)
add_verb(app, report.report, report.EPILOG)
add_verb(app, bake.bake, bake.EPILOG, threads=True)
add_verb(app, aggregate.aggregate, aggregate.EPILOG)
add_verb(app, models.models, models.EPILOG)
add_verb(app, enhancers.enhancers, enhancers.EPILOG)
add_verb(app, setup.setup, setup.EPILOG, recbole_options=True)
add_verb(app, doctor.doctor, doctor.EPILOG)


def main() -> None:
    """The `burnish` command."""
    wait_passively()
    try:
        app()
    except KeyboardInterrupt:  # outside every verb: while modules are being imported
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

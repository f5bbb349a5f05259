"""`burnish aggregate`: hops over the interactions added to the tables of a finished run, without training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import Screen
from .shared import Quiet, RunModel, Threads, Trust, output_option, run_given

if TYPE_CHECKING:
    from burnish.training.record import SavedRun

    from .run_request import RunRequest

EPILOG = (
    "Examples:\n\n"
    "burnish run --model BPR --dataset ml-100k --output plain\n\n"
    "burnish aggregate plain --output hops\n\n"
    "burnish aggregate plain --output hops --hops 1 --sides users\n\n"
    "Data, split and options are those of the run. Validation chooses among hops and exponents, and the run as it is "
    "is one of the candidates. The result is the folder of a run: recommend, export and bake read it."
)


def aggregate(
    context: typer.Context,
    source: Annotated[Path, run_given("Folder of a finished run (burnish run --output).")],
    output: Annotated[Path, output_option("Folder for the run with hops added.")],
    hops: Annotated[str | None, typer.Option("--hops", help="Numbers of hops to try, as in 1,2.")] = None,
    neighbour: Annotated[
        str | None,
        typer.Option("--neighbour", help="Exponents of the neighbours' interactions, as in -1,-0.5,0."),
    ] = None,
    own: Annotated[
        str | None, typer.Option("--own", help="Exponents of a row's own interactions, as in -1.5,-1,0.")
    ] = None,
    sides: Annotated[
        str | None, typer.Option("--sides", help="users, both, or either: both ways are tried.")
    ] = None,
    threads: Threads = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Add hops over the training interactions to a trained run's tables (TAG-CF), chosen on validation."""
    import burnish.training.train  # noqa: F401  (a broken torch is told before the run is looked at)
    from burnish.telling import summaries_told_to
    from burnish.training.record import read_run
    from burnish.training.run_folder import write_results

    from .run import describe, show, train

    screen = Screen.of(context, quiet)
    if source.resolve() == output.resolve():
        raise typer.BadParameter("give another folder than that of the run", param_hint="--output")
    numbers = {"hops": (hops, int), "neighbour": (neighbour, float), "own": (own, float)}
    options: dict[str, Any] = {
        name: _numbers(f"--{name}", text, kind) for name, (text, kind) in numbers.items() if text is not None
    }
    if sides is not None:
        options["sides"] = sides
    request = _request(read_run(source), options, model, trust)
    if threads is not None:
        request.options["threads"] = threads
    describe(screen, request)
    with summaries_told_to(screen.say):
        result = train(
            screen, request, output, 1, trust=trust, keep_result=partial(write_results, folder=output)
        )
    screen.say(f"written to {output}")
    show(screen, result)


def _numbers(option: str, text: str, kind: type) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: give numbers, separated by commas", param_hint=option) from error


def _request(
    saved: SavedRun, options: dict[str, Any], model: str | None = None, trust: bool = False
) -> RunRequest:
    """The run that begins from a saved one, on its data, split and options.

    model: where its own class is.
    """
    from burnish.enhancers.zoo import find_backbone
    from burnish.errors import ConfigurationError

    from .run_request import RunRequest

    known = None if model is None else find_backbone(model)
    cls = saved.find_class(trust=trust, known=known)
    if not saved.finished:
        raise ConfigurationError(
            f"{saved.folder} holds a run that has not finished; finish it first: burnish run --resume {saved.folder}"
        )
    enhancers = {"aggregate": {**options, "base": str(saved.folder.resolve())}}
    return RunRequest(cls, saved.dataset, enhancers, (), dict(saved.options), None)

"""`burnish improve`: the best way to train a model that can be found in a given time."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import stop_if_asked
from .screen import Screen
from .shared import Dataset, Quiet, Threads, config_files_option, output_option

if TYPE_CHECKING:
    from burnish.benchmarks.improve.improve import Improvement
    from burnish.benchmarks.improve.tried import News

EPILOG = (
    "Examples:\n\n"
    "burnish improve --model BPR --dataset ml-100k --budget 15m\n\n"
    "burnish improve --config-files my.yaml --budget 2h --output better\n\n"
    "burnish improve --model mine.py:Tower --dataset bookshop --data_path dataset --embedding_size 32\n\n"
    "After Ctrl-C the same command goes on; a larger budget lengthens a search that is done. RecBole's options stay as "
    "they are given; the learning rate is where the search begins."
)


def improve(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Backbone (`burnish models`), or your own class: FILE.py:Class."),
    ] = None,
    dataset: Dataset = None,
    budget: Annotated[
        str, typer.Option("--budget", "-b", help="Time to spend: 90s, 15m, 1h30m, ...")
    ] = "30m",
    output: Annotated[
        Path, output_option("Folder for the winner, and for everything that was tried.")
    ] = Path("improved"),
    config_files: Annotated[
        str | None, config_files_option("YAML files, separated by commas; later win.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the search; the test has those after it.")] = 2020,
    threads: Threads = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Runs at a time, each in a process of its own; by default as many as there are cores, four at most.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Try floors, enhancers and their combinations on validation, then test the best one against plain, once.

    Writes the winner as the folder of a run, a plain RecBole checkpoint and a YAML file; says so where nothing helped.
    """
    from burnish.benchmarks.improve.improve import improve as search
    from burnish.benchmarks.improve.improve import seconds_of
    from burnish.errors import ConfigurationError

    from .run_request import make_request, refuse_misspelt

    screen = Screen.of(context, quiet)
    request = make_request(
        model=model,
        dataset=dataset,
        enhancers=None,
        config_files=config_files,
        seed=None,
        words=list(context.args),
    )
    refuse_misspelt(request, context)
    if request.enhancers:
        raise ConfigurationError("enhancers have no place here, since improve chooses them; leave them out")
    seconds = seconds_of(budget)
    options = settings_of(request.config_files) | request.options
    screen.say(
        f"{request.model if isinstance(request.model, str) else request.model.__name__} on {request.dataset}"
    )
    try:
        with screen.bar("{task.description}", total=round(seconds)) as move:

            def tell(news: News) -> None:
                stop_if_asked()
                move(completed=round(news.spent), description=news.message)
                if news.kind not in ("epoch", "stage", "start"):
                    screen.say(f"{news.kind:<8} {news.message}  [{clock(news.spent)} of {clock(seconds)}]")

            found = search(
                request.model,
                request.dataset,
                budget=seconds,
                folder=output,
                config=options,
                seed=seed,
                threads=threads,
                workers=workers,
                on_news=tell,
            )
    except KeyboardInterrupt:
        screen.say(f"stopped; what was tried is in {output}, and the same command goes on from there")
        raise
    show(screen, found)


def settings_of(files: tuple[Path, ...]) -> dict[str, object]:
    """RecBole's options in configuration files, without what is said elsewhere."""
    from burnish.files.yamls import read_yaml

    options: dict[str, object] = {}
    for file in files:
        options |= read_yaml(file)
    return {name: value for name, value in options.items() if name not in ("model", "dataset")}


def clock(seconds: float) -> str:
    """`3:07`, or `1:02:30`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def show(screen: Screen, found: Improvement) -> None:
    """The verdict, and where things are."""
    screen.write(found.verdict)
    if found.winner is None:
        screen.say(f"what was tried: {found.folder / 'improve.json'}")
        return
    place = found.folder
    screen.say("")
    screen.say(
        f"the model     {place / 'winner'}   burnish recommend {shlex.quote(str(place / 'winner'))} --user ..."
    )
    if (place / "winner.pth").is_file():
        screen.say(f"for RecBole   {place / 'winner.pth'}")
    screen.say(f"to copy       {place / 'winner.yaml'}")
    screen.say(f"the test      burnish report {shlex.quote(str(place / 'test'))}")
    screen.say(f"all of it     {place / 'improve.json'}")

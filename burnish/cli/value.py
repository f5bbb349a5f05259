"""`burnish value`: what every training interaction is worth."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import guarded
from .screen import Screen

if TYPE_CHECKING:
    import pandas as pd

    from burnish.enhancers.shapley.valuation import Valuation
    from burnish.trained.value import Valuer

    from .request import RunRequest

FORMATS = ("parquet", "csv", "json")
EPILOG = (
    "Examples:\n\n"
    "burnish value --model BPR --dataset ml-100k --out values.parquet\n\n"
    "burnish value --run out --objectives profile,fit,standing --combine --out values.parquet --plot values.svg\n\n"
    "burnish value --model LightGCN --dataset ml-100k --run out --epochs 50 --out values.csv\n\n"
    "--run takes a run of `burnish run --output`; with --model it trains into that folder where no run is in it "
    "yet. A valuation that was stopped goes on where it was when the same command is given again. Only training "
    "interactions are looked at."
)


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command(
        "value", epilog=EPILOG, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(guarded(value))


def value(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Backbone to train; `burnish models` lists them.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Name of a RecBole data set, such as ml-100k.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", "-r", help="Folder of a run: value it, or with --model train into it."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", "-o", help="Write to this file: .parquet, .csv or .json."),
    ] = None,
    objectives: Annotated[
        str,
        typer.Option(
            "--objectives",
            help="profile, dimensions, profile_beyond_popularity, regression, joint, fit, standing, similarity; "
            "several with commas.",
        ),
    ] = "profile",
    combine: Annotated[
        bool,
        typer.Option("--combine", help="Add the sum of the objectives, each standardised within user."),
    ] = False,
    repeats: Annotated[
        int, typer.Option("--repeats", help="With other folds and draws each; they give the standard error.")
    ] = 5,
    folds: Annotated[int, typer.Option("--folds", help="That a user's interactions are dealt out to.")] = 5,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Random seed of training and of the folds.")
    ] = None,
    enhancers: Annotated[
        str | None, typer.Option("--enhancers", "-e", help="Enhancers to train with, as in burnish run.")
    ] = None,
    config_files: Annotated[
        str | None,
        typer.Option("--config-files", "--config_files", "-c", help="YAML files for training."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="Item table to take vectors from, where there are several.")
    ] = None,
    title_field: Annotated[
        str | None, typer.Option("--title-field", help="Column of the .item file to show as the title.")
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="Rows at either end of the tables on the screen.")
    ] = 5,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the values into this .svg file.")] = None,
    format: Annotated[
        str | None,
        typer.Option("--format", "-f", help="parquet, csv or json (by the suffix of --out)."),
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data-path", "--data_path", help="Where the data set's folder is now.")
    ] = None,
    shard: Annotated[
        int | None, typer.Option("--shard", help="About how many interactions to value at a time.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Import the class of a run's model: can execute code.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the summary only.")] = False,
) -> None:
    """The value of every training interaction, by objective, with standard error, rank and original ids.

    With --model, RecBole's options work as in `burnish run`: --epochs 50, --embedding_size=64.
    """
    from burnish.trained.finished_shards import shards_folder
    from burnish.trained.value import SHARD, Valuer, check_settings
    from burnish.trained.value_picture import check_picture
    from burnish.trained.value_picture import plot as draw

    screen = Screen.of(context, quiet)
    kind = check_output(output, format)
    shard = SHARD if shard is None else shard
    check_settings(objectives, repeats=repeats, folds=folds, shard=shard, combine=combine)
    if plot is not None:
        check_output(check_picture(plot), "svg")
    request = make_run_request(model, dataset, run, enhancers, config_files, seed, data_path, context.args)
    with trained(screen, request, run, data_path, trust) as source:
        made = Valuer(
            source,
            objectives,
            repeats=repeats,
            folds=folds,
            seed=seed or 0,
            combine=combine,
            table=table,
            title_field=title_field,
            shard=shard,
        )
        screen.say(f"valuing {made.interactions.n} training interactions by {', '.join(shown(made.outputs))}")
        found = with_progress(
            screen, made, None if output is None else shards_folder(output), run is not None
        )
    if output is not None:
        write(found, output, kind, shards_folder(output))
        screen.say(f"written: {output} ({found.n_players} interactions, {found.seconds:.1f} s)")
    if plot is not None:
        draw(found, plot)
        screen.say(f"drawn: {plot}")
    show(screen, found, top)


def check_output(output: Path | None, format: str | None) -> str:
    """The format of the file; an error, before anything is trained, for one that cannot be written."""
    from burnish.errors import unknown_name
    from burnish.files.tables import format_of
    from burnish.trained.finished_shards import check_writable

    if output is None:
        if format is not None and format not in FORMATS:
            raise unknown_name("format", format, FORMATS)
        if format is not None:
            raise typer.BadParameter(f"{format} needs a file: give --out", param_hint="--format")
        return ""
    kind = (
        "svg" if format == "svg" and output.suffix.lower() == ".svg" else format_of(output, format, FORMATS)
    )
    check_writable(output)
    return kind


# ---------------------------------------------------------------------- the trained model


def make_run_request(
    model: str | None,
    dataset: str | None,
    run: Path | None,
    enhancers: str | None,
    config_files: str | None,
    seed: int | None,
    data_path: Path | None,
    words: list[str],
) -> RunRequest | None:
    """What to train; None for a run that is trained already.

    Raises `ConfigurationError` for neither, and for options of training beside a run that is finished.
    """
    from burnish.errors import ConfigurationError
    from burnish.training.record import RUN_FILE, read_run

    from .request import make_request

    there = run is not None and (run / RUN_FILE).is_file()
    if run is not None and not there and model is None and config_files is None:
        read_run(run)  # says that it is no run, and how to make one
    if model is None and config_files is None and run is None:
        raise ConfigurationError(
            "give --model and --dataset to train, or --run FOLDER of a run (burnish run --output FOLDER)"
        )
    extra = [f"--data_path={data_path}"] if data_path is not None else []
    if not there:
        return make_request(
            model=model,
            dataset=dataset,
            enhancers=enhancers,
            config_files=config_files,
            seed=seed,
            words=[*words, *extra],
        )
    assert run is not None
    saved = read_run(run)
    for name, given, had in (("model", model, saved.model), ("dataset", dataset, saved.dataset)):
        if given is not None and given != had:
            raise ConfigurationError(
                f"--{name} {given}, but {run} holds a run of {had}; leave --{name} out, or give another folder"
            )
    if saved.finished and model is None and (words or enhancers or config_files):
        raise ConfigurationError(
            f"{' '.join(words) or '--enhancers or --config-files'}: {run} is trained already; leave this out"
        )
    if saved.finished:
        return None
    return make_request(
        model=model,
        dataset=dataset,
        enhancers=enhancers,
        config_files=config_files,
        seed=seed,
        words=[*words, *extra],
        earlier=saved,
    )


@contextmanager
def trained(
    screen: Screen, request: RunRequest | None, run: Path | None, data_path: Path | None, trust: bool
) -> Iterator[Any]:
    """The trained model: from its run, from the rest of its training, or trained now (into `run`, if there is one)."""
    from burnish.trained.open import open_trained
    from burnish.training.record import RUN_FILE, read_run

    from .run import describe, say_how_to_resume, train

    if request is None:
        assert run is not None
        screen.say("reading the run and its data ...")
        yield open_trained(run, data_path=data_path, trust=trust)
        return
    going_on = run is not None and (run / RUN_FILE).is_file()
    describe(screen, request, read_run(run) if going_on and run is not None else None)
    with tempfile.TemporaryDirectory(prefix="burnish-value-") as passing:
        try:
            result = train(
                screen,
                request,
                run if run is not None else Path(passing),
                1 if run is not None else 0,
                going_on=going_on,
            )
        except KeyboardInterrupt:
            if run is not None:
                say_how_to_resume(screen, run)
            raise
        yield open_trained(result)


# ---------------------------------------------------------------------- valuing and writing


def with_progress(screen: Screen, made: Valuer, parts: Path | None, kept_run: bool) -> Valuation:
    """Value shard after shard, with a bar where somebody watches; after Ctrl-C say how to go on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("shards"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    hidden = screen.quiet or not screen.notes.is_terminal
    done = found = 0
    with Progress(*columns, console=screen.notes, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=made.n_shards)

        def advance(number: int, total: int, was_there: bool) -> None:
            nonlocal done, found
            done, found = number, found + was_there
            progress.advance(task)

        try:
            valued = made.run(parts, advance)
        except KeyboardInterrupt:
            progress.stop()
            say_where_it_stopped(screen, done, made.n_shards, parts, kept_run)
            raise
    if found:
        screen.say(f"{found} of {made.n_shards} shards were there already")
    return valued


def say_where_it_stopped(screen: Screen, done: int, total: int, parts: Path | None, kept_run: bool) -> None:
    """After Ctrl-C: how much is kept, and how to go on."""
    if parts is None:
        screen.say("nothing was kept; with --out FILE an interrupted valuation can go on")
    elif not done:
        screen.say("stopped before the end of the first shard; nothing to go on from")
    else:
        more = "" if kept_run else " (it trains again; --run FOLDER keeps the trained model)"
        screen.say(
            f"stopped after {done} of {total} shards, kept in {shlex.quote(str(parts))}; the same command goes on "
            f"from there{more}"
        )


def write(valuation: Valuation, output: Path, kind: str, parts: Path) -> None:
    """The file, and away with the shards that it was made from."""
    from burnish.files.tables import TableFile
    from burnish.trained.finished_shards import FinishedShards

    if kind == "parquet":
        valuation.save(output)
    else:
        with TableFile(output, kind) as file:
            file.write(valuation.frame())
    FinishedShards(parts, "").remove()


def shown(outputs: tuple[str, ...]) -> list[str]:
    """The outputs, the middle of a long list left out."""
    return list(outputs) if len(outputs) <= 8 else [*outputs[:3], "...", outputs[-1]]


def show(screen: Screen, valuation: Valuation, top: int) -> None:
    """The tables for people, one set an output; of outputs by dimension only their sum."""
    names: list[str | None] = [name for name in valuation.outputs if "." not in name]
    for name in names or [None]:
        title = name or "sum of all outputs"
        spread = float(valuation.column(name).std(correction=0))
        for heading, frame in valuation.summary(top=top, output=name).tables(top):
            if heading == "by user" and (frame["mean"].abs() < 1e-6 * spread).all():
                continue  # standardised within user: all means are 0
            cut = top if heading in ("by user", "by item") and len(frame) == 2 * top else 0
            screen.results.print(as_table(f"{title}: {heading}", frame, cut))
    if not valuation.converged:
        screen.say("the standard errors are large beside the values, or unknown: raise --repeats")


def as_table(title: str, frame: pd.DataFrame, cut: int = 0) -> Any:
    """A table for people: numbers with four significant digits, to the right.  cut: rows before what is left out."""
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    numbers: list[Callable[[Any], str]] = []
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        real = pd.api.types.is_float_dtype(frame[name])
        table.add_column(str(name).replace("_", " "), justify="right" if numeric else "left")
        numbers.append((lambda cell: f"{cell:.4g}") if real else str)
    for place, row in enumerate(frame.itertuples(index=False)):
        if cut and place == cut:
            table.add_row(*("..." for _ in frame.columns))
        cells = ("" if pd.isna(cell) else say(cell) for cell, say in zip(row, numbers, strict=True))
        table.add_row(*(Text(cell) for cell in cells))
    return table

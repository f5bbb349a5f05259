"""`burnish value`: what every training interaction is worth."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from burnish.errors import warn

from .compound import Ids
from .screen import Screen
from .shared import (
    DataPath,
    Dataset,
    Threads,
    TitleField,
    choose_format,
    config_files_option,
    format_option,
    out_option,
    quiet_option,
)

if TYPE_CHECKING:
    from burnish.enhancers.shapley.valuation import Valuation
    from burnish.trained.value import Valuer
    from burnish.trained.value_agreement import Agreement
    from burnish.training.trained_model import TrainedModel

    from .run_request import RunRequest

FORMATS = ("parquet", "csv", "json")
EPILOG = (
    "Examples:\n\n"
    "burnish value --model BPR --dataset ml-100k --out values.parquet\n\n"
    "burnish value out --objectives profile,fit,standing --combine --out values.parquet --plot values.svg\n\n"
    "burnish value --model LightGCN --dataset ml-100k --run out --epochs 50 --out values.csv\n\n"
    "burnish value out --shard 2/4 --out values.parquet (one of four jobs; without --shard the same values)\n\n"
    "burnish value out --edges --out edges.parquet (of a run with paths: what each edge of its graph is worth)\n\n"
    "burnish value --run sasrec --user 196 --item 50 (what each item of the history adds to the score of item 50)\n\n"
    "--run, or RUN alone, takes a run of `burnish run --output`; with --model it trains into that folder where no run "
    "is in it yet. A valuation that was stopped goes on where it was when the same command is given again. Only "
    "training interactions are looked at."
)


@dataclass(frozen=True, kw_only=True)
class ValueOptions:
    """The options of the verb."""

    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Backbone to train, or the own class of a run.")
    ] = None
    dataset: Dataset = None
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", "-r", help="Folder of a run (RUN will do): value it, or with --model train into it."
        ),
    ] = None
    output: Annotated[Path | None, out_option("Write to this file: .parquet, .csv or .json.")] = None
    objectives: Annotated[
        str,
        typer.Option(
            "--objectives",
            help="profile, dimensions, axes, prototypes, attributes, profile_beyond_popularity, ranking, regression, "
            "joint, fit, standing, similarity, edges; several with commas.",
        ),
    ] = "profile"
    combine: Annotated[
        bool, typer.Option("--combine", help="Add the sum of the objectives, each standardised within user.")
    ] = False
    repeats: Annotated[
        int, typer.Option("--repeats", help="With other folds and draws each; they give the standard error.")
    ] = 5
    folds: Annotated[int, typer.Option("--folds", help="That a user's interactions are dealt out to.")] = 5
    seed: Annotated[int | None, typer.Option("--seed", help="Random seed of training and of the folds.")] = (
        None
    )
    edges: Annotated[
        bool, typer.Option("--edges", help="Value the edges of the graph that paths walks on, by relation.")
    ] = False
    enhancers: Annotated[
        str | None, typer.Option("--enhancers", "-e", help="Enhancers to train with, as in burnish run.")
    ] = None
    config_files: Annotated[str | None, config_files_option("YAML files for training.")] = None
    table: Annotated[
        str | None, typer.Option("--table", help="Item table to take vectors from, where there are several.")
    ] = None
    scores: Annotated[
        str | None,
        typer.Option(
            "--scores",
            help="For the objective attributes: file of items' scores, or a data set with shipped ones; by default "
            "those of the run's enhancer guided.",
        ),
    ] = None
    title_field: TitleField = None
    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            min=1,
            help="Rows at either end of the tables on the screen: 5, and with --user all items unless it is given.",
        ),
    ] = None
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the values into this .svg file.")] = None
    format: Annotated[str | None, format_option("parquet, csv or json (by the suffix of --out).")] = None
    data_path: DataPath = None
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="I/N: value part I of N of the users; the job that ends last writes the file. A number: --at-once.",
        ),
    ] = None
    at_once: Annotated[
        int | None, typer.Option("--at-once", help="About how many interactions to value at a time.")
    ] = None
    user: Annotated[
        str | None,
        Ids(
            "user",
            "-u",
            "Value the items of this user's history by leaving them out (models of histories).",
            "one history is valued at a time",
        ),
    ] = None
    item: Annotated[
        str | None,
        Ids(
            "item",
            "-i",
            "With --user: by what they add to the score of this item.",
            "values are of one score at a time",
        ),
    ] = None
    estimator: Annotated[
        str | None,
        typer.Option(
            "--estimator",
            help="With --user: enumeration (exact, up to 16 items), permutation, multilinear or banzhaf.",
        ),
    ] = None
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, help="With --user: histories that the model may score.")
    ] = None
    trust: Annotated[bool, typer.Option("--trust", help="Import a run's own classes: can execute code.")] = (
        False
    )
    threads: Threads = None
    quiet: Annotated[bool, quiet_option("Print the summary only.")] = False


def value(context: typer.Context, options: ValueOptions) -> None:
    """The value of every training interaction, by objective, with standard error, rank and original ids.

    With --user, of the items of one user's history instead: what each adds to the model's prediction.
    With --edges, of every edge of the graph that a run's path model walks on.
    With --model, RecBole's options work as in `burnish run`: --epochs 50, --embedding_size=64.
    """
    from burnish.training.session import torch_threads

    options, words = by_place(options, context.args)
    if options.threads is not None:
        words.append(f"--threads={options.threads}")
    with torch_threads(options.threads):
        carry_out(context, options, words)


def by_place(options: ValueOptions, words: list[str]) -> tuple[ValueOptions, list[str]]:
    """The options, and RecBole's among the words, with a run that was given by its place among them.

    Raises `typer.BadParameter` where --run names another one.
    """
    from .parse_options import stray_words

    stray, rest = stray_words(words)
    if len(stray) != 1:
        return options, words  # more than one is refused as belonging to no option
    run = Path(stray[0])
    if options.run is not None and options.run.resolve() != run.resolve():
        raise typer.BadParameter(
            f"{stray[0]!r} and {str(options.run)!r} are two; give one of them", param_hint="RUN / --run"
        )
    return replace(options, run=run), rest


def carry_out(context: typer.Context, options: ValueOptions, words: list[str]) -> None:
    """The verb, its options read.  words: options of RecBole's."""
    from burnish.errors import ConfigurationError
    from burnish.files.data_names import data_names
    from burnish.telling import summaries_told_to
    from burnish.trained.finished_shards import check_writable, shards_folder
    from burnish.trained.value import SHARD, check_settings
    from burnish.trained.value_picture import check_picture
    from burnish.trained.value_picture import plot as draw

    from .run_request import refuse_misspelt
    from .value_share import share_and_size, value_share
    from .value_tables import show, show_edges, write

    screen = Screen.of(context, options.quiet)
    output, plot = options.output, options.plot
    kind = choose_format(options.format, output, written=FORMATS)
    if output is not None:
        check_writable(output)
    settings: dict[str, Any] = {
        name: getattr(options, name) for name in ("repeats", "folds", "combine", "scores")
    }
    check_history(options)
    share, at_once = share_and_size(options.shard, options.at_once, output, plot)
    settings["shard"] = SHARD if at_once is None else at_once
    check_settings(options.objectives, **settings)
    if plot is not None:
        check_writable(check_picture(plot))
    request = training_request(options, words)
    if request is not None:
        check_scores(options)
    if request is not None and share is not None:
        raise ConfigurationError(
            f"--shard {options.shard}: parts are of one trained model, and each job would train one of its own; train "
            f"first (burnish run --output FOLDER), and give that folder as RUN"
        )
    if request is not None:
        refuse_misspelt(request, context)
    with summaries_told_to(screen.say), trained(screen, options, request) as source:
        names, agreed = data_names(source.config), None
        if options.user is not None:
            screen.say(f"valuing the history of user {options.user} ...")
            valuation = value_history_of(source, options)
        elif options.edges:
            screen.say("valuing the edges of the graph ...")
            valuation = value_edges(screen, source, options)
        elif share is not None:
            assert output is not None
            value_share(screen, valuer_of(source, options, settings), share, output, kind)
            return
        else:
            valuation, agreed = value_interactions(screen, source, options, settings)
    if output is not None:
        write(valuation, output, kind, shards_folder(output), names)
        what = (
            "edges" if options.edges else "interactions" if options.user is None else "items of the history"
        )
        screen.say(f"written: {output} ({valuation.n_players} {what}, {valuation.seconds:.1f} s)")
    if plot is not None:
        draw(valuation, plot)
        screen.say(f"drawn: {plot}")
    if options.edges:
        show_edges(screen, valuation, options.top, names)
    else:
        show(screen, valuation, options.user is not None, options.top, names)
    if agreed is not None and agreed.enough:
        screen.say(str(agreed))
    elif agreed is not None:
        warn(agreed.warning())


def check_scores(options: ValueOptions) -> None:
    """Refuse `attributes` before training where nothing that was typed can have scores of items."""
    from burnish.errors import ConfigurationError
    from burnish.trained.value_objectives import check_names

    elsewhere = options.config_files is not None or (options.run is not None and begun(options.run))
    if "attributes" not in check_names(options.objectives) or options.scores is not None or elsewhere:
        return
    if "guided" not in (options.enhancers or ""):
        raise ConfigurationError(
            "--objectives attributes: a model without the enhancer guided has no scores of items; train with "
            "--enhancers guided, or give --scores FILE (`burnish guide score` makes one)"
        )


def check_history(options: ValueOptions) -> None:
    """Refuse options of one kind of valuation that were given with the other."""
    from burnish.errors import ConfigurationError

    defaults = ValueOptions()
    if options.edges:
        of_interactions = (
            "user",
            "item",
            "objectives",
            "combine",
            "shard",
            "at_once",
            "table",
            "plot",
            "scores",
        )
        for name in of_interactions:
            if getattr(options, name) != getattr(defaults, name):
                raise ConfigurationError(
                    f"--{name.replace('_', '-')}: it has no effect on the edges of a graph; leave it or --edges out"
                )
    alone = ("item", "estimator", "budget")
    others = ("objectives", "combine", "repeats", "folds", "shard", "at_once", "table", "scores")
    for name in alone if options.user is None else others:
        if getattr(options, name) != getattr(defaults, name):
            raise ConfigurationError(
                f"--{name.replace('_', '-')}{'' if name == 'combine' else f' {getattr(options, name)}'}: "
                + (
                    "it belongs to the history of one user; give --user too"
                    if options.user is None
                    else "it has no effect on the history of one user; leave it or --user out"
                )
            )


def value_history_of(source: TrainedModel, options: ValueOptions) -> Valuation:
    """The values of one user's history, with titles."""
    from burnish.enhancers.shapley.value_history import value_history
    from burnish.trained.titles import read_titles

    valuation = value_history(
        source.model,
        source.splits.training,
        str(options.user),
        options.item,
        estimator=options.estimator,
        budget=options.budget,
        seed=options.seed or 0,
    )
    titles = read_titles(source.config, options.title_field)
    if titles is not None and valuation.players is not None:
        valuation.players["title"] = valuation.players["item"].map(titles[1]).astype("string")
    return valuation


def value_edges(screen: Screen, source: TrainedModel, options: ValueOptions) -> Valuation:
    """The values of the edges of a path model's graph."""
    from burnish.trained.edge_values import edge_values

    with screen.bar("repeats", total=options.repeats) as move:
        return edge_values(
            source,
            repeats=options.repeats,
            folds=options.folds,
            seed=options.seed or 0,
            title_field=options.title_field,
            progress=lambda done, total: move(completed=done, total=total),
        )


def value_interactions(
    screen: Screen, source: TrainedModel, options: ValueOptions, settings: dict[str, Any]
) -> tuple[Valuation, Agreement | None]:
    """The values of all training interactions, and how far two halves of the users agree on such values."""
    from .value_tables import shown

    valuer = valuer_of(source, options, settings)
    screen.say(f"valuing {valuer.interactions.n} training interactions by {', '.join(shown(valuer.outputs))}")
    return value_shards(screen, valuer, options), valuer.agreement()


def valuer_of(source: TrainedModel, options: ValueOptions, settings: dict[str, Any]) -> Valuer:
    """What values the interactions of a trained model as the options say."""
    from burnish.trained.value import Valuer

    return Valuer(
        source,
        options.objectives,
        seed=options.seed or 0,
        table=options.table,
        title_field=options.title_field,
        **settings,
    )


# ---------------------------------------------------------------------- the trained model


def training_request(options: ValueOptions, words: list[str]) -> RunRequest | None:
    """What to train; None for a run that is trained already.

    Raises `ConfigurationError` for neither, and for options of training beside a run that is finished.
    """
    from burnish.errors import ConfigurationError, DataError
    from burnish.training.record import read_run

    from .run_request import make_request, own_class

    run, saved = options.run, None
    trains = options.model is not None or options.config_files is not None
    if run is not None and not begun(run) and options.dataset is None and options.config_files is None:
        # Without a data set nothing can be trained into it: a run was meant that is not there.
        try:
            read_run(run)
        except DataError as error:
            more = " To train into it, say --dataset, too." if trains else ""
            raise DataError(f"{error}{more}") from error
    if run is None and not trains:
        raise ConfigurationError(
            "give --model and --dataset to train, or --run FOLDER of a run (burnish run --output FOLDER)"
        )
    if run is not None and (begun(run) or not trains):
        saved = read_run(run)  # where there is none, says how to make one
        for name, of_run in (("model", saved.model), ("dataset", saved.dataset)):
            given = getattr(options, name)
            own = own_class(given) if name == "model" else None  # imported: it was typed
            if given is not None and not (given == of_run if own is None else saved.is_of(own)):
                raise ConfigurationError(
                    f"--{name} {given}, but {run} holds a run of {of_run}; leave --{name} out, or give another folder"
                )
        if saved.finished and options.model is None and (words or options.enhancers or options.config_files):
            raise ConfigurationError(
                f"{' '.join(words) or '--enhancers or --config-files'}: {run} is trained already; leave this out"
            )
        if saved.finished:
            return None
    data_path = [] if options.data_path is None else [f"--data_path={options.data_path}"]
    return make_request(
        model=options.model,
        dataset=options.dataset,
        enhancers=options.enhancers,
        config_files=options.config_files,
        seed=options.seed,
        words=[*words, *data_path],
        earlier=saved,
    )


def begun(run: Path) -> bool:
    """Whether a run was begun in the folder."""
    from burnish.training.record import RUN_FILE

    return (run / RUN_FILE).is_file()


@contextmanager
def trained(screen: Screen, options: ValueOptions, request: RunRequest | None) -> Iterator[Any]:
    """The trained model: from its run, from the rest of its training, or trained now (into `run`, if there is one)."""
    from burnish.files.processes import passing_folder
    from burnish.trained.open import open_trained
    from burnish.training.record import read_run

    from .run import describe, say_how_to_resume, train

    run = options.run
    if request is None:
        assert run is not None
        screen.say("reading the run and its data ...")
        yield open_trained(run, model=options.model, data_path=options.data_path, trust=options.trust)
        return
    earlier = read_run(run) if run is not None and begun(run) else None
    if earlier is not None:
        earlier.know_enhancers(trust=options.trust)
    describe(screen, request, earlier)
    with passing_folder("value") as passing:
        folder, save_every = (passing, 0) if run is None else (run, 1)
        try:
            result = train(
                screen, request, folder, save_every, going_on=earlier is not None, trust=options.trust
            )
        except KeyboardInterrupt:
            if run is not None:
                say_how_to_resume(screen, run, options.model, options.enhancers)
            raise
        yield open_trained(result)


# ---------------------------------------------------------------------- valuing and writing


def value_shards(screen: Screen, valuer: Valuer, options: ValueOptions) -> Valuation:
    """Value shard after shard, with a bar in a terminal, else a line now and then; after Ctrl-C say how to go on."""
    from burnish.telling import stage
    from burnish.trained.finished_shards import shards_folder

    parts = None if options.output is None else shards_folder(options.output)
    lines = None if screen.watched else stage("valued: shard", valuer.n_shards)
    done = kept = 0
    try:
        with screen.bar("shards", total=valuer.n_shards) as move:

            def advance(number: int, total: int, was_there: bool) -> None:
                nonlocal done, kept
                done, kept = number, kept + was_there
                move(advance=1)
                if lines is not None:
                    lines.step()

            valuation = valuer.run(parts, advance)
    except KeyboardInterrupt:
        say_where_it_stopped(screen, done, valuer.n_shards, parts, options.run is not None)
        raise
    if kept:
        screen.say(f"{kept} of {valuer.n_shards} shards were there already")
    return valuation


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

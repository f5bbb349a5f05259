"""`burnish value`: what every training interaction is worth."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from burnish.errors import warn

from .screen import Screen
from .shared import choose_format
from .value_options import ValueOptions, by_place, check_history

if TYPE_CHECKING:
    from burnish.enhancers.shapley.valuation import Valuation
    from burnish.trained.value import Valuer
    from burnish.trained.value_agreement import Agreement
    from burnish.training.trained_model import TrainedModel

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
    from .value_model import check_scores, trained, training_request
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

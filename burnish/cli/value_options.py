"""The options of `burnish value`, and which of them do not go together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from .compound import Ids
from .shared import (
    DataPath,
    Dataset,
    Threads,
    TitleField,
    config_files_option,
    format_option,
    out_option,
    quiet_option,
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

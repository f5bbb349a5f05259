"""`burnish clean`: a data set without the training interactions that look like noise."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from burnish.errors import ConfigurationError, warn
from burnish.telling import summaries_told_to

from .screen import Screen
from .shared import DataPath, config_files_option, out_option, quiet_option

EPILOG = (
    "Examples:\n\n"
    "burnish clean --dataset ml-100k --out data/ml-100k-clean\n\n"
    "burnish clean --dataset ml-100k --dry-run\n\n"
    "burnish run --model BPR --dataset ml-100k-clean --data_path data --benchmark_filename '[train, valid, test]'\n\n"
    "burnish clean --put-back data/ml-100k-clean --out data/ml-100k-as-before\n\n"
    "The data are split as a run with the same options would have them; only the training part is looked at and "
    "changed. Where no noise is found, nothing is removed. Docs: docs/clean.md."
)


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """The options of the verb."""

    dataset: Annotated[str | None, typer.Option("--dataset", "-d", help="The data set to clean.")] = None
    data_path: DataPath = None
    config_files: Annotated[str | None, config_files_option("RecBole's YAML files, with commas.")] = None
    out: Annotated[Path | None, out_option("The folder to make, which names the new data set.")] = None
    drop_from: Annotated[
        float, typer.Option("--drop-from", help="Interactions that are noise with this probability go.")
    ] = 0.5
    most_of_user: Annotated[
        float,
        typer.Option("--most-of-user", help="The share of their interactions that a user loses at most."),
    ] = 0.25
    kinds: Annotated[
        str,
        typer.Option("--kinds", help="Noise that is looked for, with commas."),
    ] = "uniform,popular,position,bots"
    least: Annotated[
        float,
        typer.Option(
            "--least", help="A share of noise that is not above this beyond doubt is taken for none."
        ),
    ] = 0.01
    must_help: Annotated[
        bool,
        typer.Option(
            "--must-help/--need-not-help",
            help="Whether to act on a kind only where that helps to foretell held-out interactions.",
        ),
    ] = True
    positive_from: Annotated[
        float | None,
        typer.Option(
            "--positive-from",
            help="Look at interactions with this label or more (--LABEL_FIELD, --load_col); the others stay.",
        ),
    ] = None
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Clean all interactions, for a model that will serve and is not tested."
        ),
    ] = False
    seed: Annotated[int | None, typer.Option("--seed", help="Of the split and of what is planted.")] = None
    put_back: Annotated[
        Path | None, typer.Option("--put-back", help="A cleaned data set, to be written as it was before.")
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much noise there is; write nothing.")
    ] = False
    quiet: Annotated[bool, quiet_option("Only errors and warnings.")] = False


def clean(context: typer.Context, options: CleanOptions) -> None:
    """Write a data set without the training interactions that look like noise, and what was taken out."""
    screen = Screen.of(context, options.quiet)
    if options.put_back is not None:
        _put_back(screen, options, context.args)
        return
    if options.dataset is None and options.config_files is None:
        raise ConfigurationError("clean: --dataset is missing; name the data set to clean")
    if options.out is None and not options.dry_run:
        raise ConfigurationError(
            "clean: --out is missing; name the folder to make (data/mine-clean), or give --dry-run"
        )
    from burnish.enhancers.clean.clean import CleanConfig
    from burnish.strict import validated
    from burnish.trained.finished_shards import check_writable
    from burnish.training.clean_data import clean_data

    from .run_request import make_request, refuse_misspelt
    from .splits import data_config

    if options.out is not None and options.dry_run:
        warn(
            f"clean: --out {options.out} has no effect with --dry-run, which writes nothing; leave out one of them"
        )
    elif options.out is not None and not options.out.exists():
        check_writable(options.out)
    try:
        asked = validated(
            CleanConfig,
            {
                "kinds": [kind.strip() for kind in options.kinds.split(",") if kind.strip()],
                "mask_from": options.drop_from,
                "most_of_user": options.most_of_user,
                "least": options.least,
                "must_help": options.must_help,
                "positive_from": options.positive_from,
            },
            "clean",
        )
    except ConfigurationError as error:
        raise ConfigurationError(_as_typed(str(error))) from error
    data_path = [] if options.data_path is None else [f"--data_path={options.data_path}"]
    request = make_request(
        model="BPR",
        dataset=options.dataset,
        enhancers="none",
        config_files=options.config_files,
        seed=options.seed,
        words=[*context.args, *data_path],
    )
    refuse_misspelt(request, context)
    with summaries_told_to(screen.say):
        config = data_config(
            request.dataset, config_files=request.config_files, options=request.options, seed=request.seed
        )
        done = clean_data(
            config, None if options.dry_run else options.out, options=asked, whole=options.whole
        )
    screen.say(str(done))
    if done.folder is not None:
        how = "" if options.whole else " --benchmark_filename '[train, valid, test]'"
        name, place = (shlex.quote(str(part)) for part in (done.folder.name, done.folder.parent))
        screen.say(
            f"written to {done.folder}: burnish run --model BPR --dataset {name} --data_path {place}{how}"
        )


def _as_typed(message: str) -> str:
    """An error about an option of the enhancer, with the name that it has on the command line."""
    for name in ("drop_from", "most_of_user", "kinds", "least", "positive_from"):
        own = "mask_from" if name == "drop_from" else name
        message = message.replace(f"clean: {own} =", f"clean: --{name.replace('_', '-')} =")
    return message


def _put_back(screen: Screen, options: CleanOptions, words: list[str]) -> None:
    from burnish.training.clean_data import put_back

    assert options.put_back is not None
    if options.out is None:
        raise ConfigurationError("clean: --put-back needs --out, the folder to make")
    defaults = CleanOptions()
    given = [
        "--need-not-help" if field.name == "must_help" else f"--{field.name.replace('_', '-')}"
        for field in fields(options)
        if field.name not in ("put_back", "out", "quiet")
        and getattr(options, field.name) != getattr(defaults, field.name)
    ]
    if given or words:
        raise ConfigurationError(
            f"clean: {[*given, *words][0]}: it has no effect with --put-back, which writes what was there; leave it out"
        )
    number = put_back(options.put_back, options.out)
    screen.say(f"{number:,} interactions are back, in {options.out}")

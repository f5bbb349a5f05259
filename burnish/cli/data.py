"""`burnish data`: tables, published files of reviews, and graphs become data sets that RecBole and burnish read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .data_csv import EPILOG as CSV_EPILOG
from .data_csv import csv
from .screen import Screen
from .shared import Silent, add_verb, out_option

if TYPE_CHECKING:
    from burnish.backbones.converters.card import Card

EPILOG = (
    "Examples:\n\n"
    "burnish data csv ratings.csv --user customer --item sku --out dataset/bookshop\n\n"
    "burnish data amazon --reviews Video_Games.jsonl.gz --meta meta_Video_Games.jsonl.gz --out dataset/games\n\n"
    "burnish data yelp --reviews yelp_academic_dataset_review.json --business yelp_academic_dataset_business.json "
    "--out dataset/yelp\n\n"
    "burnish data mat yelp.mat --out dataset/yelp-graph"
)
AMAZON_EPILOG = (
    "Example:\n\n"
    "burnish data amazon --reviews Video_Games.jsonl.gz --meta meta_Video_Games.jsonl.gz --min-user 20 --min-item 5 "
    "--out dataset/games"
)
YELP_EPILOG = (
    "Example:\n\n"
    "burnish data yelp --reviews yelp_academic_dataset_review.json --business yelp_academic_dataset_business.json "
    "--min-user 20 --min-item 20 --out dataset/yelp"
)

MAT_EPILOG = "Example:\n\nburnish data mat yelp.mat --out dataset/yelp"

OutOption = Annotated[Path, out_option("The folder to make, which also names the data set.")]


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """How files are converted; the fields are those of `converters.Options`."""

    min_user: Annotated[
        int, typer.Option("--min-user", min=1, help="Users with fewer ratings go; 1 keeps all.")
    ] = 20
    min_item: Annotated[
        int, typer.Option("--min-item", min=1, help="Items with fewer ratings go; 1 keeps all.")
    ] = 5
    file_format: Annotated[
        str, typer.Option("--format", help="Of the file of reviews: parquet (exact), or tsv (gzip, escaped).")
    ] = "parquet"
    dedupe: Annotated[
        str,
        typer.Option("--dedupe", help="Of several ratings of one item by one user keep the latest, or all."),
    ] = "latest"
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Leave broken lines out, and count them; of a gzip file that is cut off, take what is whole.",
        ),
    ] = False
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a data set that was converted before."),
    ] = False


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog=EPILOG)
def describe() -> None:
    """Make data sets of tables of your own, published files of reviews, and graphs: atomic files and texts."""


def amazon(
    context: typer.Context,
    reviews: Annotated[Path, typer.Option("--reviews", help="The reviews: .json or .jsonl, plain or .gz.")],
    out: OutOption,
    meta: Annotated[
        Path | None, typer.Option("--meta", help="The items' metadata of the same collection.")
    ] = None,
    options: ConvertOptions = ConvertOptions(),
    quiet: Silent = False,
) -> None:
    """Amazon Reviews of 2014, 2018 or 2023, as published; which of them, the fields of the file say."""
    from burnish.backbones.converters import Options, convert_amazon

    screen = Screen.of(context, quiet)
    with watching(screen) as watch:
        card = convert_amazon(reviews, out, meta=meta, options=Options(**vars(options)), watch=watch)
    report(screen, card, out)


def yelp(
    context: typer.Context,
    reviews: Annotated[
        Path, typer.Option("--reviews", help="yelp_academic_dataset_review.json, plain or .gz.")
    ],
    out: OutOption,
    business: Annotated[
        Path | None, typer.Option("--business", help="yelp_academic_dataset_business.json: the items.")
    ] = None,
    user: Annotated[Path | None, typer.Option("--user", help="yelp_academic_dataset_user.json.")] = None,
    options: ConvertOptions = ConvertOptions(),
    quiet: Silent = False,
) -> None:
    """Yelp's open data set, from the JSON files of its archive."""
    from burnish.backbones.converters import Options, convert_yelp

    screen = Screen.of(context, quiet)
    with watching(screen) as watch:
        card = convert_yelp(
            reviews, out, business=business, user=user, options=Options(**vars(options)), watch=watch
        )
    report(screen, card, out)


def mat(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.mat", help="A MATLAB file of version 5.")],
    out: OutOption,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a data set that was converted before.")
    ] = False,
    quiet: Silent = False,
) -> None:
    """A graph of typed nodes and sparse matrices, as released with the WSDM 2020 paper on distilled knowledge."""
    from burnish.backbones.converters import convert_matlab
    from burnish.backbones.converters.folder import README

    screen = Screen.of(context, quiet)
    card = convert_matlab(file, out, force=force)
    screen.say(f"{card.users:,} users, {card.items:,} items; {sum(card.edges.values()):,} edges in all")
    for name, edges in card.edges.items():
        screen.say(f"{name}: {edges:,} edges, in {card.written[name]}")
    screen.say(f"written: {out} ({', '.join(card.files)}; {README} has the counts)")
    screen.say(f"next: burnish run --model BPR --dataset {out.name} --data-path {out.absolute().parent}")


add_verb(app, csv, CSV_EPILOG)
add_verb(app, amazon, AMAZON_EPILOG)
add_verb(app, yelp, YELP_EPILOG)
add_verb(app, mat, MAT_EPILOG)


@contextmanager
def watching(screen: Screen) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over the bytes of the file that is being read, where somebody watches."""
    try:
        with screen.bar(of_bytes=True) as move:
            yield lambda stage, done, total: move(description=stage, completed=done, total=total)
    except KeyboardInterrupt:
        screen.say("nothing was written; the same command begins again")
        raise


def report(screen: Screen, card: Card, out: Path) -> None:
    """What was kept, and how to use it."""
    from burnish.backbones.converters.folder import README

    screen.say(f"{card.kind}: {card.before.summary()}")
    if card.duplicates:
        screen.say(
            f"{card.duplicates:,} earlier ratings of the same pair were left out (--dedupe all keeps them)"
        )
    for file, lines in card.broken.items():
        if lines:
            screen.say(f"{lines:,} broken lines of {file} were left out")
    screen.say(f"kept after {card.rounds} rounds: {card.after.summary()}")
    for kind, rows in card.described.items():
        total = card.after.items if kind == "item" else card.after.users
        screen.say(f"{rows:,} of {total:,} {kind}s are known to the metadata; the others have blanks")
    screen.say(f"written: {out} ({', '.join(card.files)}; {README} has the counts)")
    screen.say(f"next: burnish run --model DReX --dataset {out.name} --data-path {out.absolute().parent}")

"""`burnish data`: published files of reviews become data sets that RecBole and burnish read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import guarded
from .screen import Screen

if TYPE_CHECKING:
    from burnish.backbones.converters.card import Card

EPILOG = (
    "Examples:\n\n"
    "burnish data amazon --reviews Video_Games.jsonl.gz --meta meta_Video_Games.jsonl.gz --out dataset/games\n\n"
    "burnish data yelp --reviews yelp_academic_dataset_review.json --business yelp_academic_dataset_business.json "
    "--out dataset/yelp"
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

OutOption = Annotated[
    Path, typer.Option("--out", "--output", "-o", help="The folder to make, which also names the data set.")
]
MinUserOption = Annotated[
    int, typer.Option("--min-user", min=1, help="Users with fewer ratings go; 1 keeps all.")
]
MinItemOption = Annotated[
    int, typer.Option("--min-item", min=1, help="Items with fewer ratings go; 1 keeps all.")
]
FormatOption = Annotated[
    str, typer.Option("--format", help="Of the file of reviews: parquet (exact), or tsv (gzip, escaped).")
]
DedupeOption = Annotated[
    str, typer.Option("--dedupe", help="Of several ratings of one item by one user keep the latest, or all.")
]
SkipOption = Annotated[bool, typer.Option("--skip-broken", help="Leave broken lines out, and count them.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a data set that was converted before.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing.")]


def add_to(app: typer.Typer) -> None:
    """Register the verb and its own verbs."""
    data = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    data.callback(epilog=EPILOG)(describe)
    data.command("amazon", epilog=AMAZON_EPILOG)(guarded(amazon))
    data.command("yelp", epilog=YELP_EPILOG)(guarded(yelp))
    app.add_typer(data, name="data")


def describe() -> None:
    """Convert published files of reviews into RecBole's atomic files and a file of texts."""


def amazon(
    context: typer.Context,
    reviews: Annotated[Path, typer.Option("--reviews", help="The reviews: .json or .jsonl, plain or .gz.")],
    out: OutOption,
    meta: Annotated[
        Path | None, typer.Option("--meta", help="The items' metadata of the same collection.")
    ] = None,
    min_user: MinUserOption = 20,
    min_item: MinItemOption = 5,
    file_format: FormatOption = "parquet",
    dedupe: DedupeOption = "latest",
    skip_broken: SkipOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Amazon Reviews of 2014, 2018 or 2023, as published; which of them, the fields of the file say."""
    from burnish.backbones.converters import Options, convert_amazon

    screen = Screen.of(context, quiet)
    options = Options(min_user, min_item, file_format, dedupe, skip_broken, force)
    with watching(screen) as watch:
        card = convert_amazon(reviews, out, meta=meta, options=options, watch=watch)
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
    min_user: MinUserOption = 20,
    min_item: MinItemOption = 5,
    file_format: FormatOption = "parquet",
    dedupe: DedupeOption = "latest",
    skip_broken: SkipOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Yelp's open data set, from the JSON files of its archive."""
    from burnish.backbones.converters import Options, convert_yelp

    screen = Screen.of(context, quiet)
    options = Options(min_user, min_item, file_format, dedupe, skip_broken, force)
    with watching(screen) as watch:
        card = convert_yelp(reviews, out, business=business, user=user, options=options, watch=watch)
    report(screen, card, out)


@contextmanager
def watching(screen: Screen) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over the bytes of the file that is being read, where somebody watches."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), DownloadColumn(), BarColumn(), TimeRemainingColumn())
    hidden = screen.quiet or not screen.notes.is_terminal
    with Progress(*columns, console=screen.notes, transient=True, disable=hidden) as progress:
        task, shown = progress.add_task("", total=None), ""

        def watch(stage: str, done: int, total: int) -> None:
            nonlocal shown
            if stage != shown:
                progress.reset(task, description=stage, total=total)
                shown = stage
            progress.update(task, completed=done)

        try:
            yield watch
        except KeyboardInterrupt:
            progress.stop()
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

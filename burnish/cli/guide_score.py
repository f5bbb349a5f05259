"""`burnish guide score`: score the items of a data set, or its users, on the attributes of a schema."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import guarded
from .screen import Screen

if TYPE_CHECKING:
    from burnish.enhancers.guided.attributes import AttributeSchema
    from burnish.enhancers.guided.scorers.llm import LLMScorer
    from burnish.enhancers.guided.scorers.protocol import Scores, Texts

SCORERS = ("llm", "encoder", "file", "shipped")
EPILOG = (
    "Examples:\n\n"
    "burnish guide score --dataset ml-100k --scorer encoder --schema films --out scores.tsv\n\n"
    "burnish guide score --dataset ml-100k --scorer llm --schema films --model NAME --dry-run "
    "--price-in 0.15 --price-out 0.60\n\n"
    "burnish guide score --dataset ml-100k --scorer llm --schema films.yaml --model NAME "
    "--base-url http://127.0.0.1:8000/v1 --ledger ledger.sqlite --max-usd 2 --price-in 0.15 --price-out 0.60 "
    "--out scores.tsv\n\n"
    "burnish guide score --dataset ml-100k --scorer llm --users --backbone SASRec --seed 7 --schema films "
    "--model NAME --out users.tsv\n\n"
    "The key comes from the environment variable that --api-key-env names, and is written nowhere. After Ctrl-C, or a "
    "limit, the same command goes on from the ledger. RecBole's options work as in `burnish run`: with --users they "
    "define the split whose training part is shown."
)


def add_to(guide: typer.Typer) -> None:
    """Register the verb."""
    guide.command(
        "score", epilog=EPILOG, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
    )(guarded(score))


def score(
    context: typer.Context,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Name of a RecBole data set, such as ml-100k.")
    ] = None,
    scorer: Annotated[str, typer.Option("--scorer", "-s", help="llm, encoder, file or shipped.")] = "encoder",
    schema: Annotated[
        str | None,
        typer.Option("--schema", help="A domain (`burnish guide schemas`) or a schema file (`guide init`)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "--output", "-o", help="Write to this .tsv, .csv or .parquet file."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Text columns of the items, separated by commas.")
    ] = None,
    itemtext: Annotated[
        Path | None, typer.Option("--itemtext", help="A .tsv or .tsv.gz with more text of the items.")
    ] = None,
    source: Annotated[Path | None, typer.Option("--from", help="file: the scores to read.")] = None,
    users: Annotated[
        bool, typer.Option("--users", help="llm: score users, from their training history.")
    ] = False,
    most: Annotated[
        int | None, typer.Option("--history", min=1, help="With --users: the last so many items (50).")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="With --users: split as for this backbone (BPR).")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="llm: its name. encoder: a folder or name (the packaged MiniLM)."),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="llm: the endpoint; by default OpenAI's.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", help="llm: variable with the key (OPENAI_API_KEY).")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", help="llm: wordings to average over, 1 to 3 (3).")
    ] = None,
    items_per_request: Annotated[
        int | None, typer.Option("--items-per-request", help="llm: items in one request (10).")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", help="llm: requests in flight (16).")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="llm: seconds a request may take (60).")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", help="llm: how often a request is sent again (6).")
    ] = None,
    price_in: Annotated[
        float | None, typer.Option("--price-in", help="llm: US dollars for a million tokens in.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", help="llm: US dollars for a million tokens out.")
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", help="llm: stop before more is spent; needs the prices.")
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", help="llm: stop before more are sent.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="llm: file of all requests and answers (ledger.sqlite).")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="llm: answers from the ledger only; no network.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="llm: print requests, tokens, price and a request; send nothing."),
    ] = False,
    config_files: Annotated[
        str | None,
        typer.Option("--config-files", "--config_files", "-c", help="RecBole's YAML files, with commas."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="RecBole's seed, which draws a random split.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")] = False,
) -> None:
    """Score items on attributes: by a language model, a sentence encoder, a file, or the scores in the package."""
    from burnish.enhancers.guided.scorers.files import check_output, write_scores

    screen = Screen.of(context, quiet)
    of_llm: dict[str, Any] = {
        "base_url": base_url,
        "api_key_env": api_key_env,
        "prompts": prompts,
        "items_per_request": items_per_request,
        "concurrency": concurrency,
        "timeout": timeout,
        "retries": retries,
        "price_in": price_in,
        "price_out": price_out,
        "max_usd": max_usd,
        "max_requests": max_requests,
        "ledger": ledger,
        "replay": replay or None,
        "dry_run": dry_run or None,
        "users": users or None,
    }
    given = {name: value for name, value in of_llm.items() if value is not None}
    check_words(scorer, given, model=model, source=source, users=users, most=most, backbone=backbone)
    if output is not None:
        check_output(output)
    elif not dry_run:
        raise typer.BadParameter("give the file to write, such as scores.tsv", param_hint="--out")
    chosen = find_schema(scorer, schema, dataset)
    material = Material.find(
        dataset, columns, itemtext, users, most, backbone, config_files, seed, context.args
    )
    if scorer == "llm":
        found = by_llm(screen, material, chosen, given, model)
        if found is None:
            return
    else:
        screen.say(f"scoring {len(material.texts)} items by {scorer} ...")
        found = make_scorer(scorer, material.dataset, model, source).score(material.texts, chosen)
    assert output is not None
    write_scores(found, output, id_column="user_id" if users else "item_id")
    say_what_came(screen, found, output)


# ---------------------------------------------------------------------- what is asked for


def check_words(
    scorer: str,
    given: dict[str, Any],
    *,
    model: str | None,
    source: Path | None,
    users: bool,
    most: int | None,
    backbone: str | None,
) -> None:
    """Options that do not belong together, before anything is read.

    Raises `UnknownNameError` for the scorer, `typer.BadParameter` for an option of another one.
    """
    from burnish.errors import unknown_name

    if scorer not in SCORERS:
        raise unknown_name("scorer", scorer, SCORERS)
    if scorer != "llm" and given:
        option = f"--{next(iter(given)).replace('_', '-')}"
        raise typer.BadParameter(f"this is an option of --scorer llm, not of {scorer}", param_hint=option)
    if scorer == "llm" and model is None:
        raise typer.BadParameter("name the model that the endpoint serves", param_hint="--model")
    if scorer in ("file", "shipped") and model is not None:
        raise typer.BadParameter(f"there is no model behind --scorer {scorer}", param_hint="--model")
    if (scorer == "file") != (source is not None):
        raise typer.BadParameter("--scorer file and --from FILE belong together", param_hint="--from")
    for option, value in (("--history", most), ("--backbone", backbone)):
        if value is not None and not users:
            raise typer.BadParameter("this is of use with --users only", param_hint=option)
    if (given.get("price_in") is None) != (given.get("price_out") is None):
        raise typer.BadParameter("give --price-in and --price-out together", param_hint="--price-in")


def find_schema(scorer: str, schema: str | None, dataset: str | None) -> AttributeSchema:
    """The schema asked for; that of the shipped scores where none is."""
    from burnish.enhancers.guided.attributes import load_schema, shipped_domains
    from burnish.enhancers.guided.scorers.shipped import shipped_schema
    from burnish.errors import ConfigurationError

    if schema is not None:
        return load_schema(schema)
    if scorer == "shipped" and dataset is not None:
        return shipped_schema(dataset)
    raise ConfigurationError(
        f"no schema is given; say --schema with a domain ({', '.join(shipped_domains())}) or a schema file "
        f"(burnish guide init writes one)"
    )


@dataclass(frozen=True)
class Material:
    """What is scored: the texts of a data set's items, or of its users."""

    dataset: str
    texts: Texts
    users: bool

    @classmethod
    def find(
        cls,
        dataset: str | None,
        columns: str | None,
        itemtext: Path | None,
        users: bool,
        most: int | None,
        backbone: str | None,
        config_files: str | None,
        seed: int | None,
        words: list[str],
    ) -> Material:
        """Read the texts; with `users` also the data, to split them as training would."""
        from .guide_texts import data_config, texts_of_items, texts_of_users
        from .request import make_request

        request = make_request(
            model=backbone or "BPR",
            dataset=dataset,
            enhancers=None,
            config_files=config_files,
            seed=seed,
            words=words,
        )
        config = data_config(
            request.dataset,
            backbone=request.model,
            config_files=request.config_files,
            options=request.options,
            seed=seed,
        )
        names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
        texts = texts_of_items(config, names, itemtext)
        if users:
            texts = texts_of_users(config, texts, most=most or 50)
        return cls(request.dataset, texts, users)


def make_scorer(scorer: str, dataset: str, model: str | None, source: Path | None) -> Any:
    """A scorer that asks nobody."""
    if scorer == "encoder":
        from burnish.enhancers.guided.scorers.encoder import EncoderScorer

        return EncoderScorer(model)
    if scorer == "file":
        from burnish.enhancers.guided.scorers.files import FileScorer

        assert source is not None
        return FileScorer(source)
    from burnish.enhancers.guided.scorers.shipped import ShippedScorer

    return ShippedScorer(dataset)


# ---------------------------------------------------------------------- by a language model


def by_llm(
    screen: Screen, material: Material, schema: AttributeSchema, given: dict[str, Any], model: str | None
) -> Scores | None:
    """Ask the model, with a bar where somebody watches; None after a dry run."""
    scorer = make_llm(given, model or "")
    if given.get("dry_run"):
        show_dry_run(screen, scorer, material, schema)
        return None
    who = "users" if material.users else "items"
    screen.say(f"scoring {len(material.texts)} {who} by {model}; ledger: {scorer.settings.ledger}")
    with progress_of(screen) as scorer.progress:
        try:
            found = scorer.score(material.texts, schema)
        except KeyboardInterrupt:
            where = shlex.quote(str(scorer.settings.ledger))
            screen.say(f"stopped; all answers so far are in {where}, and the same command goes on from there")
            raise
    if scorer.budget is not None:
        for line in scorer.budget.lines():
            screen.say(f"used: {line}")
    else:
        screen.say("nothing was sent: all answers were in the ledger")
    return found


def make_llm(given: dict[str, Any], model: str) -> LLMScorer:
    """The scorer, of items or of users.  Raises `ConfigurationError` for an option that cannot be used."""
    from burnish.enhancers.guided.cost import Limits, Price
    from burnish.enhancers.guided.scorers.llm import LLMScorer, LLMUserScorer

    kind = LLMUserScorer if given.get("users") else LLMScorer
    price = Price(given["price_in"], given["price_out"]) if "price_in" in given else None
    own = ("dry_run", "users", "price_in", "price_out", "max_usd", "max_requests", "ledger")
    return kind(
        model=model,
        ledger=given.get("ledger", Path("ledger.sqlite")),
        limits=Limits(given.get("max_usd"), given.get("max_requests")),
        price=price,
        **{name: value for name, value in given.items() if name not in own},
    )


def show_dry_run(screen: Screen, scorer: LLMScorer, material: Material, schema: AttributeSchema) -> None:
    """What would be sent, what it would cost, and one whole request."""
    for line in scorer.estimate(material.texts, schema).lines():
        screen.write(line)
    first = next(iter(scorer.requests(material.texts, schema)), None)
    if first is None:
        screen.write("nothing would be sent: all answers are in the ledger")
        return
    screen.write("the first request:")
    screen.write(json.dumps(first, indent=2, ensure_ascii=False))


@contextmanager
def progress_of(screen: Screen) -> Iterator[Callable[[int, int], None]]:
    """A bar of answers, and what moves it (from any thread)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("answers"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    hidden = screen.quiet or not screen.notes.is_terminal
    with Progress(*columns, console=screen.notes, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


# ---------------------------------------------------------------------- afterwards


def say_what_came(screen: Screen, scores: Scores, output: Path, most: int = 3) -> None:
    """How much was scored, and the first of what was not."""
    import numpy as np

    unknown = int(np.isnan(scores.values).any(axis=1).sum())
    n, m = scores.values.shape
    screen.say(
        f"written: {output} ({n} rows, {m} attributes{f', {unknown} rows with gaps' if unknown else ''})"
    )
    for token, note in list(scores.notes.items())[:most]:
        screen.say(f"  {token}: {note}")
    if len(scores.notes) > most:
        screen.say(f"  and {len(scores.notes) - most} more")

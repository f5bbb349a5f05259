"""`burnish guide score`: score the items of a data set, or its users, on the attributes of a schema."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from .screen import Screen
from .shared import Dataset, config_files_option, out_option, quiet_option

if TYPE_CHECKING:
    from burnish.enhancers.guided.attributes import AttributeSchema
    from burnish.enhancers.guided.scorers.llm import LLMScorer
    from burnish.enhancers.guided.scorers.protocol import Scores, Texts

LEDGER = Path("ledger.sqlite")
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


class LLMHelp(TyperCommand):
    """The verb; options of the llm scorer without a help text of their own get that of their field of `Settings`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help.  Only now `Settings` is imported, which `burnish --help` has no need of."""
        from burnish.enhancers.guided.scorers.settings import Settings

        for option in self.params:
            field = Settings.model_fields.get(option.name or "")
            if isinstance(option, TyperOption) and not option.help and field is not None:
                default = LEDGER if field.is_required() else field.default
                summary = str(field.description).split(". ")[0]
                switch_or_none = default is None or isinstance(default, bool)
                shown = f"{default:g}" if isinstance(default, float) else str(default)
                option.help = f"llm: {summary}." if switch_or_none else f"llm: {summary} ({shown})."
        super().format_help(ctx, formatter)


@dataclass(frozen=True, kw_only=True)
class LLMOptions:
    """The options of the language model; where nothing is said of one, it is as in `Settings`."""

    base_url: str | None = None
    api_key_env: str | None = None
    prompts: int | None = None
    items_per_request: int | None = None
    concurrency: int | None = None
    timeout: float | None = None
    retries: int | None = None
    price_in: Annotated[
        float | None, typer.Option("--price-in", help="llm: US dollars for a million tokens in.")
    ] = None
    price_out: Annotated[
        float | None, typer.Option("--price-out", help="llm: US dollars for a million tokens out.")
    ] = None
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", help="llm: stop before more is spent; needs the prices.")
    ] = None
    max_requests: Annotated[
        int | None, typer.Option("--max-requests", help="llm: stop before more are sent.")
    ] = None
    ledger: Path | None = None
    replay: Annotated[bool, typer.Option("--replay")] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="llm: print requests, tokens, price and a request; send nothing."),
    ] = False

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: value for name, value in vars(self).items() if value is not None and value is not False}


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """The options of the verb."""

    dataset: Dataset = None
    scorer: Annotated[str, typer.Option("--scorer", "-s", help="llm, encoder, file or shipped.")] = "encoder"
    schema: Annotated[
        str | None,
        typer.Option("--schema", help="A domain (`burnish guide schemas`) or a schema file (`guide init`)."),
    ] = None
    output: Annotated[Path | None, out_option("Write to this .tsv, .csv or .parquet file.")] = None
    columns: Annotated[
        str | None, typer.Option("--columns", help="Text columns of the items, separated by commas.")
    ] = None
    itemtext: Annotated[
        Path | None, typer.Option("--itemtext", help="A .tsv or .tsv.gz with more text of the items.")
    ] = None
    source: Annotated[Path | None, typer.Option("--from", help="file: the scores to read.")] = None
    users: Annotated[bool, typer.Option("--users", help="llm: score users, from their training history.")] = (
        False
    )
    most: Annotated[
        int | None, typer.Option("--history", min=1, help="With --users: the last so many items (50).")
    ] = None
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="With --users: split as for this backbone (BPR).")
    ] = None
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="llm: its name. encoder: a folder or name (the packaged MiniLM)."),
    ] = None
    llm: LLMOptions
    config_files: Annotated[str | None, config_files_option("RecBole's YAML files, with commas.")] = None
    seed: Annotated[
        int | None, typer.Option("--seed", help="RecBole's seed, which draws a random split.")
    ] = None
    quiet: Annotated[bool, quiet_option("No progress and no remarks.")] = False


def score(context: typer.Context, options: ScoreOptions) -> None:
    """Score items on attributes: by a language model, a sentence encoder, a file, or the scores in the package."""
    from burnish.enhancers.guided.scorers.files import check_output, write_scores
    from burnish.telling import counted

    from .guide_texts import config_of, texts_to_score
    from .run_request import make_request, refuse_misspelt

    screen = Screen.of(context, options.quiet)
    check_combination(options)
    if options.output is not None:
        check_output(options.output)
    elif not options.llm.dry_run:
        raise typer.BadParameter("give the file to write, such as scores.tsv", param_hint="--out")
    schema = find_schema(options)
    request = make_request(
        model=options.backbone or "BPR",
        dataset=options.dataset,
        enhancers=None,
        config_files=options.config_files,
        seed=options.seed,
        words=context.args,
    )
    refuse_misspelt(request, context)
    config = config_of(request)
    texts = texts_to_score(
        config,
        columns=options.columns,
        itemtext=options.itemtext,
        users=options.users,
        most=options.most,
    )
    if options.llm.dry_run:
        show_dry_run(screen, make_llm(options), texts, schema)
        return
    if options.scorer == "llm":
        scores = score_by_llm(screen, options, texts, schema)
    else:
        screen.say(f"scoring {counted(len(texts), 'item')} by {options.scorer} ...")
        scores = make_scorer(options, config).score(texts, schema)
    assert options.output is not None
    write_scores(scores, options.output, id_column="user_id" if options.users else "item_id")
    summarise(screen, scores, options.output)


# ---------------------------------------------------------------------- what is asked for


def check_combination(options: ScoreOptions) -> None:
    """Options that do not belong together, before anything is read.

    Raises `UnknownNameError` for the scorer, `typer.BadParameter` for an option of another one.
    """
    from burnish.errors import unknown_name

    scorer, llm = options.scorer, options.llm
    if scorer not in SCORERS:
        raise unknown_name("scorer", scorer, SCORERS)
    of_llm = [*llm.given(), *(["users"] if options.users else [])]
    if scorer != "llm" and of_llm:
        option = f"--{of_llm[0].replace('_', '-')}"
        raise typer.BadParameter(f"this is an option of --scorer llm, not of {scorer}", param_hint=option)
    if scorer == "llm" and options.model is None:
        raise typer.BadParameter("name the model that the endpoint serves", param_hint="--model")
    if scorer in ("file", "shipped") and options.model is not None:
        raise typer.BadParameter(f"there is no model behind --scorer {scorer}", param_hint="--model")
    if (scorer == "file") != (options.source is not None):
        raise typer.BadParameter("--scorer file and --from FILE belong together", param_hint="--from")
    for option, value in (("--history", options.most), ("--backbone", options.backbone)):
        if value is not None and not options.users:
            raise typer.BadParameter("this is of use with --users only", param_hint=option)
    if (llm.price_in is None) != (llm.price_out is None):
        raise typer.BadParameter("give --price-in and --price-out together", param_hint="--price-in")


def find_schema(options: ScoreOptions) -> AttributeSchema:
    """The schema asked for; that of the shipped scores where none is."""
    from burnish.enhancers.guided.attributes import load_schema, shipped_domains
    from burnish.enhancers.guided.scorers.shipped import shipped_schema
    from burnish.errors import ConfigurationError

    if options.schema is not None:
        return load_schema(options.schema)
    if options.scorer == "shipped" and options.dataset is not None:
        return shipped_schema(options.dataset)
    raise ConfigurationError(
        f"no schema is given; say --schema with a domain ({', '.join(shipped_domains())}) or a schema file "
        f"(burnish guide init writes one)"
    )


def make_scorer(options: ScoreOptions, config: Any) -> Any:
    """A scorer that asks nobody."""
    if options.scorer == "encoder":
        from burnish.enhancers.guided.scorers.encoder import EncoderScorer

        return EncoderScorer(options.model)
    if options.scorer == "file":
        from burnish.enhancers.guided.scorers.files import FileScorer
        from burnish.files.data_names import data_names

        assert options.source is not None
        return FileScorer(options.source, data_names(config))
    from burnish.enhancers.guided.scorers.shipped import ShippedScorer

    return ShippedScorer(config["dataset"])


# ---------------------------------------------------------------------- by a language model


def score_by_llm(screen: Screen, options: ScoreOptions, texts: Texts, schema: AttributeSchema) -> Scores:
    """Ask the model, with a bar where somebody watches."""
    from burnish.telling import counted

    scorer = make_llm(options)
    ledger = scorer.settings.ledger
    who = counted(len(texts), "user" if options.users else "item")
    screen.say(f"scoring {who} by {options.model}; ledger: {ledger}")
    with screen.bar("answers") as move:
        scorer.progress = lambda done, total: move(completed=done, total=total)
        try:
            scores = scorer.score(texts, schema)
        except KeyboardInterrupt:
            where = shlex.quote(str(ledger))
            screen.say(f"stopped; all answers so far are in {where}, and the same command goes on from there")
            raise
    if scorer.budget is not None:
        for line in scorer.budget.lines():
            screen.say(f"used: {line}")
    else:
        screen.say("nothing was sent: all answers were in the ledger")
    return scores


def make_llm(options: ScoreOptions) -> LLMScorer:
    """The scorer, of items or of users.  Raises `ConfigurationError` for an option that cannot be used."""
    from burnish.enhancers.guided.cost import Limits, Price
    from burnish.enhancers.guided.scorers.llm import LLMScorer, LLMUserScorer
    from burnish.enhancers.guided.scorers.settings import Settings

    llm, price = options.llm, None
    if llm.price_in is not None and llm.price_out is not None:
        price = Price(llm.price_in, llm.price_out)
    settings = {name: value for name, value in llm.given().items() if name in Settings.model_fields}
    return (LLMUserScorer if options.users else LLMScorer)(
        model=options.model,
        limits=Limits(llm.max_usd, llm.max_requests),
        price=price,
        **{"ledger": LEDGER, **settings},
    )


def show_dry_run(screen: Screen, scorer: LLMScorer, texts: Texts, schema: AttributeSchema) -> None:
    """What would be sent, what it would cost, and one whole request."""
    for line in scorer.estimate(texts, schema).lines():
        screen.write(line)
    first = next(iter(scorer.requests(texts, schema)), None)
    if first is None:
        screen.write("nothing would be sent: all answers are in the ledger")
        return
    screen.write("the first request:")
    screen.write(json.dumps(first, indent=2, ensure_ascii=False))


# ---------------------------------------------------------------------- afterwards


def summarise(screen: Screen, scores: Scores, output: Path, most: int = 3) -> None:
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

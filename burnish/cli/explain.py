"""`burnish explain`: why a trained run recommends what it recommends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .compound import Ids
from .explain_tables import Profiles, show
from .screen import Screen, make_console, plain_console
from .shared import (
    DataPath,
    Quiet,
    Run,
    RunModel,
    State,
    TitleField,
    Trust,
    choose_format,
    format_option,
    out_option,
    share_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from burnish.explanation import Explanation
    from burnish.files.data_names import DataNames
    from burnish.trained.explain import Explainer

EPILOG = (
    "Examples:\n\n"
    "burnish run --model BPR --dataset ml-100k --enhancers guided --output out, then: "
    "burnish explain --run out --user 196\n\n"
    "burnish explain --run out --user 196 --user 186 --top 3 --profile\n\n"
    "burnish explain --run out --user 196 --item 242 --reasons 16 --out why.json\n\n"
    "burnish explain out --user 196 --html why.html\n\n"
    "burnish explain out --batch --out why.parquet (all users; --shard 1/4 for a quarter of them)\n\n"
    "Reasons come from the enhancers guided (attributes of the item), paths and shapley, from backbones that explain "
    "themselves (DReX: words of reviews), and for every other model from the user's history; the docs say what their "
    "numbers mean (docs/explain.md)."
)
UsersToExplain = Annotated[list[str] | None, Ids("user", "-u", "Original ids of users, separated by commas.")]
ItemsToExplain = Annotated[
    list[str] | None,
    Ids("item", "-i", "Explain these items instead of the best ones: original ids, separated by commas."),
]
SHOWN, WRITTEN = ("table", "csv", "json"), ("json", "csv", "parquet", "txt")


def explain(
    context: typer.Context,
    run: Run,
    users: UsersToExplain = None,
    items: ItemsToExplain = None,
    top: Annotated[int, typer.Option("--top", "-k", help="How many recommendations a user.")] = 5,
    reasons: Annotated[
        int, typer.Option("--reasons", help="How many reasons of each, those for the item first.")
    ] = 3,
    enhancer: Annotated[
        str | None,
        typer.Option(
            "--enhancer", "-e", help="Whose reasons: guided, backbone, history, ...; all but it by default."
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also what the user and the items are like (guided, DReX).")
    ] = False,
    state: State = "latest",
    budget: Annotated[
        int | None,
        typer.Option("--budget", min=1, help="Histories to score for a user, where a history is estimated."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of what is estimated.")] = 0,
    of: Annotated[
        str | None,
        typer.Option(
            "--of", help="What reasons from a history are of: score, or standing (above the average item)."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write a page for people: one .html file that needs no network."),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch", help="Many users, by default all, into --out, a parquet file; goes on if stopped."
        ),
    ] = False,
    shard: Annotated[
        str | None, typer.Option("--shard", help="With --batch: I/N, the I-th of N shares of the users.")
    ] = None,
    written_by: Annotated[
        str | None,
        typer.Option(
            "--written-by", help="With --html: a language model writes the sentences, from the reasons alone."
        ),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="With --written-by: file of all requests and answers.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="With --written-by: the endpoint; by default OpenAI's.")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", help="With --written-by: the environment variable with the key.")
    ] = "OPENAI_API_KEY",
    title_field: TitleField = None,
    output: Annotated[
        Path | None, out_option("Write to this file: .json (one object a line), .csv, .parquet or .txt.")
    ] = None,
    format: Annotated[
        str | None, format_option("table, csv or json; of a file json, csv, parquet or txt (by its suffix).")
    ] = None,
    data_path: DataPath = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """Why users are recommended what they are: reasons with their share of the score, in words."""
    from burnish.errors import ConfigurationError
    from burnish.files.data_names import data_names
    from burnish.telling import counted
    from burnish.trained.explain import Explainer
    from burnish.trained.finished_shards import check_writable
    from burnish.trained.open import open_trained

    screen = Screen.of(context, quiet)
    if output is not None and output.suffix.lower() == ".txt":
        format = format or "txt"
    kind = choose_format(format, output, shown=SHOWN, written=WRITTEN)
    check_batch(batch, shard, users=users, items=items, profile=profile, html=html, output=output)
    if written_by is not None and (html is None or ledger is None):
        raise ConfigurationError(
            "--written-by: sentences are on the page and every answer is kept; give --html PAGE.html and --ledger FILE"
        )
    if written_by is None and (ledger is not None or base_url is not None):
        raise ConfigurationError("--ledger and --base-url are of --written-by MODEL, which is not given")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"--html {html}: the page is HTML; give a file name that ends in .html")
    for path in (html, output):
        if path is not None:
            check_writable(path)
    if profile and kind in ("csv", "parquet"):
        raise ConfigurationError(f"--profile has no place in {kind}; use a table, .txt or .json")
    screen.say("reading the run and its data ...")
    explainer = Explainer(
        open_trained(run, model=model, data_path=data_path, trust=trust),
        top=top,
        reasons=reasons,
        enhancer=enhancer,
        state=state,
        budget=budget,
        seed=seed,
        of=of,
        title_field=title_field,
    )
    for text in explainer.about():
        screen.say(text)
    if batch:
        assert output is not None
        explain_many(screen, explainer, output, users, None if shard is None else share_of(shard))
        return
    explanations = list(explainer.explanations(users or [], items))
    profiles = collect_profiles(explainer, explanations) if profile else None
    names = data_names(explainer.trained.config)
    if html is not None:
        from burnish.files.whole import write_text
        from burnish.trained.page import to_page

        sentences = None
        if written_by is not None:
            from burnish.trained.written_sentences import SentenceWriter

            assert ledger is not None
            screen.say(f"asking {written_by} for {counted(len(explanations), 'sentence')} ...")
            writer = SentenceWriter(written_by, ledger, explainer.titles, base_url, api_key_env)
            sentences = writer.write(explanations)
        write_text(html, to_page(explainer, explanations, sentences=sentences))
        screen.say(f"written: {html} ({counted(len(explanations), 'recommendation')} explained)")
    if output is None and html is None:
        to_screen(screen, explanations, profiles, kind, names)
    elif output is not None:
        to_file(output, explanations, profiles, kind, names)
        screen.say(f"written: {output} ({counted(len(explanations), 'recommendation')} explained)")


def check_batch(batch: bool, shard: str | None, **given: Any) -> None:
    """Refuse options that do not go together, before anything is read."""
    from burnish.errors import ConfigurationError

    if not batch:
        if shard is not None:
            raise ConfigurationError(f"--shard {shard}: it shares out the users of --batch; give --batch too")
        if not given["users"]:
            raise typer.BadParameter(
                "no user is named; give original ids, such as --users 196,186, or --batch for all",
                param_hint="--users",
            )
        return
    for name in ("items", "profile", "html"):
        if given[name]:
            raise ConfigurationError(
                f"--{name.removesuffix('s')} has no place beside --batch, which explains many users' best items in a "
                f"table; leave one of them out"
            )
    if shard is not None:
        share_of(shard)
    output = given["output"]
    if output is None or output.suffix.lower() not in (".parquet", ".pq"):
        raise ConfigurationError("--batch writes a parquet file; give --out NAME.parquet")


def explain_many(
    screen: Screen, explainer: Explainer, output: Path, users: list[str] | None, share: tuple[int, int] | None
) -> None:
    """The users into a parquet file, with a bar in a terminal, else a line now and then; after Ctrl-C how to go on."""
    from burnish.telling import counted, stage
    from burnish.trained.explain_batch import explain_batch

    done = kept = whole = 0
    lines = None if screen.watched else stage("explained: shard")
    try:
        with screen.bar("shards of users") as move:

            def advance(number: int, total: int, was_there: bool) -> None:
                nonlocal done, kept, whole
                done, kept, whole = number, kept + was_there, total
                move(completed=number, total=total)
                if lines is not None:
                    lines.step()

            target, explained = explain_batch(explainer, output, users, share=share, progress=advance)
    except KeyboardInterrupt:
        if done:
            screen.say(f"stopped after {done} of {whole} shards; the same command goes on from there")
        else:
            screen.say("stopped before the end of the first shard; nothing to go on from")
        raise
    if kept:
        screen.say(f"{kept} of {whole} shards were there already")
    if share is not None and not whole:
        screen.say(
            f"there are no users for part {share[0] + 1} of {share[1]}: they are fewer than the parts; the "
            f"file has heads alone"
        )
    screen.say(f"written: {target} ({counted(explained, 'recommendation')} explained)")


def collect_profiles(explainer: Explainer, explanations: Sequence[Explanation]) -> Profiles:
    """The profiles of all users and items, by ("user" or "item", id).

    Raises `UnsupportedError` where nobody knows profiles.
    """
    from burnish.errors import UnsupportedError

    giver = explainer.profile_giver
    if giver is None:
        names = ", ".join(one.name for one in explainer.givers)
        raise UnsupportedError(
            f"--profile: profiles are made of attributes or of words, which {names} has none of; train with guided, or "
            f"a DReX"
        )
    profiles = Profiles()
    profiles.words = giver.is_backbone
    for one in explanations:
        for key in (("user", one.user), ("item", one.item)):
            if key in profiles:
                continue
            profiles[key] = explainer.profile("user" if key[0] == "user" else "item", key[1]) or {}
    return profiles


def to_screen(
    screen: Screen,
    explanations: Sequence[Explanation],
    profiles: Profiles | None,
    kind: str,
    names: DataNames,
) -> None:
    """Everything on standard output."""
    if kind == "table":
        show(screen.results, explanations, profiles, names)
    elif kind == "csv":
        screen.write(named_frame(explanations, names).to_csv(index=False, lineterminator="\n").rstrip("\n"))
    else:
        screen.write("\n".join(json_lines(explanations, profiles, names)))


def to_file(
    path: Path, explanations: Sequence[Explanation], profiles: Profiles | None, kind: str, names: DataNames
) -> None:
    """A whole file or none."""

    from burnish.files.tables import TableFile, written_whole

    if kind in ("csv", "parquet"):
        with TableFile(path, kind) as file:
            file.write(named_frame(explanations, names))
        return
    with written_whole(path) as beside, beside.open("w", encoding="utf-8") as stream:
        if kind == "json":
            stream.writelines(f"{text}\n" for text in json_lines(explanations, profiles, names))
        else:
            show(plain_console(file=stream, width=make_console().width), explanations, profiles, names)


def named_frame(explanations: Sequence[Explanation], names: DataNames) -> pd.DataFrame:
    """One row a reason, with the data set's own names for users and items."""
    from burnish.explanation import as_frame

    frame = as_frame(explanations)
    return frame.rename(columns=names.heads(frame.columns))


def json_lines(explanations: Sequence[Explanation], profiles: Profiles | None, names: DataNames) -> list[str]:
    """One object a recommendation, with the profiles of its user and item where they are wanted."""
    from burnish.explanation import as_json

    lines = []
    for one in explanations:
        content = one.to_dict()
        heads = names.heads(content)
        content = {heads.get(name, name): value for name, value in content.items()}
        if profiles is not None:
            content["user_profile"] = profiles["user", one.user]
            content["item_profile"] = profiles["item", one.item]
        lines.append(as_json(content))
    return lines

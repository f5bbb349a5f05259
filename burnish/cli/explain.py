"""`burnish explain`: why a trained run recommends what it recommends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .compound import Ids
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
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from burnish.explanation import Explanation
    from burnish.files.data_names import DataNames
    from burnish.trained.explain import Explainer

EPILOG = (
    "Examples:\n\n"
    "burnish run --model BPR --dataset ml-100k --enhancers guided --output out, then: "
    "burnish explain --run out --user 196\n\n"
    "burnish explain --run out --user 196 --user 186 --top 3 --profile\n\n"
    "burnish explain --run out --user 196 --item 242 --reasons 16 --out why.json\n\n"
    "Reasons come from the enhancers guided (attributes of the item) and shapley (the user's own history), and from "
    "backbones that explain themselves (DReX: words of reviews); the docs say what their numbers mean "
    "(docs/explain.md)."
)
UsersToExplain = Annotated[list[str], Ids("user", "-u", "Original ids of users, separated by commas.")]
ItemsToExplain = Annotated[
    list[str] | None,
    Ids("item", "-i", "Explain these items instead of the best ones: original ids, separated by commas."),
]
SHOWN, WRITTEN = ("table", "csv", "json"), ("json", "csv", "parquet", "txt")


def explain(
    context: typer.Context,
    run: Run,
    users: UsersToExplain,
    items: ItemsToExplain = None,
    top: Annotated[int, typer.Option("--top", "-k", help="How many recommendations a user.")] = 5,
    reasons: Annotated[
        int, typer.Option("--reasons", help="How many reasons of each, those for the item first.")
    ] = 3,
    enhancer: Annotated[
        str | None,
        typer.Option("--enhancer", "-e", help="Whose reasons: guided, backbone, history, ...; all but it by default."),
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
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page for people: one .html file that needs no network.")
    ] = None,
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
    from burnish.trained.explain import Explainer
    from burnish.trained.finished_shards import check_writable
    from burnish.trained.open import open_trained

    screen = Screen.of(context, quiet)
    if output is not None and output.suffix.lower() == ".txt":
        format = format or "txt"
    kind = choose_format(format, output, shown=SHOWN, written=WRITTEN)
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"--html {html}: the page is HTML; give a file name that ends in .html")
    if html is not None:
        check_writable(html)
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
        title_field=title_field,
    )
    for text in explainer.about():
        screen.say(text)
    explanations = list(explainer.explanations(users, items))
    profiles = collect_profiles(explainer, explanations) if profile else None
    names = data_names(explainer.trained.config)
    if html is not None:
        from burnish.files.whole import write_text
        from burnish.trained.page import to_page

        write_text(html, to_page(explainer, explanations))
        screen.say(f"written: {html} ({len(explanations)} recommendations explained)")
    if output is None and html is None:
        to_screen(screen, explanations, profiles, kind, names)
    elif output is not None:
        to_file(output, explanations, profiles, kind, names)
        screen.say(f"written: {output} ({len(explanations)} recommendations explained)")


class Profiles(dict[tuple[str, str], dict[str, float]]):
    """Profiles by ("user" or "item", id).

    words: whether they are of words, each with words of its own, and not all of the same attributes.
    """

    words = False


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


def show(
    console: Console, explanations: Sequence[Explanation], profiles: Profiles | None, names: DataNames
) -> None:
    """A table a user, for people; before it their profile beside those of the items, where it is wanted."""
    for user in dict.fromkeys(one.user for one in explanations):
        recommended = [one for one in explanations if one.user == user]
        if profiles is not None:
            table = word_table if profiles.words else profile_table
            console.print(table(f"{names.user} {user}", user, recommended, profiles))
        console.print(reason_table(user, recommended, names))


def reason_table(user: str, recommended: Sequence[Explanation], names: DataNames) -> Any:
    """The recommendations of one user, each with its reasons line by line."""
    from rich.table import Table
    from rich.text import Text

    from burnish.explanation import PARTS
    from burnish.trained.explanation_formats import line

    shares = [one.share for one in recommended]
    table = Table(title=Text(f"{names.user} {user}"), title_justify="left", show_lines=True)
    table.add_column(Text(names.item))
    table.add_column("score", justify="right")
    if any(part is not None for part in shares):
        table.add_column("by attributes", justify="right")
    weights = {reason.kind for one in recommended for reason in one.reasons} - set(PARTS)
    table.add_column("reasons, with their weight" if weights else "what adds to it, or takes from it")
    for one, part in zip(recommended, shares, strict=True):
        lines = [line(reason) for reason in one.reasons]
        lines += [f"({one.note})"] if one.note else []
        cells = [one.name, f"{one.score:.4f}"]
        if len(table.columns) == 4:
            cells.append("" if part is None else f"{part:.0%}")
        table.add_row(*(Text(cell) for cell in [*cells, "\n".join(lines)]))
    return table


def profile_table(name: str, user: str, recommended: Sequence[Explanation], profiles: Profiles) -> Any:
    """What a user likes, most liked first, and what each of the items is like."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"attributes: {name} and the items, in standard deviations"), title_justify="left"
    )
    table.add_column("attribute")
    for head in (name, *(one.name for one in recommended)):
        table.add_column(Text(head), justify="right")
    for attribute, value in profiles["user", user].items():
        row = [value, *(profiles["item", one.item][attribute] for one in recommended)]
        table.add_row(attribute, *(f"{number:+.1f}" for number in row))
    return table


def word_table(name: str, user: str, recommended: Sequence[Explanation], profiles: Profiles) -> Any:
    """The words of a user and of each of the items, a column each, with the sum of attention on them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"words: {name} and the items, with the attention on them"), title_justify="left"
    )
    columns = [profiles["user", user], *(profiles["item", one.item] for one in recommended)]
    for head in (name, *(one.name for one in recommended)):
        table.add_column(Text(head))
    for place in range(max(map(len, columns))):
        cells = [list(column.items())[place : place + 1] for column in columns]
        table.add_row(*(Text(f"{cell[0][0]} {cell[0][1]:.2f}" if cell else "") for cell in cells))
    return table

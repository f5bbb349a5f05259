"""`burnish guide`: interpretable attributes of items, scored and looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .compound import Ids
from .guide_score import EPILOG as SCORE_EPILOG
from .guide_score import LLMHelp, score
from .screen import Screen
from .shared import (
    NamesOnly,
    Silent,
    add_verb,
    config_files_option,
    data_path_option,
    out_option,
    quiet_option,
)

if TYPE_CHECKING:
    from burnish.enhancers.guided.scorers.protocol import Scores

EPILOG = (
    "Examples:\n\n"
    "burnish guide init --domain films --out films.yaml\n\n"
    "burnish guide score --dataset ml-100k --scorer encoder --schema films --out scores.tsv\n\n"
    "burnish guide show --scores scores.tsv --dataset ml-100k --top violence"
)


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog=EPILOG)
def describe() -> None:
    """Interpretable attributes of items, for guided refinement: schemas, scores, and a look at both."""


def schemas(
    context: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Only this one, as its file has it.")] = None,
    quiet: NamesOnly = False,
) -> None:
    """List the shipped schemas of attributes, or print one of them."""
    from rich.table import Table

    from burnish.enhancers.guided.attributes import load_schema, shipped_domains, shipped_text

    screen = Screen.of(context, quiet)
    if domain is not None:
        screen.write(shipped_text(domain).rstrip("\n"))
        return
    if screen.quiet:
        screen.write("\n".join(shipped_domains()))
        return
    table = Table("domain", "scale", "n", "attributes")
    for name in shipped_domains():
        schema = load_schema(name)
        scale = f"{schema.scale[0]} to {schema.scale[1]}"
        table.add_row(name, scale, str(len(schema.names)), ", ".join(schema.names), end_section=True)
    screen.results.print(table)


def init(
    context: typer.Context,
    domain: Annotated[
        str, typer.Option("--domain", "-d", help="Which shipped schema; `burnish guide schemas` lists them.")
    ],
    output: Annotated[Path | None, out_option("The file to write (DOMAIN.yaml).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    quiet: Silent = False,
) -> None:
    """Write the schema of a domain into a file, to be edited and given to `guide score --schema`."""
    from burnish.enhancers.guided.attributes import shipped_text, write_schema

    path = output or Path(f"{domain}.yaml")
    write_schema(shipped_text(domain), path, overwrite=overwrite)
    Screen.of(context, quiet).say(f"written: {path}; edit it, then: burnish guide score --schema {path} ...")


SHOW_EPILOG = (
    "Examples:\n\n"
    "burnish guide show --scores ml-100k\n\n"
    "burnish guide show --scores ml-100k --item 50\n\n"
    "burnish guide show --scores scores.tsv --dataset ml-100k --top humor --k 20"
)


def show(
    context: typer.Context,
    source: Annotated[
        str, typer.Option("--scores", "-s", help="ml-100k for the shipped scores, or a file of scores.")
    ],
    items: Annotated[
        list[str] | None,
        Ids("item", "-i", "The profiles of these items (or users): original ids, separated by commas."),
    ] = None,
    top: Annotated[
        str | None, typer.Option("--top", "-t", help="The items that are highest and lowest on an attribute.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many at either end.")] = 10,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Data set with the items' titles.")
    ] = None,
    data_path: Annotated[Path | None, data_path_option("The folder that holds the data set.")] = None,
    config_files: Annotated[str | None, config_files_option("RecBole's YAML files, with commas.")] = None,
    quiet: Annotated[bool, quiet_option("Print the table only.")] = False,
) -> None:
    """Look at scores: all attributes, one item's profile, or the ends of one attribute.

    With --dataset, RecBole's options work as in `burnish run`: --ITEM_ID_FIELD=sku.
    """
    from burnish.enhancers.guided.scorers.shipped import load_scores, shipped_names
    from burnish.errors import unknown_id, unknown_name
    from burnish.files.data_names import data_names
    from burnish.training.inputs.arguments import if_several

    from .guide_texts import config_of, titles_of
    from .run_request import make_request, refuse_misspelt

    screen = Screen.of(context, quiet)
    if items is not None and top is not None:
        raise typer.BadParameter("give --item or --top, not both", param_hint="--item")
    named = dataset or (source if source in shipped_names() else None)
    if named is None and (config_files is not None or context.args):
        given = " ".join(context.args) or f"--config-files {config_files}"
        raise typer.BadParameter(f"{given} says how a data set is read; name it", param_hint="--dataset")
    config = None
    if named is not None:
        words = [*context.args, *([] if data_path is None else [f"--data_path={data_path}"])]
        request = make_request(
            model="BPR", dataset=named, enhancers=None, config_files=config_files, seed=None, words=words
        )
        refuse_misspelt(request, context)
        config = config_of(request)
    scores = load_scores(source, names=None if config is None else data_names(config))
    for item in items or ():
        if item not in scores.ids:
            raise unknown_id("id", item, scores.ids, cure=if_several([item], "--items").strip())
    if top is not None and top not in scores.attributes:
        raise unknown_name("attribute", top, scores.attributes)
    titles = {} if config is None else titles_of(config)
    if dataset is not None and not titles:
        screen.say(f"data set {dataset} has no titles")
    if items is not None:
        for item in items:
            screen.results.print(profile(scores, item, titles))
    elif top is not None:
        screen.results.print(ends(scores, top, k, titles))
    else:
        screen.results.print(summary(scores, titles))


add_verb(app, schemas)
add_verb(app, init)
add_verb(app, score, SCORE_EPILOG, recbole_options=True, threads=True, command=LLMHelp)
add_verb(app, show, SHOW_EPILOG, recbole_options=True)


def summary(scores: Scores, titles: dict[str, str]) -> Any:
    """One row an attribute: how its scores are spread, and who is highest."""
    import numpy as np
    from rich.table import Table

    table = Table(title=f"{scores.source}: {len(scores.ids)} ids", title_justify="left")
    table.add_column("attribute")
    for name in ("mean", "sd", "lowest", "highest", "unknown"):
        table.add_column(name, justify="right")
    table.add_column("an example of the highest")
    for column, name in enumerate(scores.attributes):
        values = scores.values[:, column]
        known = values[~np.isnan(values)]
        if not len(known):
            table.add_row(name, "", "", "", "", str(len(values)), "")
            continue
        best = scores.ids[int(np.nanargmax(values))]
        numbers = (f"{number:.2f}" for number in (known.mean(), known.std(), known.min(), known.max()))
        table.add_row(name, *numbers, str(len(values) - len(known)), shown(best, titles))
    return table


def profile(scores: Scores, item: str, titles: dict[str, str]) -> Any:
    """One row an attribute: the score, its uncertainty, and how many of the others lie below it."""
    import numpy as np
    from rich.table import Table

    row = scores.ids.index(item)
    table = Table(title=f"{shown(item, titles)}: {scores.source}", title_justify="left")
    table.add_column("attribute")
    columns = ["score", *(["uncertainty"] if scores.uncertainty is not None else []), "ranks above"]
    for name in columns:
        table.add_column(name, justify="right")
    for column in np.argsort(-np.nan_to_num(standing(scores)[row], nan=-1), kind="stable"):
        value = scores.values[row, column]
        cells = ["" if np.isnan(value) else f"{value:.2f}"]
        if scores.uncertainty is not None:
            spread = scores.uncertainty[row, column]
            cells.append("" if np.isnan(spread) else f"{spread:.2f}")
        cells.append("" if np.isnan(value) else f"{standing(scores)[row, column]:.0%}")
        table.add_row(scores.attributes[column], *cells)
    return table


def standing(scores: Scores) -> Any:
    """`[n, m]`: the part of all ids with a known score that lie below, ties counted half; NaN where unknown."""
    import pandas as pd

    ranks = pd.DataFrame(scores.values).rank()
    return ((ranks - 0.5) / ranks.notna().sum()).to_numpy()


def ends(scores: Scores, attribute: str, k: int, titles: dict[str, str]) -> Any:
    """The highest and the lowest on one attribute."""
    import numpy as np
    from rich.table import Table

    values = scores.values[:, scores.attributes.index(attribute)]
    order = [int(row) for row in np.argsort(-values, kind="stable") if not np.isnan(values[row])]
    own = scores.id_name not in (None, "item_id", "user_id")
    table = Table(
        str(scores.id_name) if own else "id",
        "title",
        title=f"{attribute}: {scores.source}",
        title_justify="left",
    )
    table.add_column(attribute, justify="right")
    cut = 2 * k < len(order)
    rows: list[int | None] = [*order[:k], None, *order[-k:]] if cut else [*order]
    for number in rows:
        if number is None:
            table.add_row("...", "...", "...")
        else:
            token = scores.ids[number]
            table.add_row(token, titles.get(token, ""), f"{values[number]:.2f}")
    return table


def shown(token: str, titles: dict[str, str]) -> str:
    """An id with its title."""
    return f"{token} {titles[token]}" if titles.get(token) else token

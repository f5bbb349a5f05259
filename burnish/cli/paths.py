"""`burnish paths`: the graph of a data set, and the meta-paths in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .screen import Screen
from .shared import (
    DataPath,
    Dataset,
    Quiet,
    add_verb,
    choose_format,
    config_files_option,
    format_option,
    out_option,
)

if TYPE_CHECKING:
    from rich.table import Table

    from burnish.enhancers.paths.graph import Graph

FORMATS = ("table", "markdown", "json")
#: Columns of words.
TEXTS = ("relation", "from", "to", "meta-path", "collaborative")
EPILOG = "Examples:\n\nburnish paths graph --dataset ml-100k\n\nburnish paths mine --dataset ml-100k --keep 8"
EXPORT_EPILOG = (
    "Examples:\n\n"
    "burnish paths export --dataset ml-100k --out dataset/ml-100k-graph\n\n"
    "burnish run --model KGAT --dataset ml-100k-graph\n\n"
    "All interactions are copied; the graph has none of them, so that nothing of the test gets into it."
)
GRAPH_EPILOG = (
    "Examples:\n\n"
    "burnish paths graph --dataset ml-100k\n\n"
    "burnish paths graph --dataset ml-100k --graph graph.yaml --format markdown\n\n"
    "Interactions are those of the training split alone, which RecBole's options decide as in `burnish run`."
)
MINE_EPILOG = (
    "Examples:\n\n"
    "burnish paths mine --dataset ml-100k\n\n"
    "burnish paths mine --dataset ml-100k --graph graph.yaml --longest 4 --keep 12\n\n"
    "burnish paths mine --dataset ml-100k --format yaml > metapaths.yaml\n\n"
    "Interactions are those of the training split alone, which RecBole's options and --seed decide as in `burnish run`."
)


#: Figures of a meta-path that are left to other formats than a table on the screen.
BEYOND_A_SCREEN = ("precision", "added", "reached", "paths")


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """Of which data, and what of them becomes a relation."""

    dataset: Dataset = None
    graph: Annotated[
        Path | None, typer.Option("--graph", "-g", help="A YAML file with options of the graph.")
    ] = None
    backbone: Annotated[str | None, typer.Option("--backbone", help="Split as for this backbone (BPR).")] = (
        None
    )
    config_files: Annotated[str | None, config_files_option("RecBole's YAML files, with commas.")] = None
    data_path: DataPath = None
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", help="RecBole's seed, which draws a random split; it also draws what is hidden."
        ),
    ] = None


app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")


@app.callback(epilog=EPILOG)
def describe() -> None:
    """The graph of a data set: its relations, and kinds of paths from users to items that recommend."""


def graph(
    context: typer.Context,
    options: GraphOptions,
    format: Annotated[str | None, format_option("table, markdown or json.")] = None,
    quiet: Quiet = False,
) -> None:
    """The relations of a data set's graph: types at their ends, edges, and nodes that have any."""
    screen = Screen.of(context, quiet)
    kind = choose_format(format, None, shown=FORMATS)
    built = read(screen, options, context)
    names = ("relation", "from", "to", "edges", "nodes from", "nodes to")
    show(screen, kind, {name: name for name in names}, built.table())
    if kind == "table":
        nodes = ", ".join(f"{name} {n - (name in ('user', 'item')):,}" for name, n in built.counts.items())
        screen.say(f"nodes: {nodes}; {built.n_edges:,} edges")


def mine(
    context: typer.Context,
    options: GraphOptions,
    longest: Annotated[int, typer.Option("--longest", min=1, help="Steps of a meta-path at most.")] = 3,
    keep: Annotated[int, typer.Option("--keep", "-k", min=1, help="How many to choose.")] = 8,
    users: Annotated[
        int, typer.Option("--users", min=1, help="Users of whom interactions are hidden.")
    ] = 1000,
    share: Annotated[float, typer.Option("--share", help="Of their interactions that are hidden.")] = 0.2,
    at: Annotated[int, typer.Option("--at", min=1, help="Length of the lists that are judged.")] = 10,
    diverse: Annotated[
        float, typer.Option("--diverse", help="From 0, the best ones, to 1: what finds what others do not.")
    ] = 1.0,
    format: Annotated[
        str | None, format_option("table, markdown, json, or yaml for a list to be pasted.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Meta-paths from users to items, each judged alone on hidden training interactions, and the best of them."""
    from burnish.enhancers.paths.mining import mine as search
    from burnish.enhancers.paths.mining import mined_rows

    screen = Screen.of(context, quiet)
    kind = choose_format(format, None, shown=(*FORMATS, "yaml"))
    built = read(screen, options, context)
    settings: dict[str, Any] = {"longest": longest, "keep": keep, "users": users, "share": share, "at": at}
    with screen.bar("meta-paths") as move:
        mined = search(
            built,
            **settings,
            seed=options.seed or 0,
            diverse=diverse,
            progress=lambda done, total: move(completed=done, total=total),
        )
    if kind == "yaml":
        import yaml

        lines = {"metapaths": [str(one.metapath) for one in mined]}
        screen.write(yaml.safe_dump(lines, sort_keys=False, allow_unicode=True, width=1000).rstrip("\n"))
        return
    if not mined:
        screen.say("no meta-path finds any of the hidden interactions")
    shown = {
        "meta-path": "meta-path",
        "collaborative": "collaborative",
        "precision": f"precision@{at}",
        "ndcg": f"NDCG@{at}",
        "lift": "lift",
        "error": "±",
        **{name: name for name in ("added", "users", "found", "reached", "paths")},
    }
    if kind == "table":  # as many columns as a screen takes
        for name in BEYOND_A_SCREEN:
            del shown[name]
        screen.say(f"{', '.join(BEYOND_A_SCREEN)}: in --format markdown and json")
    show(screen, kind, shown, mined_rows(mined))


def export(
    context: typer.Context,
    options: GraphOptions,
    out: Annotated[Path, out_option("A new folder, which names the new data set.")],
    quiet: Quiet = False,
) -> None:
    """The data set anew, with its graph as RecBole's .kg and .link: what KGAT, KGIN, CKE, ... train on."""
    from burnish.enhancers.paths.knowledge_files import check_new, write_knowledge_files

    screen = Screen.of(context, quiet)
    check_new(out)
    built, split = read_with_split(screen, options, context)
    for line in write_knowledge_files(built, split, out):
        screen.say(line)


def read(screen: Screen, options: GraphOptions, context: typer.Context) -> Graph:
    """The graph of the training split; says what was left out of it."""
    return read_with_split(screen, options, context)[0]


def read_with_split(screen: Screen, options: GraphOptions, context: typer.Context) -> tuple[Graph, Any]:
    """Likewise, with RecBole's data set of the training split."""
    from burnish.enhancers.paths.graph_options import GraphConfig
    from burnish.enhancers.paths.sources import read_graph
    from burnish.files.yamls import read_yaml
    from burnish.strict import validated

    from .run_request import make_request, refuse_misspelt, split_files
    from .splits import data_config, training_split

    settings = {} if options.graph is None else read_yaml(options.graph)
    config = validated(GraphConfig, settings, str(options.graph))
    of_files = [read_yaml(path).get("model") for path in split_files(options.config_files)]
    named = [str(name) for name in of_files if name is not None]
    data_path = [] if options.data_path is None else [f"--data_path={options.data_path}"]
    request = make_request(
        model=options.backbone or (None if named else "BPR"),
        dataset=options.dataset,
        enhancers="none",
        config_files=options.config_files,
        seed=options.seed,
        words=[*context.args, *data_path],
    )
    refuse_misspelt(request, context)
    screen.say(f"reading the graph of {request.dataset} ...")
    split = training_split(
        data_config(
            request.dataset,
            backbone=request.model,
            config_files=request.config_files,
            options=request.options,
            seed=request.seed,
        )
    )
    built = read_graph(split, config)
    for note in built.notes:
        screen.say(note)
    return built, split


add_verb(app, graph, GRAPH_EPILOG, recbole_options=True, threads=True)
add_verb(app, mine, MINE_EPILOG, recbole_options=True, threads=True)
add_verb(app, export, EXPORT_EPILOG, recbole_options=True, threads=True)


# ---------------------------------------------------------------------- tables


def show(
    screen: Screen, kind: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, str | float | bool]]
) -> None:
    """Rows as a table, as Markdown, or as JSON with unrounded numbers.

    columns: their names in rows, and for people.
    """
    if kind == "json":
        screen.write(as_json(rows))
        return
    cells = [[cell(name, row.get(name)) for name in columns] for row in rows]
    if kind == "markdown":
        from burnish.benchmarks.harness.tables import markdown_table

        screen.write(markdown_table(list(columns.values()), cells))
    else:
        screen.results.print(as_table(columns, cells))


def as_table(columns: Mapping[str, str], cells: Sequence[Sequence[str]]) -> Table:
    """Texts at the left, numbers at the right."""
    from rich.table import Table

    table = Table()
    for name, head in columns.items():
        text = name in TEXTS
        table.add_column(head, justify="left" if text else "right", overflow="fold" if text else "ellipsis")
    for row in cells:
        table.add_row(*row)
    return table


def as_json(rows: Sequence[Mapping[str, str | float | bool]]) -> str:
    """A list of objects; null for what is no number."""
    import json
    import math

    finite = [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.items()
        }
        for row in rows
    ]
    return json.dumps(finite, ensure_ascii=False, indent=1)


def cell(name: str, value: str | float | bool | None) -> str:
    """A value as people read it."""
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    if isinstance(value, str):
        return value
    if name == "lift":
        return f"{value:+.4f}"
    if name in ("users", "found"):
        return f"{value:.0%}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if name in ("reached", "paths") else f"{value:.4f}"

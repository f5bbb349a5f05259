"""`burnish explain-eval`: whether the reasons of trained runs are those that the models go by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import stop_if_asked
from .screen import Screen
from .shared import DataPath, Quiet, RunModel, State, Trust, choose_format, format_option, output_option

if TYPE_CHECKING:
    from burnish.benchmarks.faithfulness.report import Faithfulness

EPILOG = (
    "Examples:\n\n"
    "burnish explain-eval out\n\n"
    "burnish explain-eval seed-1 seed-2 seed-3 --users 500 --output faithfulness\n\n"
    "burnish explain-eval out --retrain --references random,similarity\n\n"
    "One explanation of each sort is chosen before anything is scored; the docs say what the figures mean "
    "(docs/faithfulness.md)."
)
SHOWN = ("table", "markdown", "json")


def explain_eval(
    context: typer.Context,
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Folders of runs; those of one model are its seeds.", show_default=False
        ),
    ],
    users: Annotated[int, typer.Option("--users", "-u", help="How many users are sampled.")] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Of the sample, of estimates, of random reasons.")] = 0,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Histories that a model may score for one explanation.")
    ] = None,
    of: Annotated[
        str | None,
        typer.Option("--of", help="What ours, gradient and leave-one-out are of: score or standing."),
    ] = None,
    references: Annotated[
        str | None,
        typer.Option(
            "--references",
            help="Reasons to compare with, separated by commas: random, popularity, similarity, gradient, "
            "leave-one-out (all of them by default).",
        ),
    ] = None,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain", help="Also train again without the strongest reasons, once for each sort of reasons."
        ),
    ] = False,
    retrain_k: Annotated[
        int, typer.Option("--retrain-k", help="How many interactions each of these users loses.")
    ] = 5,
    retrain_epochs: Annotated[
        int | None,
        typer.Option(
            "--retrain-epochs", help="Epochs of each training; up to the run's best one by default."
        ),
    ] = None,
    output: Annotated[
        Path | None, output_option("Folder for faithfulness.json, faithfulness.md and per_user.parquet.")
    ] = None,
    format: Annotated[str | None, format_option("table, markdown or json on the screen.")] = None,
    state: State = "latest",
    data_path: DataPath = None,
    model: RunModel = None,
    trust: Trust = False,
    quiet: Quiet = False,
) -> None:
    """How faithful reasons are: what masking them does to a recommendation, and what other reasons do."""
    import json

    from burnish.benchmarks.faithfulness.explain_eval import explain_eval as study
    from burnish.benchmarks.faithfulness.report import check_folder

    screen = Screen.of(context, quiet)
    kind = choose_format(format, None, shown=SHOWN)
    if output is not None:
        check_folder(output)
    with screen.bar("{task.description}", total=None) as move:

        def tell(what: str, done: int, of: int) -> None:
            stop_if_asked()
            if of:
                move(description=f"{what}: users explained", completed=done, total=of)
            else:
                move(description=what)
                if not screen.watched:
                    screen.say(what)

        found = study(
            list(runs),
            users=users,
            seed=seed,
            budget=budget,
            of=of,
            reference_reasons=None if references is None else [one.strip() for one in references.split(",")],
            retrain=retrain,
            retrain_k=retrain_k,
            retrain_epochs=retrain_epochs,
            state=state,
            model=model,
            data_path=data_path,
            trust=trust,
            tell=tell,
        )
    if output is not None:
        found.write(output)
    if kind == "json":
        screen.write(json.dumps(found.as_object(), indent=1, ensure_ascii=False))
    elif kind == "markdown":
        screen.write(found.markdown().rstrip("\n"))
    else:
        _show(screen, found)
    if output is not None:
        screen.say(f"written: {output}")


def _show(screen: Screen, found: Faithfulness) -> None:
    """One table a model: means of ours and of the references, with a mark where ours differ."""
    from rich.table import Table

    from burnish.benchmarks.faithfulness.report import measure_name, measured, places_of, records
    from burnish.benchmarks.harness.faithful import OURS

    summary, differences = found.summary(), found.differences()
    verdicts = {
        (row["model"], row["measure"], row["k"], row["reference"]): str(row["verdict"])
        for row in records(differences)
    }
    marks = {"better": " +", "worse": " -", "same": " =", "unclear": "  "}
    screen.write(found.head())
    for model, method in found.methods.items():
        part = summary[summary["model"] == model]
        across = list(dict.fromkeys(part["reasons"]))
        table = Table(title=f"{model} ({method})", title_justify="left")
        table.add_column("measure")
        for name in across:
            table.add_column(name, justify="right")
        cells = {(row["measure"], row["k"], row["reasons"]): row for row in records(part)}
        for measure, k in dict.fromkeys(key[:2] for key in cells):
            shown = []
            places = places_of(row["mean"] for key, row in cells.items() if key[:2] == (measure, k))
            for name in across:
                row = cells.get((measure, k, name))
                mark = marks.get(verdicts.get((model, measure, k, name), ""), "")
                low = row["low"] if row is not None and name == OURS else None
                wide = "" if row is None or low is None else f" ±{(row['high'] - low) / 2:.{places}f}"
                shown.append("" if row is None else f"{measured(row['mean'], places)}{wide}{mark}")
            table.add_row(measure_name(measure, k), *shown)
        screen.results.print(table)
    screen.write(
        "+ ours are better than these by more than chance, - worse, = the same; ± half of the 95% interval"
    )
    for line in [*found.warnings(), *found.notes]:
        screen.say(line)

"""`burnish doctor`: the state of the environment, what is wrong with it, and the cure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import RUN_FAILED
from .screen import Screen
from .shared import choose_format, quiet_option

if TYPE_CHECKING:
    from rich.table import Table

    from burnish.doctor import Finding, MendStatus, Report

EPILOG = (
    "Examples:\n\n"
    "burnish doctor\n\n"
    "burnish doctor --folder /data/runs --format json\n\n"
    "The exit code is 1 when there is a problem, 0 otherwise; notes do not count."
)


def doctor(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--folder", help="Where runs would write.")] = Path("."),
    format: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    quiet: Annotated[bool, quiet_option("Problems and their cures only.")] = False,
) -> None:
    """Examine the environment: versions, mends of RecBole, threads, devices; what is wrong and how to cure it.

    Works without torch and without RecBole, and says so.
    """
    from burnish.doctor import examine

    screen = Screen.of(context, quiet)
    format = choose_format(format, None, shown=("table", "json"))
    report = examine(folder)
    if format == "json":
        screen.write(json.dumps(report.as_dict(), indent=2))
    else:
        show(screen, report)
    raise typer.Exit(0 if report.sound else RUN_FAILED)


def show(screen: Screen, report: Report) -> None:
    """The tables, then the findings: problems last, where the eye rests."""
    if not screen.quiet:
        screen.results.print(package_table(report))
        screen.results.print(fact_table(report))
        screen.results.print(mend_table(report.mends))
        tell(screen, "note", "yellow", report.notes)
    tell(screen, "problem", "red", report.problems)
    if report.sound and not screen.quiet:
        screen.results.print("nothing is wrong", style="green")


def tell(screen: Screen, word: str, colour: str, findings: Iterable[Finding]) -> None:
    """Each finding with its cure on the next line, which is never folded so that it can be copied."""
    from rich.text import Text

    for finding in findings:
        screen.results.print(Text.assemble((word, colour), f": {finding.what}"))
        screen.results.print(f"   cure: {finding.cure}", soft_wrap=True)


def table_of(title: str, *columns: str) -> Table:
    """An empty table with the look of this verb."""
    from rich.table import Table

    return Table(*columns, title=title, title_justify="left", title_style="bold")


def package_table(report: Report) -> Table:
    """Versions, and the reason where a package is there but does not import."""
    table = table_of("packages", "package", "version", "")
    table.add_row("python", report.python, report.executable)
    for name, version in report.packages.items():
        table.add_row(name, version or "-", report.broken.get(name, ""))
    return table


def fact_table(report: Report) -> Table:
    """System, devices, threads, extras, and the folder of runs."""
    threads, folder = report.threads, report.folder
    computing = [f"torch {threads.torch if threads.torch is not None else '-'}, cores {threads.cores}"]
    if threads.load is not None:
        computing.append(f"load {threads.load:.1f}")
    computing += [f"{name}={value}" for name, value in threads.variables.items()]
    space = "" if folder.free_gib is None else f", {folder.free_gib:.0f} GiB free"
    rows = [
        ("system", report.system),
        ("devices", ", ".join(report.devices)),
        ("threads", ", ".join(computing)),
        ("runs in", f"{folder.path} ({'writable' if folder.writable else 'not writable'}{space})"),
    ]
    for extra, missing in report.extras.items():
        rows.append((f"burnish[{extra}]", f"missing: {', '.join(missing)}" if missing else "complete"))
    table = table_of("machine", "", "")
    table.show_header = False
    for name, value in rows:
        table.add_row(name, value)
    return table


def mend_table(mends: Iterable[MendStatus]) -> Table:
    """What burnish mends in RecBole, and whether it is needed here."""
    table = table_of("mends of RecBole (waiting: until that part of RecBole is loaded)")
    table.add_column("mend", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("for", ratio=1)
    table.add_column("what happens without it", ratio=3)
    for mend in mends:
        table.add_row(mend.name, mend.state, mend.versions, mend.symptom)
    return table

"""`burnish report`: the comparison in a folder of runs, as a table, Markdown, CSV or a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .bench import tables
from .compound import EitherWay
from .screen import Screen, plain_console
from .shared import choose_format, format_of_suffix, format_option, output_option, quiet_option

if TYPE_CHECKING:
    from burnish.benchmarks.harness.ranks import Ranking
    from burnish.benchmarks.harness.report import Comparison

EPILOG = (
    "Examples:\n\n"
    "burnish report runs\n\n"
    "burnish report runs --output report.html\n\n"
    "burnish report runs --metric ndcg@10 --format markdown --output table.md --plot table.svg\n\n"
    "burnish report runs --against softmax --pairs --smallest-difference 1% --cd ranks.svg"
)
FORMATS = ("table", "markdown", "csv", "latex", "html")
INTERVALS = ("both", "users")
_BY_SUFFIX = {
    **{".html": "html", ".md": "markdown", ".csv": "csv", ".tex": "latex", ".txt": "table"},
    **{".markdown": "markdown", ".htm": "html", "": "table"},
}


def report(
    context: typer.Context,
    runs: Annotated[Path, EitherWay(("--runs", "-r"), "RUNS", "Folder that `burnish bench` wrote into.")],
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Such as ndcg@10; again, or separated by commas, for more."),
    ] = None,
    baseline: Annotated[
        str, typer.Option("--baseline", "--against", help="The arm, or the floor, to compare with.")
    ] = "plain",
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Also compare all other arms with each other.")
    ] = False,
    interval: Annotated[
        str,
        typer.Option(
            "--interval",
            help="What intervals and p take as random: `both` users and seeds, or `users` for the seeds there are.",
        ),
    ] = "both",
    smallest: Annotated[
        str | None,
        typer.Option(
            "--smallest-difference",
            help="The smallest difference that matters: 0.002, or 1% of the baseline's mean. By default the plan's.",
        ),
    ] = None,
    format: Annotated[
        str | None, format_option("table, markdown, csv, latex or html (by the suffix of --output).")
    ] = None,
    output: Annotated[Path | None, output_option("Write to this file, not to the screen.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Also draw the differences into this SVG file.")
    ] = None,
    cd: Annotated[
        Path | None,
        typer.Option(
            "--cd", help="Also rank all arms and floors: a critical-difference diagram, as .svg or .json."
        ),
    ] = None,
    faithfulness: Annotated[
        list[Path] | None,
        typer.Option(
            "--faithfulness", help="Folder of `burnish explain-eval --output`; also those so called in RUNS."
        ),
    ] = None,
    quiet: Annotated[bool, quiet_option("Print the table only.")] = False,
) -> None:
    """Compare every arm with the plain backbone: difference, 95% interval, corrected p, a verdict in words.

    Floors come first, and the arms are compared with the strongest of them, too.  Reads files only: nothing is trained.
    """
    from burnish.benchmarks import harness
    from burnish.benchmarks.harness.cd_diagram import diagram_path
    from burnish.errors import DataError, unknown_name
    from burnish.files.svg import svg_path
    from burnish.files.whole import write_text
    from burnish.trained.finished_shards import check_writable

    screen = Screen.of(context, quiet)
    if output is not None and format is None:
        format = format_of_suffix(output, _BY_SUFFIX)
    if output is not None:
        check_writable(output)
    if plot is not None:
        check_writable(svg_path(plot))
    if cd is not None:
        check_writable(diagram_path(cd))
    kind = choose_format(format, output, shown=FORMATS, written=FORMATS)
    metrics = [name.strip().lower() for text in metric or [] for name in text.split(",") if name.strip()]
    if interval not in INTERVALS:
        raise unknown_name("interval", interval, INTERVALS)
    try:
        rows = harness.summarise(
            runs,
            metrics=metrics or None,
            baseline=baseline,
            pairs=pairs,
            seeds_random=interval == "both",
            smallest_difference=smallest,
            faithfulness=faithfulness or (),
        )
    except DataError as error:
        if not tell_under_way(screen, runs, error, asked=output or plot or cd):
            raise
        return
    if plot is not None:
        screen.say(f"written: {harness.plot(rows, plot)}")
    ranking: Ranking | str = ""
    if cd is not None:
        ranking = harness.rank_arms(runs, metric=rows[0].metric)
        screen.say(f"written: {harness.write_diagram(ranking, cd)}")
        screen.say(ranking.sentence())
    if kind == "table":
        text = "\n".join(map(as_text, tables(rows, 240))) if output else ""
        if output is None:
            for table in tables(rows, screen.results.width):
                screen.results.print(table)
            return
    elif kind == "html":
        text = harness.to_page(
            rows, title=f"Report of {runs.resolve().name}", ranking=ranking or _ranked(runs, rows)
        )
    else:
        write = {"markdown": harness.to_markdown, "csv": harness.to_csv, "latex": harness.to_latex}[kind]
        text = write(rows).rstrip("\n")
    if kind in ("csv", "latex"):  # which have no place for remarks
        for remark in rows.absences:
            screen.say(remark)
        if rows.faithfulness:
            screen.say(
                f"--format {kind} has no place for the faithfulness of reasons; html and markdown have"
            )
    if output is None:
        screen.write(text)
        return
    write_text(output, text + "\n")
    screen.say(f"written: {output}")


def tell_under_way(screen: Screen, runs: Path, error: Exception, *, asked: Path | None) -> bool:
    """Print how far the tuning is, where there is nothing to compare yet; False where none is under way.

    asked: a file that should be written, and cannot be yet: `DataError`.
    """
    from burnish.benchmarks.harness.under_way import under_way
    from burnish.errors import DataError

    found = under_way(runs)
    if not found:
        return False
    if asked is not None:
        raise DataError(
            f"{asked} cannot be written yet: {runs} is being tuned, and holds nothing to compare; `burnish report "
            f"{runs}` says how far it is"
        ) from error
    screen.results.print("Nothing to compare yet; tuning, by validation:", markup=False)
    for one in found:
        screen.results.print(str(one), soft_wrap=True, markup=False)
    return True


def _ranked(runs: Path, rows: Comparison) -> Ranking | str:
    """The ranking by the first metric, or why there is none."""
    from burnish.benchmarks.harness.ranks import rank_arms
    from burnish.errors import DataError

    try:
        return rank_arms(runs, metric=rows[0].metric)
    except DataError as error:
        return f"There is no ranking: {error}."


def as_text(table: object) -> str:
    """A rich table as plain text, as wide as it needs to be."""
    from io import StringIO

    buffer = StringIO()
    plain_console(file=buffer, width=240).print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())

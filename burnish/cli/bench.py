"""`burnish bench`: run a comparison from a plan, and show what came out."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .failures import stop_if_asked
from .screen import Screen
from .shared import Threads, quiet_option

if TYPE_CHECKING:
    from burnish.benchmarks.harness import Event, Plan, RunRecord

EPILOG = (
    "Examples:\n\n"
    "burnish bench demo                          (a plan that comes with burnish)\n\n"
    "burnish bench ablation.yaml --runs results\n\n"
    "Finished runs are kept: stop with Ctrl-C and start again whenever you like. "
    "`burnish report` shows the same table later, and more of it."
)


def bench(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(help="YAML file of the plan, or demo.")],
    runs: Annotated[
        Path | None, typer.Option("--runs", "-r", help="Folder of the runs (wins over the plan's own).")
    ] = None,
    threads: Threads = None,
    quiet: Annotated[bool, quiet_option("Print the final table only.")] = False,
) -> None:
    """Train every backbone with and without enhancers, with the same data, splits, seeds and tuning budget.

    Floors (popularity, ItemKNN, EASE, ...) are run with them unless the plan says `floors: []`.  Ends with a table of
    differences to the plain backbone and to the strongest floor, with confidence intervals.
    """
    from burnish.benchmarks import harness

    screen = Screen.of(context, quiet)
    chosen = harness.load_plan(find_plan(plan), runs=runs)
    if threads is not None:
        chosen = chosen.model_copy(update={"threads": threads})
    floors = harness.n_floor_runs(chosen)
    screen.say(f"{chosen.n_runs} runs{f' and {floors} of floors' if floors else ''}, kept in {chosen.runs}")
    try:
        records = run(screen, chosen)
    except KeyboardInterrupt:
        again = {"--runs": runs, "--threads": threads}
        words = [word for name, value in again.items() if value is not None for word in (name, str(value))]
        screen.say(f"stopped; finished runs are in {chosen.runs}, and this goes on from there:")
        screen.say(f"  burnish bench {shlex.join([plan, *words])}")
        raise
    for record in failed(records):
        screen.notes.print(f"failed: {where(record)}: {record.error}")
    compare(screen, chosen.runs)
    raise typer.Exit(harness.exit_status(records))


def find_plan(name: str) -> Path:
    """The plan's file: a path, or the name of a plan that burnish brings ("demo").

    Raises `ConfigurationError` for a file that does not exist.
    """
    from burnish.errors import ConfigurationError, nearest
    from burnish.files.near import near
    from burnish.files.yamls import is_yaml

    path = Path(name)
    if path.is_file():
        return path
    packaged = Path(str(resources.files("burnish.benchmarks"))) / name / f"{name}.yaml"
    if name.isidentifier() and packaged.is_file():
        return packaged
    guess = near(path, is_yaml) or nearest(name, ["demo"])
    raise ConfigurationError(
        f"plan {name!r} does not exist."
        + (f" Did you mean {str(guess)!r}?" if guess else "")
        + " Give a YAML file, or demo; docs/benchmark.md says how to write a plan."
    )


def run(screen: Screen, plan: Plan) -> list[RunRecord]:
    """Run the plan: with the harness's display in a terminal, with a line an event elsewhere."""
    from burnish.benchmarks import harness

    if screen.quiet:
        return harness.run_plan(plan, quiet=True, on_event=stop_if_asked)
    if screen.notes.is_terminal:
        return harness.run_plan(plan, on_event=stop_if_asked)

    def tell(event: Event) -> None:
        stop_if_asked()
        if event.kind != "epoch":
            screen.say(f"{event.kind:<7} {event.message}")
        elif event.epoch is not None and event.epoch.valid_score is not None:
            screen.say(f"        {event.message}")

    return harness.run_plan(plan, quiet=True, on_event=tell)


def failed(records: list[RunRecord]) -> list[RunRecord]:
    """The runs that ended in an error."""
    return [record for record in records if record.status == "failed"]


def where(record: RunRecord) -> str:
    """A run in words: `BPR, rvrec, seed 2020`."""
    trial = "" if record.trial is None else f", trial {record.trial}"
    return f"{record.backbone}, {record.arm}, seed {record.seed}{trial}"


def compare(screen: Screen, runs: Path) -> None:
    """Print the table of differences, or why there is none."""
    from burnish.benchmarks import harness
    from burnish.errors import DataError

    try:
        rows = harness.summarise(runs)
    except DataError as error:
        screen.notes.print(f"no comparison: {error}")
        return
    screen.results.print(harness.to_table(rows, width=screen.results.width))

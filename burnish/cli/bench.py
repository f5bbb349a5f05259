"""`burnish bench`: run a comparison from a plan, and show what came out."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .failures import stop_if_asked
from .screen import Screen
from .shared import Threads, quiet_option, share_of

if TYPE_CHECKING:
    from rich.table import Table

    from burnish.benchmarks.harness import Comparison, Event, Plan, RunRecord

EPILOG = (
    "Examples:\n\n"
    "burnish bench quick                         (a plan that comes with burnish: two minutes)\n\n"
    "burnish bench ablation.yaml --runs results\n\n"
    "burnish bench ablation.yaml --workers 4       (four runs at a time)\n\n"
    "Finished runs are kept: stop with Ctrl-C and start again whenever you like. "
    "`burnish report` shows the same table later, and more of it."
)


def bench(
    context: typer.Context,
    plan: Annotated[
        str,
        typer.Argument(
            help="YAML file of the plan, or a ready one: quick, ablation, enhancers, sequential, cold, noise, demo."
        ),
    ],
    runs: Annotated[
        Path | None, typer.Option("--runs", "-r", help="Folder of the runs (wins over the plan's own).")
    ] = None,
    threads: Threads = None,
    workers: Annotated[
        int,
        typer.Option("--workers", "-w", min=1, help="Processes on this machine, each with a run of its own."),
    ] = 1,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="I/N: this is job I of N that work at the plan in one folder of runs, as a job array does.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Address of a dask scheduler, whose workers do the runs."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Train nothing: show what is done, what is left, and how long it takes."
        ),
    ] = False,
    check_leaks: Annotated[
        bool,
        typer.Option(
            "--check-leaks",
            help="Train every arm for an epoch or two, twice: would it be another model if test rows were others?",
        ),
    ] = False,
    quiet: Annotated[bool, quiet_option("Print the final table only.")] = False,
) -> None:
    """Train every backbone with and without enhancers, with the same data, splits, seeds and tuning budget.

    Floors (popularity, ItemKNN, EASE, ...) are run with them unless the plan says `floors: []`.  Ends with a table of
    differences to the plain backbone and to the strongest floor, with confidence intervals.
    """
    from burnish.benchmarks import harness
    from burnish.benchmarks.harness.grid import divided_threads

    screen = Screen.of(context, quiet)
    how = how_many(workers, shard, scheduler)
    chosen = harness.load_plan(find_plan(plan), runs=runs)
    if threads is None and workers > 1 and chosen.threads is None:
        threads = divided_threads(workers)
        screen.say(
            f"{threads} of the cores for each of {workers} workers; `threads` in the plan says otherwise"
        )
    if threads is not None:
        chosen = chosen.model_copy(update={"threads": threads})
    if dry_run:
        ahead(screen, chosen, workers)
        raise typer.Exit
    if check_leaks:
        raise typer.Exit(leaks(screen, chosen))
    floors = harness.n_floor_runs(chosen)
    screen.say(f"{chosen.n_runs} runs{f' and {floors} of floors' if floors else ''}, kept in {chosen.runs}")
    try:
        records = run(screen, chosen, **how)
    except KeyboardInterrupt:
        several = {"--workers": workers if workers > 1 else None, "--shard": shard, "--scheduler": scheduler}
        again = {"--runs": runs, "--threads": threads, **several}
        words = [word for name, value in again.items() if value is not None for word in (name, str(value))]
        screen.say(f"stopped; finished runs are in {chosen.runs}, and this goes on from there:")
        screen.say(f"  burnish bench {shlex.join([plan, *words])}")
        raise
    for record in failed(records):
        place = f"{record.dataset}, " if chosen.datasets else ""
        screen.notes.print(f"failed: {place}{where(record)}: {record.error}")
    compare(screen, chosen.runs)
    raise typer.Exit(harness.exit_status(records))


def ahead(screen: Screen, plan: Plan, workers: int) -> None:
    """Print what a plan has yet to do."""
    from burnish.benchmarks.harness.grid import look_ahead
    from burnish.benchmarks.harness.outlook import time_left, to_table

    lines = look_ahead(plan)
    screen.results.print(to_table(lines))
    done = sum(one.trials_done + one.runs_done for one in lines)
    total = sum(one.trials + one.runs for one in lines)
    left = time_left(lines)
    each = "" if workers == 1 else f", {left.in_words(workers)} with {workers} workers"
    how = f" (for {left.unknown} arms and floors no run says)" if left.unknown else ""
    how = how or (" (by other arms, where an arm has no run yet)" if left.guessed else "")
    screen.results.print(
        f"{done} of {total} done, kept in {plan.runs}; time left: {left.in_words()}{each}{how}",
        soft_wrap=True,
    )


def leaks(screen: Screen, plan: Plan) -> int:
    """Check every arm for leaks, and print what is found; 1 where one leaks."""
    from burnish.benchmarks.harness.leaks import check_leaks

    found = check_leaks(
        plan, lambda one: screen.write(f"{one.verdict:<13} {one.backbone} / {one.arm}: {one.why}")
    )
    return int(any(one.verdict == "LEAKS" for one in found))


def find_plan(name: str) -> Path:
    """The plan's file: a path, or the name of a plan that burnish brings ("quick").

    Raises `ConfigurationError` for a file that does not exist.
    """
    from burnish.errors import ConfigurationError, nearest
    from burnish.files.near import near
    from burnish.files.yamls import is_yaml

    path = Path(name)
    if path.is_file():
        return path
    ready = ready_plans()
    if name in ready:
        return ready[name]
    guess = near(path, is_yaml) or nearest(name, ready)
    raise ConfigurationError(
        f"plan {name!r} does not exist."
        + (f" Did you mean {str(guess)!r}?" if guess else "")
        + f" Give a YAML file, or {', '.join(ready)}; docs/benchmark.md says how to write a plan."
    )


def ready_plans() -> dict[str, Path]:
    """The plans that come with burnish, by name."""
    folder = Path(str(resources.files("burnish.benchmarks"))) / "plans"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def how_many(workers: int, shard: str | None, scheduler: str | None) -> dict[str, Any]:
    """Which processes do the runs, as arguments of `run_plan`.  `ConfigurationError` for what does not go together."""
    from burnish.errors import ConfigurationError

    given = [
        name
        for name, value in (("--workers", workers > 1), ("--shard", shard), ("--scheduler", scheduler))
        if value
    ]
    if len(given) > 1:
        raise ConfigurationError(f"{' and '.join(given)} say different things; give one of them")
    if shard is not None:
        return {"share": share_of(shard)}
    return {"workers": workers} if scheduler is None else {"scheduler": scheduler}


def run(screen: Screen, plan: Plan, **how: Any) -> list[RunRecord]:
    """Run the plan: with the harness's display in a terminal, with a line an event elsewhere.  how: as `how_many`."""
    from burnish.benchmarks import harness

    if screen.quiet:
        return harness.run_plan(plan, quiet=True, on_event=stop_if_asked, **how)
    if screen.notes.is_terminal:
        return harness.run_plan(plan, on_event=stop_if_asked, **how)

    from .run import worth_a_line

    def tell(event: Event) -> None:
        stop_if_asked()
        if event.kind not in ("epoch", "stage"):
            screen.say(f"{event.kind:<7} {event.message}")
        elif event.epoch is None or (event.epoch.valid_score is not None and worth_a_line(event.epoch)):
            screen.say(f"        {event.message}")

    return harness.run_plan(plan, quiet=True, on_event=tell, **how)


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
    for table in tables(rows, screen.results.width):
        screen.results.print(table)


def tables(rows: Comparison, width: int) -> list[Table | str]:
    """What a terminal shows of a comparison: a table across data sets, where there are several, and the full one."""
    from burnish.benchmarks import harness
    from burnish.benchmarks.harness.across import legend
    from burnish.benchmarks.harness.faithful import faithfulness_tables

    across = harness.to_table_across(rows)
    before: list[Table | str] = [] if across is None else [across, legend(rows), ""]
    return [*before, harness.to_table(rows, width=width), *faithfulness_tables(rows.faithfulness)]

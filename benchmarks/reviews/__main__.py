"""Train and compare models of ratings and reviews, with floors.

python -m burnish.benchmarks.reviews PLAN.yaml [--runs FOLDER] [--output FOLDER]

Interrupt at will: finished runs are kept, and the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from burnish.errors import BurnishError
from burnish.files.whole import write_json, write_text
from burnish.notices import told_once

from .figures import summarise
from .markdown import to_markdown
from .study import run_study
from .study_plan import load_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a plan and print its report.

    1 when a run failed, or the plan cannot be carried out (with the reason on standard error).
    """
    chosen = _parser().parse_args(arguments)
    sys.argv = sys.argv[:1]  # RecBole's Config would read them
    try:
        plan = load_plan(chosen.plan, runs=chosen.runs)
        with told_once():
            result = run_study(plan, None if chosen.quiet else _print_step)
        figures = summarise(plan, result)
        output = chosen.output or plan.runs
        text = to_markdown(figures)
        write_json(output / f"{plan.name}.json", figures.as_dict())
        write_text(output / f"{plan.name}.md", text)
    except BurnishError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    return int(bool(result.failed))


def _print_step(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m burnish.benchmarks.reviews",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", type=Path, help="a YAML file")
    parser.add_argument("--runs", type=Path, help="the folder of the runs, instead of the plan's")
    parser.add_argument(
        "--output", type=Path, help="where NAME.md and NAME.json go (default: the runs' folder)"
    )
    parser.add_argument("--quiet", action="store_true", help="no line for each step")
    return parser


if __name__ == "__main__":
    sys.exit(main())

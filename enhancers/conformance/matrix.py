"""Every check on many backbones, and the page that reports it.

python -m burnish.enhancers.conformance.matrix --output docs/conformance.md
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from burnish.enhancers.registry import make_enhancers, registered
from burnish.enhancers.zoo import find_backbone, list_backbones

from . import suite  # noqa: F401  (declares the checks)
from .check import Outcome, definitions, make_checks
from .checks_together import compare_all
from .page import weights_lines, write_page
from .probes import Probe, WeighingProbe
from .subject import Subject

#: Models without parameters that gradient training changes: there is nothing to refine.
WITHOUT_TABLES = (
    "ADMMSLIM",
    "AsymKNN",
    "EASE",
    "ItemKNN",
    "LightGBM",
    "NCEPLRec",
    "Pop",
    "Random",
    "SLIMElastic",
    "XGBoost",
)


def backbones_with_tables() -> list[str]:
    """RecBole's models with learnable tables, by category and name."""
    ours = {name: category for name, category in list_backbones().items() if category != "plug-in"}
    return sorted((n for n in ours if n not in WITHOUT_TABLES), key=lambda n: (ours[n], n.lower()))


def run_matrix(backbones: Sequence[str], enhancers: Sequence[str], folder: Path) -> Iterator[Outcome]:
    """Every check of every backbone with each of the enhancers, one at a time on each model."""
    with registered([Probe, WeighingProbe]):
        subjects = [
            Subject(find_backbone(backbone), tuple(make_enhancers(enhancer)), folder)
            for enhancer in enhancers
            for backbone in backbones
        ]
    compare_all(subjects)
    for subject in subjects:
        for check in make_checks(subject, {}, None):
            yield check.outcome()


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[Outcome], None]]:
    """A bar on standard error while checks run; broken promises are printed above it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("two processes", total=total)

        def advance(outcome: Outcome) -> None:
            if not outcome.good:
                console.print(
                    f"{outcome.backbone}[{outcome.enhancers}] {outcome.check}: {outcome.detail}", markup=False
                )
            progress.update(task, advance=1, description=f"{outcome.backbone} with {outcome.enhancers}")

        yield advance


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the status is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m burnish.enhancers.conformance.matrix", description=__doc__
    )
    parser.add_argument("--backbones", nargs="+", default=None, help="default: all with learnable tables")
    parser.add_argument("--enhancers", nargs="+", default=["probe", "weighing_probe", "rvrec", "euclid2d"])
    parser.add_argument("--output", type=Path, default=None, help="write the page here (Markdown)")
    parser.add_argument("--outcomes", type=Path, default=None, help="write every outcome here (JSON lines)")
    options = parser.parse_args(arguments)
    backbones = options.backbones or backbones_with_tables()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="burnish-conformance-") as folder:
        before = Path.cwd()
        os.chdir(folder)  # some models write where they are started
        try:
            total = len(backbones) * len(options.enhancers) * len(definitions())
            with progress_bar(total) as advance:
                for outcome in run_matrix(backbones, options.enhancers, Path(folder)):
                    outcomes.append(outcome)
                    advance(outcome)
        finally:
            os.chdir(before)
    if options.outcomes is not None:
        lines = [json.dumps(asdict(outcome)) for outcome in outcomes]
        options.outcomes.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if options.output is not None:
        write_page(options.output, outcomes, weights_lines(backbones))
    bad = sum(not outcome.good for outcome in outcomes)
    print(f"{len(outcomes)} checks on {len(backbones)} backbones, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

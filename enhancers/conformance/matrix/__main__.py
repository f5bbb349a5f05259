"""Every check on many backbones, and the page that reports it.

python -m burnish.enhancers.conformance.matrix --output docs/conformance.md
python -m burnish.enhancers.conformance.matrix --backbones BPR --enhancers rvrec "shapley: {warmup_epochs: 0}"
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.registry import registered
from burnish.enhancers.zoo import OUTSIDE, find_backbone, list_backbones
from burnish.errors import BurnishError, ConfigurationError

from .. import suite  # noqa: F401  (declares the checks)
from ..check import Check, Outcome, definitions, make_checks
from ..checks_together import compare_all
from ..probes import Probe, WeighingProbe
from ..subject import Subject, written
from . import journal
from .columns import COLUMNS, read_column
from .page import weights_lines, write_page

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
    ours = {name: category for name, category in list_backbones().items() if category not in OUTSIDE}
    return sorted((n for n in ours if n not in WITHOUT_TABLES), key=lambda n: (ours[n], n.lower()))


Column = tuple[Enhancer[Any], ...]
#: Backbone, enhancers as `written` gives them, check.
Key = tuple[str, str, str]


def read_columns(texts: Sequence[str]) -> list[Column]:
    """Columns as `read_column` reads them, the probes among them.  Raises `ConfigurationError` for a repeated one."""
    with registered([Probe, WeighingProbe]):
        columns = [read_column(text) for text in texts]
    options = [written(column) for column in columns]
    for text in options:
        if options.count(text) > 1:
            raise ConfigurationError(f"--enhancers: {text!r} is given twice")
    return columns


def run_matrix(
    backbones: Sequence[str],
    columns: Sequence[Column],
    folder: Path,
    done: Collection[Key] = (),
    *,
    gpu: bool = False,
) -> Iterator[Outcome]:
    """Every check of every backbone with each column's enhancers, apart from those that are done.

    gpu: on the first GPU instead of the processor, without the check of two processes, which share none.
    """
    options = {"use_gpu": True, "gpu_id": "0"} if gpu else {}
    subjects = [
        Subject(find_backbone(backbone), column, folder, options)
        for column in columns
        for backbone in backbones
    ]
    checks = [
        check
        for subject in subjects
        for check in make_checks(subject, {}, None)
        if _key(check) not in done and not (gpu and check.name == "two processes")
    ]
    together = [check.subject for check in checks if check.name == "two processes"]
    if together:
        compare_all(together)
    for check in checks:
        yield check.outcome()


def _key(check: Check) -> Key:
    return check.subject.backbone.__name__, check.subject.attached_names, check.name


def _sorted(
    outcomes: Sequence[Outcome], backbones: Sequence[str], columns: Sequence[Column]
) -> list[Outcome]:
    """The outcomes of these backbones and columns, by column, backbone and check."""
    by_key = {(o.backbone, o.enhancers, o.check): o for o in outcomes}
    keys = [
        (find_backbone(backbone).__name__, written(column), check)
        for column in columns
        for backbone in backbones
        for check in definitions()
    ]
    return [by_key[key] for key in keys if key in by_key]


@contextmanager
def progress_bar(total: int, done: int = 0) -> Iterator[Callable[[Outcome], None]]:
    """A bar on standard error while checks run; broken promises are printed above it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("two processes", total=total, completed=done)

        def advance(outcome: Outcome) -> None:
            if not outcome.good:
                console.print(
                    f"{outcome.backbone}[{outcome.enhancers}] {outcome.check}: {outcome.detail}", markup=False
                )
            progress.update(
                task, advance=1, description=escape(f"{outcome.backbone} with {outcome.enhancers}")
            )

        yield advance


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the status is 1 when a promise is broken, 2 for arguments that cannot be."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.resume and options.outcomes is None:
        parser.error("--resume needs --outcomes, the file to go on with")
    backbones = options.backbones or backbones_with_tables()
    try:
        columns = read_columns(options.enhancers)
        for backbone in backbones:
            find_backbone(backbone)
        known = journal.read_outcomes(options.outcomes) if options.resume else []
    except BurnishError as error:
        parser.error(str(error))
    if options.gpu and not torch.cuda.is_available():
        parser.error("--gpu: torch finds no GPU here (`burnish doctor` says more)")
    ran = _run(backbones, columns, known, options.outcomes, gpu=options.gpu)
    outcomes = _sorted(ran, backbones, columns)
    if options.output is not None:
        write_page(options.output, outcomes, weights_lines(backbones))
    bad = sum(not outcome.good for outcome in outcomes)
    print(f"{len(outcomes)} checks on {len(backbones)} backbones, {bad} failed")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m burnish.enhancers.conformance.matrix",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--backbones",
        nargs="+",
        default=None,
        help="names, or FILE.py:Class; default: all with learnable tables",
    )
    parser.add_argument(
        "--enhancers",
        nargs="+",
        default=list(COLUMNS),
        help="a column each: a name, `name: {option: value}`, or several of these separated by commas; default: "
        + ", ".join(map(repr, COLUMNS)),
    )
    parser.add_argument("--gpu", action="store_true", help="train and score on the first GPU")
    parser.add_argument("--output", type=Path, default=None, help="write the page here (Markdown)")
    parser.add_argument(
        "--outcomes", type=Path, default=None, help="write every outcome here as it comes (JSON lines)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave out the checks whose outcomes that file holds already"
    )
    return parser


def _run(
    backbones: Sequence[str],
    columns: Sequence[Column],
    known: Sequence[Outcome],
    file: Path | None,
    *,
    gpu: bool,
) -> list[Outcome]:
    """What is known and what is missing, which is run, and kept in the file as it comes."""
    outcomes = list(known)
    done = {(o.backbone, o.enhancers, o.check) for o in known}
    with ExitStack() as stack:
        kept = stack.enter_context(journal.begin(file.absolute(), known)) if file is not None else None
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="burnish-conformance-"))
        stack.callback(os.chdir, Path.cwd())
        os.chdir(folder)  # some models write where they are started
        advance = stack.enter_context(
            progress_bar(len(backbones) * len(columns) * len(definitions()), len(known))
        )
        for outcome in run_matrix(backbones, columns, Path(folder), done, gpu=gpu):
            outcomes.append(outcome)
            if kept is not None:
                journal.add(kept, outcome)
            advance(outcome)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())

"""How well values of training interactions find noise, what removal does, and how stable they are.

python -m burnish.benchmarks.valuation detect    --dataset ml-100k --seeds 11 12 13
python -m burnish.benchmarks.valuation remove    --dataset ml-100k --kind uniform --plot removal.svg
python -m burnish.benchmarks.valuation stability --dataset ml-100k
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from burnish.enhancers.registry import make_enhancers
from burnish.errors import BurnishError, warn
from burnish.files.whole import write_text
from burnish.noise.kinds import KINDS
from burnish.training.session import torch_threads

from .curves import draw
from .detection_study import DetectionResult, detection_study, stability_study, summary
from .judges import JUDGES, Judge, find_judges
from .removal import removal_study

_HEADS = ("AUC", "AP", "AUC within user", "AP within user", "sd of AUC", "CPU s", "x joint")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a study and print a table; 1 with the reason on standard error when that is not possible."""
    chosen = _parser().parse_args(arguments)
    silenced = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with torch_threads(chosen.threads):
            return _STUDIES[chosen.study](chosen, Console(width=120, markup=False, emoji=False))
    except BurnishError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        logging.disable(silenced)


def _detect(chosen: argparse.Namespace, console: Console) -> int:
    results = detection_study(
        _judges(chosen, chosen.judges), kinds=chosen.kinds, share=chosen.share, **_common(chosen, console)
    )
    _write(chosen.output, [asdict(result) for result in results])
    for kind in chosen.kinds:
        console.print(_detection_table(results, kind, chosen))
    return 0


def _detection_table(results: Sequence[DetectionResult], kind: str, chosen: argparse.Namespace) -> Table:
    title = f"{chosen.dataset}, {_backbone(chosen)}: {100 * chosen.share:g}% noise, {kind}; {len(chosen.seeds)} seeds"
    table = Table(title=title)
    table.add_column("judge")
    for head in _HEADS:
        table.add_column(head, justify="right")
    rows = summary([result for result in results if result.kind == kind])
    dear = {row["judge"]: row["seconds"] for row in rows}.get("joint", math.nan)
    for row in rows:
        name = row["judge"] + (" (baseline)" if JUDGES[row["judge"]].baseline else "")
        names = ("auc", "average_precision", "auc_within", "average_precision_within", "auc_spread")
        cost = row["seconds"]
        times = f"{cost / dear:.2f}" if dear > 0 else "-"
        table.add_row(name, *(f"{row[name]:.3f}" for name in names), f"{cost:.2f}", times)
    return table


def _remove(chosen: argparse.Namespace, console: Console) -> int:
    points = removal_study(
        _judges(chosen, chosen.judges or ["joint", "similarity", "random"]),
        kind=None if chosen.kind == "none" else chosen.kind,
        noise_share=chosen.share,
        shares=chosen.shares,
        metric=chosen.metric,
        **_common(chosen, console),
    )
    _write(chosen.output, [asdict(point) for point in points])
    table = Table(
        title=f"{chosen.dataset}, {_backbone(chosen)}: test {chosen.metric} after removal ({chosen.kind} noise)"
    )
    for head in ("judge", "removed first", *(f"{100 * share:g}%" for share in (0.0, *chosen.shares))):
        table.add_column(head)
    for judge, end in dict.fromkeys((point.judge, point.removed) for point in points):
        own = [point for point in points if (point.judge, point.removed) == (judge, end)]
        table.add_row(judge, end, *(f"{point.mean:.4f}" for point in own))
    console.print(table)
    if chosen.plot:
        console.print(f"drawn: {draw(points, chosen.plot, f'test {chosen.metric}')}")
    return 0


def _stability(chosen: argparse.Namespace, console: Console) -> int:
    correlations = stability_study(_judges(chosen, chosen.judges), **_common(chosen, console))
    _write(
        chosen.output, [{"judge": name, "rank_correlation": value} for name, value in correlations.items()]
    )
    table = Table(
        title=f"{chosen.dataset}, {_backbone(chosen)}: rank correlation between {len(chosen.seeds)} seeds"
    )
    table.add_column("judge")
    table.add_column("Spearman", justify="right")
    for name, value in correlations.items():
        table.add_row(name, f"{value:.3f}")
    console.print(table)
    return 0


_STUDIES = {"detect": _detect, "remove": _remove, "stability": _stability}


def _judges(chosen: argparse.Namespace, names: list[str] | None) -> list[Judge]:
    judges = find_judges(names)
    if chosen.budget_times != 1 and not any(judge.budgeted for judge in judges):
        able = ", ".join(judge.name for judge in JUDGES.values() if judge.budgeted)
        warn(f"--budget-times {chosen.budget_times:g} changes nothing: none of these judges is of {able}")
    return judges


def _backbone(chosen: argparse.Namespace) -> str:
    """The model and what is attached to it, as in BPR[softmax]."""
    attached = ", ".join(one.name for one in make_enhancers(chosen.enhancers))
    return f"{chosen.model}[{attached}]" if attached else str(chosen.model)


def _common(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    return {
        "model": chosen.model,
        "dataset": chosen.dataset,
        "options": {"embedding_size": chosen.width, **chosen.options},
        "enhancers": chosen.enhancers,
        "seeds": chosen.seeds,
        "epochs": chosen.epochs,
        "budget_times": chosen.budget_times,
        "report": lambda text: console.print(text, style="dim"),
    }


def _write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    if path is not None:
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _enhancers(text: str) -> Any:
    """What `make_enhancers` takes: a block from JSON, or names."""
    return json.loads(text) if text.lstrip().startswith("{") else text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m burnish.benchmarks.valuation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    studies = parser.add_subparsers(dest="study", required=True)
    for name in _STUDIES:
        one = studies.add_parser(name)
        one.add_argument("--dataset", default="ml-100k")
        one.add_argument("--model", default="BPR")
        one.add_argument(
            "--enhancers",
            type=_enhancers,
            help='attached to the model: names with commas, or JSON: softmax, {"softmax": {"temperature": 0.2}}',
        )
        one.add_argument("--width", type=int, default=64, help="embedding_size")
        one.add_argument("--epochs", type=int, default=60)
        one.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
        one.add_argument("--judges", nargs="+", help=f"of {', '.join(JUDGES)}")
        one.add_argument("--threads", type=int, default=1)
        one.add_argument(
            "--budget-times",
            type=float,
            default=1.0,
            metavar="N",
            help="give svv, svv_others and triplet_shapley N times what makes them as dear as joint on ml-100k",
        )
        one.add_argument("--options", type=json.loads, default={}, help="RecBole options as JSON")
        one.add_argument("--output", type=Path, help="a file of JSON lines")
        if name == "stability":
            continue
        one.add_argument(
            "--share", type=float, default=0.1, help="noise, as a share of the training interactions"
        )
        if name == "detect":
            one.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
        else:
            one.add_argument("--kind", default="uniform", choices=[*KINDS, "none"])
            one.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="to remove")
            one.add_argument("--metric", default="ndcg@10")
            one.add_argument("--plot", type=Path, help="an SVG file")
    return parser


if __name__ == "__main__":
    sys.exit(main())

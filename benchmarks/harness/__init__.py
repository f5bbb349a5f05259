"""The benchmark harness: train, compare and report, with the same data, splits and tuning for every arm."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burnish.training.result import Epoch, TrainingResult
    from burnish.training.train import train

    from .across import to_table_across
    from .cd_diagram import diagram, write_diagram
    from .grid import exit_status, n_floor_runs, run_plan
    from .latex import to_latex
    from .page import to_page
    from .picture import plot
    from .plan import Plan, load_plan, make_plan
    from .progress import Event
    from .ranks import Ranking, rank_arms
    from .report import Comparison, summarise
    from .rows import Row
    from .runs import RunRecord
    from .tables import to_csv, to_markdown, to_table

# Loaded on first use, so that reading a plan or a help text costs neither torch nor RecBole.
_HOME = {
    "Comparison": "burnish.benchmarks.harness.report",
    "Epoch": "burnish.training.result",
    "Event": "burnish.benchmarks.harness.progress",
    "Ranking": "burnish.benchmarks.harness.ranks",
    "diagram": "burnish.benchmarks.harness.cd_diagram",
    "rank_arms": "burnish.benchmarks.harness.ranks",
    "write_diagram": "burnish.benchmarks.harness.cd_diagram",
    "Plan": "burnish.benchmarks.harness.plan",
    "Row": "burnish.benchmarks.harness.rows",
    "RunRecord": "burnish.benchmarks.harness.runs",
    "TrainingResult": "burnish.training.result",
    "exit_status": "burnish.benchmarks.harness.grid",
    "load_plan": "burnish.benchmarks.harness.plan",
    "n_floor_runs": "burnish.benchmarks.harness.grid",
    "make_plan": "burnish.benchmarks.harness.plan",
    "plot": "burnish.benchmarks.harness.picture",
    "run_plan": "burnish.benchmarks.harness.grid",
    "summarise": "burnish.benchmarks.harness.report",
    "to_csv": "burnish.benchmarks.harness.tables",
    "to_latex": "burnish.benchmarks.harness.latex",
    "to_markdown": "burnish.benchmarks.harness.tables",
    "to_page": "burnish.benchmarks.harness.page",
    "to_table": "burnish.benchmarks.harness.tables",
    "to_table_across": "burnish.benchmarks.harness.across",
    "train": "burnish.training.train",
}

__all__ = [
    "Comparison",
    "Epoch",
    "Event",
    "Plan",
    "Ranking",
    "Row",
    "RunRecord",
    "TrainingResult",
    "diagram",
    "exit_status",
    "load_plan",
    "make_plan",
    "n_floor_runs",
    "plot",
    "rank_arms",
    "run_plan",
    "summarise",
    "to_csv",
    "to_latex",
    "to_markdown",
    "to_page",
    "to_table",
    "to_table_across",
    "train",
    "write_diagram",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__

"""The benchmark harness: train, compare and report, with the same data, splits and tuning for every arm."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .grid import exit_status, run_plan
    from .picture import plot
    from .plan import Plan, load_plan, make_plan
    from .progress import Event
    from .report import Row, summarise
    from .result import Epoch, TrainingResult
    from .runs import RunRecord
    from .tables import to_csv, to_markdown, to_table
    from .training import train

# Loaded on first use, so that reading a plan or a help text costs neither torch nor RecBole.
_HOME = {
    "Epoch": "result",
    "Event": "progress",
    "Plan": "plan",
    "Row": "report",
    "RunRecord": "runs",
    "TrainingResult": "result",
    "exit_status": "grid",
    "load_plan": "plan",
    "make_plan": "plan",
    "plot": "picture",
    "run_plan": "grid",
    "summarise": "report",
    "to_csv": "tables",
    "to_markdown": "tables",
    "to_table": "tables",
    "train": "training",
}

__all__ = [
    "Epoch",
    "Event",
    "Plan",
    "Row",
    "RunRecord",
    "TrainingResult",
    "exit_status",
    "load_plan",
    "make_plan",
    "plot",
    "run_plan",
    "summarise",
    "to_csv",
    "to_markdown",
    "to_table",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__

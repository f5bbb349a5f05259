"""The benchmark harness: train, compare and report, with the same data, splits and tuning for every arm."""

from __future__ import annotations

import importlib
from typing import Any

# Loaded on first use, so that reading a plan or a help text costs neither torch nor RecBole.
_PUBLIC = {
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

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__

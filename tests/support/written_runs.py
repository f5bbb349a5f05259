"""Folders of a comparison written by hand, with known values a user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from burnish.benchmarks.harness.floors import SHARED

USERS = 80


def write_run(place: Path, values: np.ndarray, *, order: np.ndarray | None = None, **more: Any) -> None:
    """A finished run with these per-user values of ndcg@10.

    order: of the users in the test set.  more: further test metrics, and `test_cases`.
    """
    place.mkdir(parents=True)
    known = {"test_cases": more.pop("test_cases")} if "test_cases" in more else {}
    test = {"ndcg@10": float(values.mean()), **more}
    (place / "metrics.json").write_text(json.dumps({"test_result": test, **known}))
    listed = np.arange(len(values)) if order is None else order
    frame = pd.DataFrame(
        {"user": [f"u{n}" for n in listed], "row": range(len(values)), "ndcg@10": values[listed]}
    )
    frame.to_parquet(place / "per_user.parquet")
    (place / "DONE").touch()


def write_comparison(
    runs: Path,
    arms: dict[str, list[np.ndarray]],
    backbone: str = "BPR",
    name: str = "0a",
    dataset: str = "tiny",
) -> Path:
    """A comparison whose arms have these per-user values, one array a seed.  Returns its note."""
    place = runs / dataset / backbone
    note: dict[str, Any] = {"dataset": dataset, "label": backbone, "comparison": name, "arms": {}}
    for arm, seeds in arms.items():
        note["arms"][arm] = {}
        for seed, values in enumerate(seeds):
            folder = f"{arm}/{seed}-{name}"
            note["arms"][arm][str(seed)] = folder
            write_run(place / folder, values, logloss=1 - float(values.mean()))
    path = place / f"comparison-{name}.json"
    path.write_text(json.dumps(note))
    return path


def add_floor(note: Path, floor: str, seeds: list[np.ndarray], **more: Any) -> None:
    """Another floor in a note, with these per-user values, one array a seed.

    One without a backbone lists the users backwards.
    """
    content = json.loads(note.read_text())
    known: dict[str, Any] = {"trials": 3, "chosen": {"weight": 2.0}, "edge": [], "runs": {}}
    for seed, values in enumerate(seeds):
        shared = floor in SHARED
        folder = f"{'../floors/' if shared else ''}{floor}/{seed}-{note.stem}"
        known["runs"][str(seed)] = folder
        if not (note.parent / folder).exists():
            order = np.arange(len(values))[::-1] if shared else None
            write_run(note.parent / folder, values, order=order, logloss=1 - float(values.mean()), **more)
    content.setdefault("floors", {})[floor] = known
    note.write_text(json.dumps(content))

"""Outputs that are the parts of one value: which part is worth most, over all players and of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

#: Objectives whose parts mean something whatever the basis of the embedding, see `meanings`.
MEANINGFUL = ("axes", "prototypes", "attributes")
#: Objectives whose parts add up to `profile`: several of them are one value.
OF_PROFILE = ("dimensions", "axes", "prototypes")


def families(outputs: Sequence[str]) -> dict[str, list[int]]:
    """The places of the outputs `NAME.PART`, by name."""
    found: dict[str, list[int]] = {}
    for place, output in enumerate(outputs):
        name, point, _ = output.partition(".")
        if point:
            found.setdefault(name, []).append(place)
    return found


def value_of(objective: str) -> str:
    """The value that an objective, or its parts together, stand for: its own name, or `profile`."""
    return "profile" if objective in OF_PROFILE else objective


def each_once(outputs: Sequence[str]) -> dict[str, list[int]]:
    """The places of outputs by objective, of objectives that are one value (`value_of`) only the first."""
    places: dict[str, list[int]] = {}
    for place, output in enumerate(outputs):
        places.setdefault(output.partition(".")[0], []).append(place)
    first: dict[str, str] = {}
    for name in places:
        first.setdefault(value_of(name), name)
    return {name: places[name] for name in first.values()}


def part_of(output: str) -> str:
    """The PART of `NAME.PART`."""
    return output.partition(".")[2]


def part_table(values: np.ndarray, outputs: Sequence[str], meanings: Mapping[str, str]) -> pd.DataFrame:
    """See `Valuation.by_part`.  values: `[n, k]`, of the k outputs."""
    n = len(values)
    means = values.mean(axis=0) if n else np.full(len(outputs), np.nan)
    total = float(means.sum())
    largest = np.bincount(values.argmax(axis=1), minlength=len(outputs)) if n else np.zeros(len(outputs))
    columns: dict[str, object] = {"part": [part_of(output) for output in outputs]}
    if any(output in meanings for output in outputs):
        columns["meaning"] = [meanings.get(output, "") for output in outputs]
    frame = pd.DataFrame(
        {
            **columns,
            "mean": means,
            "share": means / total if total else np.nan,
            "standard_deviation": values.std(axis=0),
            "negative": (values < 0).mean(axis=0),
            "largest": largest / max(n, 1),
        }
    )
    return frame.sort_values("mean", ascending=False, kind="stable").reset_index(drop=True)


def extreme_parts(
    parts: Mapping[str, tuple[np.ndarray, Sequence[str]]], rows: np.ndarray, sign: int
) -> dict[str, list[str]]:
    """For some rows the part that is largest (sign 1) or smallest (-1), by the name of what is in parts."""
    return {
        name: [part_of(outputs[place]) for place in (sign * values[rows]).argmax(axis=1)]
        for name, (values, outputs) in parts.items()
    }

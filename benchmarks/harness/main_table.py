"""The main table of a paper: floors first, then each backbone with its arms; data sets and metrics side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from burnish.errors import DataError

from .floor_rows import NoteFloors
from .floors import is_shared
from .metrics import sign
from .notes import ArmRuns
from .rows import Row

#: What a mark says; its sign is the writer's affair.
BETTER, WORSE, OVER = "better", "worse", "over"


@dataclass(frozen=True)
class Cell:
    """One arm on one data set and metric.

    mean, sd: of the runs' test metric over seeds; NaN for none, and for the deviation of one.  planned: how many seeds
    there were to be.  place: 1 for the best of its column, 2 for the second, else 0.  marks: what is clear of it.
    letters: what casts doubt on it, as the report says.  failure: why it has no figure.
    """

    mean: float = math.nan
    sd: float = math.nan
    n_seeds: int = 0
    planned: int = 0
    place: int = 0
    marks: tuple[str, ...] = ()
    letters: str = ""
    failure: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is no figure."""
        return math.isnan(self.mean)


@dataclass(frozen=True)
class Line:
    """A floor or an arm.  kind: "floor", "baseline" or "arm".  cells: by column."""

    name: str
    kind: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Group:
    """Lines that belong together: the floors of the data, or all of one backbone."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class MainTable:
    """columns: data set and metric of each, the metrics of a data set together.  baseline: what marks compare with."""

    columns: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...]
    baseline: str

    @property
    def datasets(self) -> list[tuple[str, int]]:
        """Each data set and how many columns it has."""
        names = [dataset for dataset, _ in self.columns]
        return [(name, names.count(name)) for name in dict.fromkeys(names)]

    @property
    def marks(self) -> set[str]:
        """Those that are used."""
        return {
            mark for group in self.groups for line in group.lines for one in line.cells for mark in one.marks
        }

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most seeds behind a figure."""
        found = [
            one.n_seeds
            for group in self.groups
            for line in group.lines
            for one in line.cells
            if not one.empty
        ]
        return (min(found), max(found)) if found else (0, 0)


def main_table(rows: Sequence[Row]) -> MainTable:
    """The table of a report's metrics, from the runs it was made of.

    rows: what `summarise` gives.  A mark says "better" or "worse" than the baseline, or better than the strongest floor
    ("over"), by the report's corrected p.  Raises `DataError` for rows without their runs.
    """
    sources: Sequence[NoteFloors] = getattr(rows, "sources", ())
    if not rows or not sources:
        raise DataError("the table needs a report with its runs, as `summarise` gives it")
    metrics = list(dict.fromkeys(row.metric for row in rows))
    columns = [
        (dataset, metric)
        for dataset in dict.fromkeys(str(one.note["dataset"]) for one in sources)
        for metric in metrics
    ]
    baseline = next((row.baseline for row in rows if row.kind in ("arm", "floor")), rows[0].baseline)
    marks = _marks(rows)
    groups: dict[str, dict[tuple[str, str], dict[tuple[str, str], Cell]]] = {}
    for known, label in zip(sources, group_names(sources), strict=True):
        for name, side in known.floors.items():
            group = FLOORS if is_shared(name) and name not in known.arms else label
            # The difference of one that several backbones share is not the same for all of them.
            own = {key: ((), said) for key, (_, said) in marks.items()} if group == FLOORS else marks
            _put(groups, (group, name, "floor"), known, side, metrics, own)
        for name, side in known.arms.items():
            kind = "baseline" if name == baseline else "floor" if name in known.standing_in else "arm"
            _put(groups, (label, name, kind), known, side, metrics, marks)
    ordered = sorted(groups, key=lambda name: name != FLOORS)
    found = [
        Group(
            name,
            tuple(
                Line(one, kind, tuple(cells.get(column, Cell()) for column in columns))
                for (one, kind), cells in sorted(groups[name].items(), key=lambda entry: _ORDER[entry[0][1]])
            ),
        )
        for name in ordered
    ]
    return MainTable(tuple(columns), tuple(_ranked(found, columns)), baseline)


#: What the group of floors without a backbone is called.
FLOORS = "Floors"
_ORDER = {"floor": 0, "baseline": 1, "arm": 2}


def group_names(sources: Iterable[NoteFloors]) -> list[str]:
    """What to call the backbone of each comparison: with the settings where a data set has it several times."""
    places = [(one.note["dataset"], str(one.note["label"]), one.note["comparison"]) for one in sources]
    counts = [(dataset, label) for dataset, label, _ in places]
    return [
        f"{label} #{comparison}" if counts.count((dataset, label)) > 1 else label
        for dataset, label, comparison in places
    ]


def _put(
    groups: dict[str, dict[tuple[str, str], dict[tuple[str, str], Cell]]],
    place: tuple[str, str, str],
    known: NoteFloors,
    side: ArmRuns,
    metrics: Sequence[str],
    marks: Mapping[tuple[Any, ...], tuple[tuple[str, ...], str]],
) -> None:
    """Add the cells of one arm in one comparison; what is there stays, as floors of the data are in several."""
    group, name, kind = place
    note = known.note
    cells = groups.setdefault(group, {}).setdefault((name, kind), {})
    for metric in metrics:
        values = [test[metric] for test in side.tests.values() if math.isfinite(test.get(metric, math.nan))]
        own, letters = marks.get((note["dataset"], note["label"], note["comparison"], name, metric), ((), ""))
        failure = side.failure if len(side.tests) < max(1, side.planned) else ""
        cell = Cell(planned=side.planned, failure=failure)
        if values:
            sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            cell = replace(
                cell, mean=float(np.mean(values)), sd=sd, n_seeds=len(values), marks=own, letters=letters
            )
        before = cells.get((note["dataset"], metric))
        if before is None or before.empty:
            cells[note["dataset"], metric] = cell


def _marks(rows: Sequence[Row]) -> dict[tuple[Any, ...], tuple[tuple[str, ...], str]]:
    """What is clear of an arm on a metric, and letters of what casts doubt on its own runs, not the baseline's."""
    found: dict[tuple[Any, ...], tuple[str, ...]] = {}
    letters: dict[tuple[Any, ...], str] = {}
    for row in rows:
        key = (row.dataset, row.backbone, row.comparison, row.arm, row.metric)
        if row.kind in ("arm", "floor"):
            letters[key] = row.arm_marks
            letters[(*key[:3], row.baseline, row.metric)] = row.baseline_marks
        if row.kind in ("arm", "floor") and row.direction:
            found[key] = (BETTER if row.direction > 0 else WORSE, *found.get(key, ()))
        elif row.kind == "over" and row.direction > 0:
            found[key] = (*found.get(key, ()), OVER)
    return {key: (found.get(key, ()), letters.get(key, "")) for key in {**found, **letters}}


def _ranked(groups: Sequence[Group], columns: Sequence[tuple[str, str]]) -> list[Group]:
    """With the best and the second of each column told, over all groups; equal figures share a place."""
    places: dict[tuple[int, int, int], int] = {}
    for column, (_, metric) in enumerate(columns):
        values = {
            (group, line): sign(metric) * one.cells[column].mean
            for group, some in enumerate(groups)
            for line, one in enumerate(some.lines)
            if not one.cells[column].empty
        }
        best = sorted(set(values.values()), reverse=True)[:2]
        for (group, line), value in values.items():
            if len(values) > 1 and value in best:
                places[group, line, column] = best.index(value) + 1
    return [
        replace(
            some,
            lines=tuple(
                replace(
                    one,
                    cells=tuple(
                        replace(cell, place=places.get((group, line, column), 0))
                        for column, cell in enumerate(one.cells)
                    ),
                )
                for line, one in enumerate(some.lines)
            ),
        )
        for group, some in enumerate(groups)
    ]

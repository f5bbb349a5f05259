"""What the sections of the page are made of: places (one backbone on one data set), tables and figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from burnish.files.svg import GREY

from ..floor_rows import NoteFloors
from ..main_table import group_names
from ..notes import ArmRuns
from ..picture import row_colour
from ..report import Comparison
from ..rows import Row


@dataclass(frozen=True)
class Cell:
    """text: as it is read.  value: what it is sorted by; None for the text.  tone: "gain", "loss", "floor", "muted"."""

    text: str
    value: float | None = None
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """heads: of the columns, the first `texts` of them texts, the others numbers.  caption: says what it shows.

    grouped: lines of one first cell stand below it, as below a heading.
    """

    heads: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]
    texts: int = 1
    caption: str = ""
    grouped: bool = False

    @property
    def bodies(self) -> list[tuple[str, list[tuple[Cell, ...]]]]:
        """The lines by heading; without one where they are not grouped."""
        if not self.grouped:
            return [("", list(self.lines))]
        found: dict[str, list[tuple[Cell, ...]]] = {}
        for line in self.lines:
            found.setdefault(line[0].text, []).append(line[1:])
        return list(found.items())


@dataclass(frozen=True)
class Figure:
    """A drawing (SVG) and what it shows in words."""

    drawing: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """lead: sentences below the heading.  notes: small print below all.  items: of a list; tone, term and text.

    wide, small: how much room drawings take.
    """

    anchor: str
    title: str
    lead: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    items: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()
    wide: bool = False
    small: bool = False


@dataclass(frozen=True)
class Place:
    """One comparison: its runs, its rows, and what to call it."""

    known: NoteFloors
    name: str
    rows: tuple[Row, ...]
    baseline: str
    metrics: tuple[str, ...] = field(default=())

    def sides(self) -> list[tuple[str, str, ArmRuns]]:
        """Floors, the baseline, arms: name, kind and runs."""
        found = [(name, "floor", side) for name, side in self.known.floors.items() if name != self.baseline]
        standing = self.known.standing_in
        arms = self.known.arms
        found += [(name, "floor", arms[name]) for name in arms if name in standing and name != self.baseline]
        base = self.known.side(self.baseline)
        found += [] if base is None else [(self.baseline, "baseline", base)]
        return found + [
            (name, "arm", arms[name]) for name in arms if name not in standing and name != self.baseline
        ]

    def row(self, arm: str, metric: str, *kinds: str) -> Row | None:
        """Of an arm or floor against the baseline, or of other kinds."""
        wanted = kinds or ("arm", "floor")
        return next(
            (row for row in self.rows if (row.arm, row.metric) == (arm, metric) and row.kind in wanted), None
        )

    def colour(self, arm: str, metric: str) -> str:
        """As in the picture of intervals."""
        row = self.row(arm, metric)
        return GREY if row is None else row_colour(row)


def places_of(rows: Comparison) -> list[Place]:
    """The comparisons of a report, in its order."""
    sources = rows.sources
    several = len({one.note["dataset"] for one in sources}) > 1
    metrics = tuple(dict.fromkeys(row.metric for row in rows))
    baseline = next((row.baseline for row in rows if row.kind in ("arm", "floor")), rows[0].baseline)
    found = []
    for known, label in zip(sources, group_names(sources), strict=True):
        key = tuple(known.note[name] for name in ("dataset", "label", "comparison"))
        own = tuple(row for row in rows if (row.dataset, row.backbone, row.comparison) == key)
        name = f"{known.note['dataset']}, {label}" if several else label
        found.append(Place(known, name, own, baseline, metrics))
    return found


def number(value: float, digits: int = 4, *, plus: bool = False, unit: str = "") -> Cell:
    """A figure; a dash for NaN."""
    if value is None or not math.isfinite(value):
        return Cell("–", None, "muted")
    return Cell(f"{value:{'+' if plus else ''},.{digits}f}{unit}", value)


def mean(values: Sequence[float | None]) -> float:
    """Of those that are known; NaN for none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def named(name: str, kind: str) -> Cell:
    """An arm or a floor, as the first cell of a line."""
    return Cell(f"{name} (floor)", tone="floor") if kind == "floor" else Cell(name)


def verdict(row: Row) -> str:
    """In words, with the letters of what casts doubt on it."""
    return row.verdict + (f" [{letters(row)}]" if letters(row) else "")


def letters(row: Row | None) -> str:
    """Of what casts doubt on a row; the report says what each stands for."""
    return str(getattr(row, "marks", ""))


def tone(row: Row | None) -> str:
    """Of what is said of a row."""
    return "" if row is None else {1: "gain", -1: "loss", 0: ""}[row.direction]

"""The differences and their intervals as a picture: an SVG file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnish.errors import DataError
from burnish.files.svg import (
    DARK,
    GREY,
    LIGHT,
    fitted,
    folded,
    heading,
    label,
    line,
    scale,
    svg_path,
    text_width,
    ticks,
    with_margin,
    write_svg,
)
from burnish.readable import readable_html

from .metrics import sign
from .report import Comparison
from .rows import Row

_PLOT, _LEFT, _RIGHT, _LINE, _HEAD, _LETTERS = 380, 230, 290, 26, 58, 13
#: Beyond this, names are shortened; what stands beside a row and what it is away from.
_MOST_LEFT, _GAP, _EDGE = 460, 12, 16
_FLOOR = "#1f5fa8"
_DOUBTFUL = "#9a6700"
_COLOURS = {1: "#1a7f37", -1: "#c2372e", 0: GREY}


def plot(rows: Sequence[Row], path: Path | str) -> Path:
    """Draw each row's difference as a point with its 95% interval, one panel a metric and data set, into an SVG file.

    Green is a clear gain, red a clear loss, grey neither, brown what is flagged as collapsed.  Floors come first, as
    blue squares; a dashed line through the arms of a backbone is where the strongest of its floors stands, be that a
    square, an arm of the plan that stands as a floor, or the baseline.  Flags, and what the report has no row for, are
    said below.  Returns the path.
    Raises `ConfigurationError` for another suffix than .svg, `DataError` for no rows.
    """
    path = svg_path(path)
    if not rows:
        raise DataError("plot: there are no rows to draw")
    parts: list[str] = []
    top = 0
    drawn = [row for row in rows if row.kind in ("floor", "arm")]
    columns = _Columns.of(drawn)
    several_sets = len({row.dataset for row in drawn}) > 1
    for metric, dataset in dict.fromkeys((row.metric, row.dataset) for row in drawn):
        panel = [row for row in drawn if (row.metric, row.dataset) == (metric, dataset)]
        parts += _panel(panel, f"{dataset}, {metric}" if several_sets else metric, top, columns)
        top += _HEAD + _LINE * len(panel) + 34
    beside = [*rows.flags, *rows.absences] if isinstance(rows, Comparison) else []
    for remark in (part for one in beside for part in folded(one, columns.width - 2 * _EDGE, 11)):
        shown = fitted(remark, columns.width - 2 * _EDGE, 11)
        parts.append(f"<text x='{_EDGE}' y='{top + 12}' font-size='11' fill='{GREY}'>{shown}</text>")
        top += 20
    title = f"Differences to {rows[0].baseline} with 95% intervals"
    return write_svg(path, parts, width=columns.width, height=top, title=title, font_size=_LETTERS)


@dataclass(frozen=True)
class _Columns:
    """How much room names and verdicts have, left and right of the plot, whose width is always the same."""

    left: int = _LEFT
    right: int = _RIGHT

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Columns:
        """As much as the longest ones need, and at least what short ones have."""
        names, verdicts = (
            math.ceil(max((text_width(write(row), _LETTERS) for row in rows), default=0.0))
            for write in (_name, _verdict)
        )
        return cls(min(max(_LEFT, _EDGE + names + _GAP), _MOST_LEFT), max(_RIGHT, _GAP + verdicts))

    @property
    def end(self) -> int:
        """Where the plot ends."""
        return self.left + _PLOT

    @property
    def width(self) -> int:
        return self.end + self.right


def _range(rows: Sequence[Row]) -> tuple[float, float]:
    ends = [value for row in rows for value in (row.low, row.high, row.difference) if math.isfinite(value)]
    return with_margin(min([0.0, *ends]), max([0.0, *ends]))


def _panel(rows: Sequence[Row], name: str, top: int, columns: _Columns) -> list[str]:
    low, high = _range(rows)
    across = scale(low, high, columns.left, columns.end)
    bottom = top + _HEAD + _LINE * len(rows)
    hint = "" if sign(rows[0].metric) > 0 else " (smaller is better)"
    title = f"{name}{hint}: difference to {rows[0].baseline}, 95% interval"
    parts = [heading(_EDGE, top + 28, title, 15, columns.width - 2 * _EDGE)]
    for tick in ticks(low, high):
        x, zero = across(tick), tick == 0
        parts.append(line((x, x), (top + _HEAD - 14, bottom), DARK if zero else LIGHT))
        parts.append(label(x, bottom + 18, "0" if zero else f"{tick:+.6g}"))
    for place, row in enumerate(rows):
        parts += _mark(row, top + _HEAD + _LINE * place + 4, across, columns)
    return parts + _references(rows, top, across)


def _references(rows: Sequence[Row], top: int, across: Callable[[float], float]) -> list[str]:
    """A dashed line where the strongest floor of a backbone stands, through the rows of its arms."""
    parts = []
    for one in dict.fromkeys((row.dataset, row.backbone, row.comparison) for row in rows):
        own = [
            (place, row)
            for place, row in enumerate(rows)
            if (row.dataset, row.backbone, row.comparison) == one
        ]
        where = _strongest([row for _, row in own])
        arms = [place for place, row in own if row.kind == "arm"]
        if where is not None and arms:
            x = across(where)
            ends = (top + _HEAD + _LINE * min(arms) - 6, top + _HEAD + _LINE * max(arms) + 14)
            parts.append(line((x, x), ends, _FLOOR, " stroke-width='1.5' stroke-dasharray='5 4'"))
    return parts


def _strongest(rows: Sequence[Row]) -> float | None:
    """How far the floor that the report calls the strongest is from the baseline; None without one."""
    name = rows[0].strongest_floor
    if name and name == rows[0].baseline:
        return 0.0
    return next((row.difference for row in rows if row.arm == name), None)


def _name(row: Row) -> str:
    return f"{row.backbone}, {row.arm}"


def _verdict(row: Row) -> str:
    """What stands to the right of a row: the difference, in percent where it has an interval, and the verdict."""
    change = f"{row.difference:+.4f}"
    if math.isfinite(row.low) and math.isfinite(row.high) and math.isfinite(row.relative):
        change += f" ({100 * row.relative:+.1f}%)"
    marks = f" [{row.marks}]" if row.marks else ""
    return f"{change} {'floor' if row.kind == 'floor' else row.verdict.split(',')[0]}{marks}"


def row_colour(row: Row) -> str:
    """What a row's point and interval are drawn in."""
    return _FLOOR if row.kind == "floor" else _DOUBTFUL if row.collapsed else _COLOURS[row.direction]


def _mark(row: Row, y: int, across: Callable[[float], float], columns: _Columns) -> list[str]:
    colour = row_colour(row)
    name = fitted(_name(row), columns.left - _GAP - _EDGE, _LETTERS)
    parts = [f"<text x='{columns.left - _GAP}' y='{y + 4}' text-anchor='end'>{name}</text>"]
    if math.isfinite(row.low) and math.isfinite(row.high):
        left, right = across(row.low), across(row.high)
        parts.append(line((left, right), (y, y), colour, " stroke-width='2.5'"))
    x = across(row.difference)
    if row.kind == "floor":
        parts.append(f"<rect x='{x - 4}' y='{y - 4}' width='8' height='8' fill='{colour}'/>")
    else:
        parts.append(f"<circle cx='{x}' cy='{y}' r='4.5' fill='{colour}'/>")
    verdict = readable_html(_verdict(row))
    parts.append(f"<text x='{columns.end + _GAP}' y='{y + 4}' fill='{colour}'>{verdict}</text>")
    return parts

"""The differences and their intervals as a picture: an SVG file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from burnish.errors import DataError
from burnish.files.svg import (
    DARK,
    GREY,
    LIGHT,
    heading,
    label,
    line,
    scale,
    svg_path,
    ticks,
    with_margin,
    write_svg,
)

from .metrics import sign
from .report import Row

_WIDTH, _LEFT, _RIGHT, _LINE, _HEAD = 900, 230, 290, 26, 58
_COLOURS = {1: "#1a7f37", -1: "#c2372e", 0: GREY}


def plot(rows: Sequence[Row], path: Path | str) -> Path:
    """Draw each row's difference as a point with its 95% interval, one panel a metric, into an SVG file.

    Green is a clear gain, red a clear loss, grey neither.  Returns the path.
    Raises `ConfigurationError` for another suffix than .svg, `DataError` for no rows.
    """
    path = svg_path(path)
    if not rows:
        raise DataError("plot: there are no rows to draw")
    parts: list[str] = []
    top = 0
    for metric in dict.fromkeys(row.metric for row in rows):
        panel = [row for row in rows if row.metric == metric]
        parts += _panel(panel, metric, top)
        top += _HEAD + _LINE * len(panel) + 34
    title = f"Differences to {rows[0].baseline} with 95% intervals"
    return write_svg(path, parts, width=_WIDTH, height=top, title=title, font_size=13)


def _range(rows: Sequence[Row]) -> tuple[float, float]:
    ends = [value for row in rows for value in (row.low, row.high, row.difference) if math.isfinite(value)]
    return with_margin(min([0.0, *ends]), max([0.0, *ends]))


def _panel(rows: Sequence[Row], metric: str, top: int) -> list[str]:
    low, high = _range(rows)
    across = scale(low, high, _LEFT, _WIDTH - _RIGHT)
    bottom = top + _HEAD + _LINE * len(rows)
    hint = "" if sign(metric) > 0 else " (smaller is better)"
    title = f"{metric}{hint}: difference to {rows[0].baseline}, 95% interval"
    parts = [heading(16, top + 28, title, 15)]
    for tick in ticks(low, high):
        x, zero = across(tick), tick == 0
        parts.append(line((x, x), (top + _HEAD - 14, bottom), DARK if zero else LIGHT))
        parts.append(label(x, bottom + 18, "0" if zero else f"{tick:+.6g}"))
    for place, row in enumerate(rows):
        parts += _mark(row, top + _HEAD + _LINE * place + 4, across)
    return parts


def _mark(row: Row, y: int, across: Callable[[float], float]) -> list[str]:
    colour = _COLOURS[row.direction]
    name = f"{row.backbone}, {row.arm}"
    parts = [f"<text x='{_LEFT - 12}' y='{y + 4}' text-anchor='end'>{escape(name)}</text>"]
    change = f"{row.difference:+.4f}"
    if math.isfinite(row.low) and math.isfinite(row.high):
        left, right = across(row.low), across(row.high)
        parts.append(line((left, right), (y, y), colour, " stroke-width='2.5'"))
        if math.isfinite(row.relative):
            change += f" ({100 * row.relative:+.1f}%)"
    parts.append(f"<circle cx='{across(row.difference)}' cy='{y}' r='4.5' fill='{colour}'/>")
    verdict = escape(f"{change} {row.verdict.split(',')[0]}")
    parts.append(f"<text x='{_WIDTH - _RIGHT + 12}' y='{y + 4}' fill='{colour}'>{verdict}</text>")
    return parts

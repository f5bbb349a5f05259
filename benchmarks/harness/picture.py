"""The differences and their intervals as a picture: an SVG file, written without any library."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from burnish.errors import ConfigurationError, DataError
from burnish.files.svg import ticks

from .metrics import sign
from .report import Row

_WIDTH, _LEFT, _RIGHT, _LINE, _HEAD = 900, 230, 290, 26, 58
_COLOURS = {1: "#1a7f37", -1: "#c2372e", 0: "#6b7280"}
_STYLE = "font-family='system-ui, DejaVu Sans, sans-serif' font-size='13' fill='#1f2328'"


def plot(rows: Sequence[Row], path: Path | str) -> Path:
    """Draw each row's difference as a point with its 95% interval, one panel a metric, into an SVG file.

    Green is a clear gain, red a clear loss, grey neither.  Returns the path.
    Raises `ConfigurationError` for another suffix than .svg, `DataError` for no rows.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise ConfigurationError(
            f"plot: {str(path)!r}: the picture is an SVG; give a file name that ends in .svg"
        )
    if not rows:
        raise DataError("plot: there are no rows to draw")
    parts: list[str] = []
    top = 0
    for metric in dict.fromkeys(row.metric for row in rows):
        panel = [row for row in rows if row.metric == metric]
        parts += _panel(panel, metric, top)
        top += _HEAD + _LINE * len(panel) + 34
    body = "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {top}' role='img' "
        f"width='{_WIDTH}' height='{top}'>\n"
        f"<title>Differences to {escape(rows[0].baseline)} with 95% intervals</title>\n"
        f"<rect width='{_WIDTH}' height='{top}' fill='#ffffff'/>\n<g {_STYLE}>\n{body}\n</g>\n</svg>\n",
        encoding="utf-8",
    )
    return path


def _range(rows: Sequence[Row]) -> tuple[float, float]:
    ends = [value for row in rows for value in (row.low, row.high, row.difference) if math.isfinite(value)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    margin = 0.08 * (high - low) or 0.01
    return low - margin, high + margin


def _panel(rows: Sequence[Row], metric: str, top: int) -> list[str]:
    low, high = _range(rows)
    inner = _WIDTH - _LEFT - _RIGHT

    def across(value: float) -> float:
        return round(_LEFT + inner * (value - low) / (high - low), 1)

    bottom = top + _HEAD + _LINE * len(rows)
    hint = "" if sign(metric) > 0 else " (smaller is better)"
    title = f"{metric}{hint}: difference to {rows[0].baseline}, 95% interval"
    parts = [f"<text x='16' y='{top + 28}' font-size='15' font-weight='600'>{escape(title)}</text>"]
    for tick in ticks(low, high):
        x, zero = across(tick), tick == 0
        look = "stroke='#1f2328'" if zero else "stroke='#e5e7eb'"
        parts.append(f"<line x1='{x}' x2='{x}' y1='{top + _HEAD - 14}' y2='{bottom}' {look}/>")
        label = "0" if zero else f"{tick:+.6g}"
        parts.append(f"<text x='{x}' y='{bottom + 18}' text-anchor='middle' font-size='11'>{label}</text>")
    for place, row in enumerate(rows):
        parts += _mark(row, top + _HEAD + _LINE * place + 4, across)
    return parts


def _mark(row: Row, y: int, across: Callable[[float], float]) -> list[str]:
    colour = _COLOURS[row.direction]
    name = f"{row.backbone}, {row.arm}"
    parts = [f"<text x='{_LEFT - 12}' y='{y + 4}' text-anchor='end'>{escape(name)}</text>"]
    said = f"{row.difference:+.4f}"
    if math.isfinite(row.low) and math.isfinite(row.high):
        left, right = across(row.low), across(row.high)
        parts.append(
            f"<line x1='{left}' x2='{right}' y1='{y}' y2='{y}' stroke='{colour}' stroke-width='2.5'/>"
        )
        if math.isfinite(row.relative):
            said += f" ({100 * row.relative:+.1f}%)"
    parts.append(f"<circle cx='{across(row.difference)}' cy='{y}' r='4.5' fill='{colour}'/>")
    verdict = escape(f"{said} {row.verdict.split(',')[0]}")
    parts.append(f"<text x='{_WIDTH - _RIGHT + 12}' y='{y + 4}' fill='{colour}'>{verdict}</text>")
    return parts

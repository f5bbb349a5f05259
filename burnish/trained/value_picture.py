"""The values of a valuation as a picture: an SVG file, written without any library."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import ConfigurationError, DataError
from burnish.files.svg import ticks
from burnish.files.whole import write_text

_WIDTH, _PANEL, _HEIGHT, _ROW, _MARGIN = 960, 400, 180, 290, 60
_BLUE, _DARK, _LIGHT, _GREY = "#0969da", "#1f2328", "#e5e7eb", "#6b7280"
_STYLE = f"font-family='system-ui, DejaVu Sans, sans-serif' font-size='12' fill='{_DARK}'"
#: Outputs that are drawn; more than these nobody would look at.
MOST = 8
_BINS = 40


def check_picture(path: Path | str) -> Path:
    """The path; `ConfigurationError` for another suffix than .svg."""
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise ConfigurationError(
            f"plot: {str(path)!r}: the picture is an SVG; give a file name that ends in .svg "
            f"(Valuation.to_shap gives shap's own plots)"
        )
    return path


def plot(valuation: Valuation, path: Path | str) -> Path:
    """Draw each output (the first few of many) as two panels: a histogram of the values, and by popularity decile.

    In the second a point is the mean and a line the middle 80% of the values of the interactions whose items are in
    that decile (see `Summary.deciles`).  Written whole or not at all.  Returns the path.
    """
    path = check_picture(path)
    if not valuation.n_players:
        raise DataError("plot: there are no values to draw")
    outputs = valuation.outputs[:MOST]
    deciles = decile_of(valuation)
    parts: list[str] = []
    for place, name in enumerate(outputs):
        values = valuation.values[:, place].detach().cpu().double().numpy()
        parts += _histogram(values, name, _MARGIN, place * _ROW)
        if deciles is not None:
            parts += _by_decile(values, deciles, name, 2 * _MARGIN + _PANEL, place * _ROW)
    height = _ROW * len(outputs)
    body = "\n".join(parts)
    write_text(
        path,
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' role='img' "
        f"width='{_WIDTH}' height='{height}'>\n<title>Values of {valuation.n_players} interactions</title>\n"
        f"<rect width='{_WIDTH}' height='{height}' fill='#ffffff'/>\n<g {_STYLE}>\n{body}\n</g>\n</svg>\n",
    )
    return path


def decile_of(valuation: Valuation) -> np.ndarray | None:
    """The popularity decile (0 to 9) of each interaction's item, None for players without items."""
    from burnish.enhancers.shapley.summary import decile_by_item

    if valuation.players is None or "item" not in valuation.players:
        return None
    items: pd.Series = valuation.players["item"]
    return items.map(decile_by_item(items)).to_numpy()


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    room = (high - low) or 1.0
    return lambda value: round(start + (end - start) * (value - low) / room, 1)


def _histogram(values: np.ndarray, name: str, left: int, top: int) -> list[str]:
    # A few extreme values would leave one bar: they are counted in the first and last bar.
    low, high = (float(end) for end in np.percentile(values, [0.5, 99.5]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
    across = _scale(low, high, left, left + _PANEL)
    bottom = top + 50 + _HEIGHT
    parts = _heading(f"{name}: {len(values):,} interactions", left, top)
    for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True):
        tall = round(_HEIGHT * count / counts.max(), 1)
        x, wide = across(first), round(across(last) - across(first) - 0.6, 1)
        parts.append(f"<rect x='{x}' y='{bottom - tall}' width='{wide}' height='{tall}' fill='{_BLUE}'/>")
    for tick in ticks(low, high):
        parts.append(
            f"<text x='{across(tick)}' y='{bottom + 16}' text-anchor='middle' font-size='11'>{tick:.4g}</text>"
        )
    parts.append(
        f"<line x1='{left}' x2='{left + _PANEL}' y1='{bottom}' y2='{bottom}' stroke='{_DARK}'/>"
        f"<text x='{left}' y='{bottom + 34}' font-size='11' fill='{_GREY}'>"
        f"value (the outermost 1% are in the outer bars)</text>"
    )
    return parts


def _by_decile(values: np.ndarray, deciles: np.ndarray, name: str, left: int, top: int) -> list[str]:
    marks: list[tuple[int, float, float, float]] = []
    for number in range(10):
        mine = values[deciles == number]
        if len(mine):
            tenth, ninetieth = (float(q) for q in np.percentile(mine, [10, 90]))
            marks.append((number, float(mine.mean()), tenth, ninetieth))
    low, high = min(min(mark[1:]) for mark in marks), max(max(mark[1:]) for mark in marks)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bottom = top + 50 + _HEIGHT
    upward = _scale(low, high, bottom - 6, top + 56)
    across = _scale(-0.5, 9.5, left, left + _PANEL)
    parts = _heading(f"{name} by popularity of the item", left, top)
    for tick in ticks(low, high):
        y, look = upward(tick), _DARK if tick == 0 else _LIGHT
        parts.append(f"<line x1='{left}' x2='{left + _PANEL}' y1='{y}' y2='{y}' stroke='{look}'/>")
        parts.append(f"<text x='{left - 6}' y='{y + 4}' text-anchor='end' font-size='11'>{tick:.4g}</text>")
    for number, mean, tenth, ninetieth in marks:
        x = across(float(number))
        parts.append(
            f"<line x1='{x}' x2='{x}' y1='{upward(tenth)}' y2='{upward(ninetieth)}' stroke='{_BLUE}' "
            f"stroke-width='2.5'/><circle cx='{x}' cy='{upward(mean)}' r='4.5' fill='{_BLUE}'/>"
            f"<text x='{x}' y='{bottom + 16}' text-anchor='middle' font-size='11'>{number + 1}</text>"
        )
    parts.append(
        f"<text x='{left}' y='{bottom + 34}' font-size='11' fill='{_GREY}'>"
        f"decile, from rare to popular; point: mean, line: middle 80%</text>"
    )
    return parts


def _heading(text: str, left: int, top: int) -> list[str]:
    return [f"<text x='{left}' y='{top + 30}' font-size='14' font-weight='600'>{escape(text)}</text>"]

"""The values of a valuation as a picture: an SVG file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from burnish.enhancers.shapley.valuation import Valuation
from burnish.errors import DataError
from burnish.files.svg import DARK, GREY, LIGHT, heading, label, line, scale, svg_path, ticks, write_svg

_WIDTH, _PANEL, _HEIGHT, _ROW, _MARGIN = 960, 400, 180, 290, 60
_BLUE = "#0969da"
#: Outputs that are drawn; more than these nobody would look at.
MOST = 8
_BINS = 40


def check_picture(path: Path | str) -> Path:
    """The path; `ConfigurationError` for another suffix than .svg."""
    return svg_path(path, " (Valuation.to_shap gives shap's own plots)")


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
        parts += _histogram(values, valuation.label(name), _MARGIN, place * _ROW)
        if deciles is not None:
            parts += _by_decile(values, deciles, name, 2 * _MARGIN + _PANEL, place * _ROW)
    title = f"Values of {valuation.n_players} interactions"
    return write_svg(path, parts, width=_WIDTH, height=_ROW * len(outputs), title=title, font_size=12)


def decile_of(valuation: Valuation) -> np.ndarray | None:
    """The popularity decile (0 to 9) of each interaction's item, None for players without items."""
    from burnish.enhancers.shapley.summary import decile_by_item

    if valuation.players is None or "item" not in valuation.players:
        return None
    items: pd.Series = valuation.players["item"]
    return items.map(decile_by_item(items)).to_numpy()


def _histogram(values: np.ndarray, name: str, left: int, top: int) -> list[str]:
    # A few extreme values would leave one bar: they are counted in the first and last bar.
    low, high = (float(end) for end in np.percentile(values, [0.5, 99.5]))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), bins=_BINS, range=(low, high))
    across = scale(low, high, left, left + _PANEL)
    bottom = top + 50 + _HEIGHT
    parts = [heading(left, top + 30, f"{name}: {len(values):,} interactions", 14, _PANEL)]
    for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True):
        tall = round(_HEIGHT * count / counts.max(), 1)
        x, wide = across(first), round(across(last) - across(first) - 0.6, 1)
        parts.append(f"<rect x='{x}' y='{bottom - tall}' width='{wide}' height='{tall}' fill='{_BLUE}'/>")
    for tick in ticks(low, high):
        parts.append(label(across(tick), bottom + 16, f"{tick:.4g}"))
    parts.append(
        line((left, left + _PANEL), (bottom, bottom), DARK)
        + f"<text x='{left}' y='{bottom + 34}' font-size='11' fill='{GREY}'>"
        f"value (the outermost 1% are in the outer bars)</text>"
    )
    return parts


def _by_decile(values: np.ndarray, deciles: np.ndarray, name: str, left: int, top: int) -> list[str]:
    marks: list[tuple[int, float, float, float]] = []
    for number in range(10):
        inside = values[deciles == number]
        if len(inside):
            tenth, ninetieth = (float(q) for q in np.percentile(inside, [10, 90]))
            marks.append((number, float(inside.mean()), tenth, ninetieth))
    low, high = min(min(mark[1:]) for mark in marks), max(max(mark[1:]) for mark in marks)
    if low == high:
        low, high = low - 0.5, high + 0.5
    bottom = top + 50 + _HEIGHT
    upward = scale(low, high, bottom - 6, top + 56)
    across = scale(-0.5, 9.5, left, left + _PANEL)
    parts = [heading(left, top + 30, f"{name} by popularity of the item", 14)]
    for tick in ticks(low, high):
        y = upward(tick)
        parts.append(line((left, left + _PANEL), (y, y), DARK if tick == 0 else LIGHT))
        parts.append(label(left - 6, y + 4, f"{tick:.4g}", "end"))
    for number, mean, tenth, ninetieth in marks:
        x = across(float(number))
        parts.append(
            line((x, x), (upward(tenth), upward(ninetieth)), _BLUE, " stroke-width='2.5'")
            + f"<circle cx='{x}' cy='{upward(mean)}' r='4.5' fill='{_BLUE}'/>"
            + label(x, bottom + 16, f"{number + 1}")
        )
    parts.append(
        f"<text x='{left}' y='{bottom + 34}' font-size='11' fill='{GREY}'>"
        f"decile, from rare to popular; point: mean, line: middle 80%</text>"
    )
    return parts

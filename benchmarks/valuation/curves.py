"""Removal curves as a picture: an SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from burnish.errors import DataError
from burnish.files.svg import (
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
from burnish.readable import readable_html

from .removal import Point

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 860, 440, 80, 48, 250, 56
_COLOURS = ("#0969da", "#c2372e", GREY, "#1a7f37", "#8250df", "#bf8700")


def draw(points: Sequence[Point], path: Path | str, metric: str) -> Path:
    """One line a judge and end (dashed: the most valuable go first), the share removed against the mean metric.

    metric: what the heading calls it.  Returns the path.
    Raises `ConfigurationError` for another suffix than .svg, `DataError` for no points.
    """
    path = svg_path(path)
    if not points:
        raise DataError("plot: there are no points to draw")
    low, high = with_margin(min(p.mean for p in points), max(p.mean for p in points))
    across = scale(0.0, max(p.share for p in points), _LEFT, _WIDTH - _RIGHT)
    up = scale(high, low, _TOP, _HEIGHT - _BOTTOM)
    title = f"{metric} by share removed"
    parts = [heading(16, 28, title, 15)]
    for tick in ticks(low, high):
        y = up(tick)
        parts.append(line((_LEFT, _WIDTH - _RIGHT), (y, y), LIGHT))
        parts.append(label(_LEFT - 8, y + 4, f"{tick:.6g}", "end"))
    for share in sorted({p.share for p in points}):
        parts.append(label(across(share), _HEIGHT - _BOTTOM + 20, f"{100 * share:g}%"))
    judges = list(dict.fromkeys(p.judge for p in points))
    for number, (judge, end) in enumerate(dict.fromkeys((p.judge, p.removed) for p in points)):
        own = sorted((p for p in points if (p.judge, p.removed) == (judge, end)), key=lambda p: p.share)
        colour = _COLOURS[judges.index(judge) % len(_COLOURS)]
        look = " fill='none' stroke-width='2.2'" + (" stroke-dasharray='6 4'" if end == "highest" else "")
        curve = " ".join(f"{across(p.share)},{up(p.mean)}" for p in own)
        parts.append(f"<polyline points='{curve}' stroke='{colour}'{look}/>")
        x, y = _WIDTH - _RIGHT + 16, _TOP + 24 * number
        parts.append(line((x, x + 28), (y, y), colour, look))
        parts.append(f"<text x='{x + 36}' y='{y + 4}'>{readable_html(judge)}, {end} first</text>")
    return write_svg(path, parts, width=_WIDTH, height=_HEIGHT, title=title, font_size=13)

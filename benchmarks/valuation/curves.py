"""Removal curves as a picture: an SVG file, written without any library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from burnish.errors import ConfigurationError, DataError
from burnish.files.svg import ticks

from .removal import Point

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 860, 440, 80, 48, 250, 56
_COLOURS = ("#0969da", "#c2372e", "#6b7280", "#1a7f37", "#8250df", "#bf8700")
_STYLE = "font-family='system-ui, DejaVu Sans, sans-serif' font-size='13' fill='#1f2328'"


def draw(points: Sequence[Point], path: Path | str, label: str) -> Path:
    """One line a judge and end (dashed: the most valuable go first), the share removed against the mean metric.

    Returns the path.  Raises `ConfigurationError` for another suffix than .svg, `DataError` for no points.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise ConfigurationError(
            f"plot: {str(path)!r}: the picture is an SVG; give a file name that ends in .svg"
        )
    if not points:
        raise DataError("plot: there are no points to draw")
    low, high = min(p.mean for p in points), max(p.mean for p in points)
    margin = 0.08 * (high - low) or 0.01
    low, high = low - margin, high + margin
    furthest = max(p.share for p in points) or 1.0

    def across(share: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * share / furthest, 1)

    def up(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - value) / (high - low), 1)

    parts = [f"<text x='16' y='28' font-size='15' font-weight='600'>{escape(label)} by share removed</text>"]
    for tick in ticks(low, high):
        y = up(tick)
        parts.append(f"<line x1='{_LEFT}' x2='{_WIDTH - _RIGHT}' y1='{y}' y2='{y}' stroke='#e5e7eb'/>")
        parts.append(f"<text x='{_LEFT - 8}' y='{y + 4}' text-anchor='end' font-size='11'>{tick:.6g}</text>")
    for share in sorted({p.share for p in points}):
        place = f"x='{across(share)}' y='{_HEIGHT - _BOTTOM + 20}'"
        parts.append(f"<text {place} text-anchor='middle' font-size='11'>{100 * share:g}%</text>")
    judges = list(dict.fromkeys(p.judge for p in points))
    for number, (judge, end) in enumerate(dict.fromkeys((p.judge, p.removed) for p in points)):
        own = sorted((p for p in points if (p.judge, p.removed) == (judge, end)), key=lambda p: p.share)
        look = f"stroke='{_COLOURS[judges.index(judge) % len(_COLOURS)]}' fill='none' stroke-width='2.2'"
        look += " stroke-dasharray='6 4'" if end == "highest" else ""
        line = " ".join(f"{across(p.share)},{up(p.mean)}" for p in own)
        parts.append(f"<polyline points='{line}' {look}/>")
        x, y = _WIDTH - _RIGHT + 16, _TOP + 24 * number
        parts.append(f"<line x1='{x}' x2='{x + 28}' y1='{y}' y2='{y}' {look}/>")
        parts.append(f"<text x='{x + 36}' y='{y + 4}'>{escape(judge)}, {end} first</text>")
    body = "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"width='{_WIDTH}' height='{_HEIGHT}'>\n<title>{escape(label)} by share removed</title>\n"
        f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='#ffffff'/>\n<g {_STYLE}>\n{body}\n</g>\n</svg>\n",
        encoding="utf-8",
    )
    return path

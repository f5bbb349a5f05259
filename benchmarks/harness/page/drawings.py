"""The small drawings of the page: panels as wide as a phone, which stand side by side on a wide screen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from burnish.files.svg import (
    GREY,
    LIGHT,
    fitted,
    label,
    line,
    scale,
    svg_text,
    text_width,
    ticks,
    with_margin,
)
from burnish.readable import readable_html

from ..picture import row_colour
from ..rows import Row

WIDTH, SMALL_WIDTH = 352, 264
_EDGE, _LETTERS, _SMALL = 8, 12, 11
#: Colours of series, told apart in print and by most eyes; `STROKES` tells them apart without colour.
COLOURS = ("#1f5fa8", "#b3541e", "#2f7d4f", "#7a4fa3", "#a8324a", "#5c6b1f", "#1c7c8c", "#8a6d00")
STROKES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "10 4", "1 3", "7 2 1 2")


#: Keeps lines away from the letters that stand on them.
_HALO = " stroke='#ffffff' stroke-width='4' stroke-linejoin='round' paint-order='stroke'"


@dataclass(frozen=True)
class Series:
    """One line of a drawing.

    points: x and y.  strong: whether it is what the drawing is about.  joined: by a line, or else dots.  floor: whether
    it is one.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    strong: bool = True
    joined: bool = True
    floor: bool = False


def forest(rows: Sequence[Row], title: str) -> str:
    """Each row's difference and 95% interval: its name above, the line below, the verdict beside the name."""
    step, top = 38, 6
    ends = [value for row in rows for value in (row.low, row.high, row.difference) if math.isfinite(value)]
    low, high = with_margin(min([0.0, *ends]), max([0.0, *ends]))
    across = scale(low, high, _EDGE, WIDTH - _EDGE)
    bottom = top + step * len(rows) + 4
    parts = []
    for tick in ticks(low, high, 4):
        x = across(tick)
        parts.append(line((x, x), (top, bottom), GREY if tick == 0 else LIGHT))
        parts.append(label(min(max(x, 18), WIDTH - 18), bottom + 15, "0" if tick == 0 else f"{tick:+.6g}"))
    for place, row in enumerate(rows):
        y = top + step * place
        colour = row_colour(row)
        change = f"{row.difference:+.4f}" + (
            "" if math.isnan(row.relative) else f" ({100 * row.relative:+.1f}%)"
        )
        room = WIDTH - 2 * _EDGE - text_width(change, _LETTERS) - 8
        name = fitted(f"{row.arm} (floor)" if row.kind == "floor" else row.arm, room, _LETTERS)
        parts += [
            f"<text x='{_EDGE}' y='{y + 13}'{_HALO}>{name}</text>",
            f"<text x='{WIDTH - _EDGE}' y='{y + 13}' text-anchor='end' fill='{colour}'{_HALO}>{change}</text>",
        ]
        if math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(
                line((across(row.low), across(row.high)), (y + 24, y + 24), colour, " stroke-width='2.5'")
            )
        x = across(row.difference)
        parts.append(
            f"<rect x='{x - 4}' y='{y + 20}' width='8' height='8' fill='{colour}'/>"
            if row.kind == "floor"
            else f"<circle cx='{x}' cy='{y + 24}' r='4.5' fill='{colour}'/>"
        )
    return _svg(parts, bottom + 22, title)


def curves(
    series: Sequence[Series],
    title: str,
    *,
    y_range: tuple[float, float] | None = None,
    x_name: str = "epoch",
    height: int = 150,
) -> str:
    """Lines over whole numbers; what is not strong is thin and grey.  y_range: for panels that are to be compared."""
    points = [point for one in series for point in one.points]
    low, high = y_range or with_margin(min(y for _, y in points), max(y for _, y in points))
    across, up = _axes([x for x, _ in points], low, high, height, SMALL_WIDTH - _EDGE)
    parts = _frame([x for x, _ in points], (low, high), across, up, height, SMALL_WIDTH, x_name)
    for one in sorted(series, key=lambda each: each.strong):
        colour, width = (COLOURS[0], 1.8) if one.strong else (GREY, 1.2)
        if one.joined:
            parts.append(_path(one, across, up, colour, width))
        else:
            parts += [
                f"<circle cx='{across(x)}' cy='{up(y)}' r='2.5' fill='{colour}'/>" for x, y in one.points
            ]
    return _svg(parts, height + 34, title, SMALL_WIDTH)


def labelled_lines(series: Sequence[Series], title: str, *, x_name: str, height: int = 210) -> str:
    """Lines of several colours and strokes, each with its name at its end."""
    room = 104
    right = WIDTH - room
    points = [point for one in series for point in one.points]
    low, high = with_margin(0.0, max(y for _, y in points) or 1.0)
    across, up = _axes([x for x, _ in points], max(low, 0.0), high, height, right)
    parts = _frame([x for x, _ in points], (max(low, 0.0), high), across, up, height, WIDTH, x_name, right)
    ends: list[tuple[float, float, str, str]] = []
    count = {True: 0, False: 0}
    for one in series:
        number = count[one.floor]
        stroke = STROKES[number % len(STROKES)] if one.strong else ""
        if not one.strong:
            colour = GREY
        else:
            colour = COLOURS[0] if one.floor else COLOURS[1 + number % (len(COLOURS) - 1)]
            count[one.floor] += 1
        parts.append(
            _path(one, across, up, colour, 2.4 if not one.strong else 1.2 if one.floor else 1.8, stroke)
        )
        x, y = one.points[-1]
        ends.append((across(x), up(y), one.name, colour))
    return _svg([*parts, *_beside(ends, right + 12, room - 14, height)], height + 34, title)


def scatter(
    points: Sequence[tuple[str, float, float, float, float, str]], title: str, *, x_name: str, y_name: str
) -> str:
    """Points with an interval each, their names at the right.

    points: name, x (at least 0; on a scale of logarithms), y, low and high of y (NaN for none), and colour.
    """
    room, height = 116, 230
    right, left = WIDTH - room, 44
    xs = [math.log10(x) for _, x, *_ in points]
    ys = [value for _, _, y, low, high, _ in points for value in (y, low, high) if math.isfinite(value)]
    low, high = with_margin(min([0.0, *ys]), max([0.0, *ys]))
    span = with_margin(min(xs) - 0.05, max(xs) + 0.05)
    across, up = scale(*span, left, right), scale(low, high, height, 22)
    parts = [f"<text x='{_EDGE}' y='12' font-size='{_SMALL}' fill='{GREY}'>{readable_html(y_name)}</text>"]
    for tick in ticks(low, high, 5):
        y = up(tick)
        parts.append(line((left, right), (y, y), GREY if tick == 0 else LIGHT))
        parts.append(label(left - 5, y + 4, f"{tick:+.4g}%" if tick else "0", "end"))
    for tick in _log_ticks(*span):
        x = across(math.log10(tick))
        parts += [line((x, x), (height, height + 4), GREY), label(x, height + 17, f"{tick:g}")]
    parts.append(
        f"<text x='{(left + right) / 2}' y='{height + 33}' text-anchor='middle' font-size='{_SMALL}' fill='{GREY}'>"
        f"{readable_html(x_name)}</text>"
    )
    ends = []
    for name, cost, gain, under, over, colour in points:
        x, y = across(math.log10(cost)), up(gain)
        if math.isfinite(under) and math.isfinite(over):
            parts.append(line((x, x), (up(under), up(over)), colour, " stroke-width='1.2'"))
        parts.append(f"<circle cx='{x}' cy='{y}' r='4.5' fill='{colour}'/>")
        ends.append((x + 5, y, name, colour))
    return _svg([*parts, *_beside(ends, right + 14, room - 16, height)], height + 40, title)


def _svg(parts: Sequence[str], height: float, title: str, width: int = WIDTH) -> str:
    return svg_text(parts, width=width, height=height, title=title, font_size=_LETTERS)


def _axes(
    xs: Sequence[float], low: float, high: float, height: int, right: float
) -> tuple[Callable[[float], float], Callable[[float], float]]:
    return scale(min(xs), max(xs), _LEFT, right), scale(low, high, height, 8)


_LEFT = 46


def _frame(
    xs: Sequence[float],
    y_range: tuple[float, float],
    across: Callable[[float], float],
    up: Callable[[float], float],
    height: int,
    width: float,
    x_name: str,
    right: float | None = None,
) -> list[str]:
    """Horizontal lines at round values, and round numbers below.  right: where they end, not at the edge."""
    right = width - _EDGE if right is None else right
    parts = []
    for tick in ticks(*y_range, 4):
        parts.append(line((_LEFT, right), (up(tick), up(tick)), LIGHT))
        parts.append(label(_LEFT - 5, up(tick) + 4, f"{tick:.4g}", "end"))
    low, high = min(xs), max(xs)
    shown = [low] if low == high else [tick for tick in ticks(low, high, 5) if tick == int(tick)]
    for tick in dict.fromkeys([*([low] if low == 1 else []), *shown]):
        if low <= tick <= high:
            parts.append(label(across(tick), height + 15, f"{tick:g}"))
    middle = width / 2
    return [
        *parts,
        f"<text x='{middle}' y='{height + 29}' text-anchor='middle' font-size='{_SMALL}' fill='{GREY}'>"
        f"{readable_html(x_name)}</text>",
    ]


def _path(
    one: Series,
    across: Callable[[float], float],
    up: Callable[[float], float],
    colour: str,
    width: float,
    stroke: str = "",
) -> str:
    if len(one.points) == 1:
        x, y = one.points[0]
        return f"<circle cx='{across(x)}' cy='{up(y)}' r='3' fill='{colour}'/>"
    places = " ".join(f"{across(x)},{up(y)}" for x, y in one.points)
    dashes = f" stroke-dasharray='{stroke}'" if stroke else ""
    return (
        f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='{width}' "
        f"stroke-linejoin='round'{dashes}><title>{readable_html(one.name)}</title></polyline>"
    )


def _beside(ends: Sequence[tuple[float, float, str, str]], x: float, room: float, height: float) -> list[str]:
    """Names in a column, as near to the height of their points as there is room, and lines to these."""
    parts: list[str] = []
    gap = 15.0
    ordered = sorted(ends, key=lambda end: end[1])
    places: list[float] = []
    for _, y, _, _ in ordered:
        places.append(max(y, places[-1] + gap) if places else max(y, 10.0))
    for place in range(len(places) - 1, -1, -1):  # back up, where the last would stand below the drawing
        most = height if place == len(places) - 1 else places[place + 1] - gap
        places[place] = min(places[place], most)
    for (from_x, y, name, colour), at in zip(ordered, places, strict=True):
        parts.append(line((from_x, x - 3), (y, at), colour, " stroke-width='0.7' stroke-opacity='0.55'"))
        parts.append(
            f"<text x='{x}' y='{at + 4}' font-size='{_SMALL}' fill='{colour}'>{fitted(name, room, _SMALL)}</text>"
        )
    return parts


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two powers of ten, few enough to be read."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in (1, 2, 5)
        if low <= math.log10(factor * 10.0**power) <= high
    ]
    tens = [tick for tick in found if f"{tick:e}".startswith("1.")]
    return tens if len(found) > 6 and len(tens) > 1 else found

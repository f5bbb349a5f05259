"""A critical-difference diagram (Demsar 2006, figure 1) as SVG, and the ranking as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from burnish.errors import ConfigurationError
from burnish.files.svg import DARK, GREY, fitted, folded, label, line, scale, svg_text, text_width
from burnish.files.whole import write_json, write_text

from .ranks import Ranking

_LETTERS, _EDGE, _GAP, _LINE, _AXIS = 13, 16, 10, 22, 440
_MOST = 300
_BAR = "#1f5fa8"


def write_diagram(ranking: Ranking, path: Path | str) -> Path:
    """Write the diagram (.svg), or all of the ranking (.json).  Returns the path.

    Raises `ConfigurationError` for another suffix.
    """
    path = diagram_path(path)
    if path.suffix.lower() == ".json":
        write_json(path, ranking.as_dict())
    else:
        write_text(path, diagram(ranking))
    return path


def diagram_path(path: Path | str) -> Path:
    """The path; `ConfigurationError` for a suffix that cannot be written."""
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".json"):
        raise ConfigurationError(f"cd: {str(path)!r}: give a file name that ends in .svg or .json")
    return path


def diagram(ranking: Ranking) -> str:
    """The text of an SVG: an axis of average ranks, the best at the left, and a bar under names not told apart.

    Names of the better half are at the left, the others at the right.  The critical difference is a bar above the axis.
    """
    k = len(ranking.names)
    half = (k + 1) // 2
    room = _name_room(ranking)
    left, right = _EDGE + room + _GAP, _EDGE + room + _GAP + _AXIS
    across = scale(1, k, left, right)
    axis, first = 84, 84 + 20 + 9 * len(ranking.cliques)
    parts = [*_bar_of_critical_difference(ranking, left, right), line((left, right), (axis, axis), DARK)]
    for tick in range(1, k + 1):
        parts += [
            line((across(tick),) * 2, (axis - 6, axis), DARK),
            label(across(tick), axis - 10, str(tick)),
        ]
    for place, (name, rank) in enumerate(zip(ranking.names, ranking.average_ranks, strict=True)):
        y = first + _LINE * (place if place < half else k - 1 - place) + 10
        parts += _name(f"{name} ({rank:.2f})", across(rank), (axis, y), (left, right, room), place < half)
    for place, clique in enumerate(ranking.cliques):
        ranks = [ranking.average_ranks[ranking.names.index(name)] for name in (clique[0], clique[-1])]
        ends, y = (across(ranks[0]) - 4, across(ranks[1]) + 4), axis + 12 + 9 * place
        parts.append(line(ends, (y, y), _BAR, " stroke-width='4' stroke-linecap='round'"))
    bottom = first + _LINE * half + 12
    said = [f"Friedman F({ranking.f_df[0]}, {ranking.f_df[1]}) = {ranking.f:.2f}, p = {ranking.f_p:.2g}"]
    said += [f"{ranking.n_blocks} {ranking.blocks}; bars: not told apart (Nemenyi, {ranking.alpha:g})"]
    width = right + _GAP + room + _EDGE
    told = [part for one in ranking.remarks for part in folded(one, width - 2 * _EDGE, 11)]
    for text in [*said, *told]:
        shown = fitted(text, width - 2 * _EDGE, 11)
        parts.append(f"<text x='{_EDGE}' y='{bottom}' font-size='11' fill='{GREY}'>{shown}</text>")
        bottom += 17
    title = f"Average ranks by {ranking.metric}"
    return svg_text(parts, width=width, height=bottom, title=title, font_size=_LETTERS)


def _name_room(ranking: Ranking) -> int:
    names: Sequence[str] = [f"{name} (0.00)" for name in ranking.names]
    return min(_MOST, max(120, round(max(text_width(name, _LETTERS) for name in names)) + 1))


def _bar_of_critical_difference(ranking: Ranking, left: float, right: float) -> list[str]:
    """How wide the critical difference is, or in words that it is wider than the axis."""
    wide = (right - left) * ranking.critical_difference / (len(ranking.names) - 1)
    words = f"critical difference {ranking.critical_difference:.2f}"
    parts = [
        f"<text x='{_EDGE}' y='28' font-size='15' font-weight='600'>Average ranks by {ranking.metric}</text>"
    ]
    if wide > right - left:
        return [*parts, label(left, 54, f"{words}: more than the axis", "start")]
    end = round(left + wide, 1)
    caps = [line((x, x), (47, 55), DARK) for x in (left, end)]
    return [*parts, line((left, end), (51, 51), DARK), *caps, label(end + 8, 55, words, "start")]


def _name(
    text: str, x: float, heights: tuple[float, float], columns: tuple[float, float, int], at_left: bool
) -> list[str]:
    """A name at one side, and the line from it to its place on the axis."""
    left, right, room = columns
    side, anchor = (left, "end") if at_left else (right, "start")
    outside = side - _GAP if at_left else side + _GAP
    return [
        line((x, x), heights, GREY),
        line((x, outside + (4 if at_left else -4)), (heights[1], heights[1]), GREY),
        f"<text x='{outside}' y='{heights[1] + 4}' text-anchor='{anchor}'>{fitted(text, room, _LETTERS)}</text>",
    ]

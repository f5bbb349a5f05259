"""What results show of themselves in a notebook: small tables, escaped, in the notebook's own colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from burnish.readable import readable_html

#: Grey lines are seen on white and on black; text keeps the colour that the notebook gives it.
_LINE = "1px solid rgba(128, 128, 128, 0.35)"
_CELL = f"padding: 0.15em 0.8em; border: 0; border-bottom: {_LINE}; background: none; vertical-align: top"


def page(title: str, *parts: str, notes: Iterable[str] = ()) -> str:
    """A title above parts that are HTML already.  notes: sentences below them, as text."""
    lines = [f'<p style="margin: 0.3em 0"><strong>{readable_html(title)}</strong></p>', *parts]
    lines += [
        f'<p style="margin: 0.3em 0; opacity: 0.75">{readable_html(note)}</p>' for note in notes if note
    ]
    return f"<div>{''.join(lines)}</div>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, text: int = 1, title: str = "") -> str:
    """A table.  text: how many columns from the left are text; the others are numbers, at the right.

    Numbers that are no whole ones have four digits, and NaN is a dash.  title: a line above it.
    """

    def line(cells: Sequence[object], kind: str) -> str:
        sides = ["left" if place < text else "right" for place in range(len(cells))]
        return "".join(
            f'<{kind} style="{_CELL}; text-align: {side}">{readable_html(shown(cell))}</{kind}>'
            for cell, side in zip(cells, sides, strict=True)
        )

    above = f'<p style="margin: 0.6em 0 0.2em"><em>{readable_html(title)}</em></p>' if title else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return (
        f'{above}<table style="border-collapse: collapse; margin: 0.2em 0"><thead><tr>{line(heads, "th")}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def facts(known: Mapping[str, object]) -> str:
    """Names and values in one line; what is None is left out."""
    said = [f"{name} {shown(value)}" for name, value in known.items() if value is not None]
    return f'<p style="margin: 0.3em 0">{readable_html(" · ".join(said))}</p>'


def shown(cell: object) -> str:
    """A cell as text."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        return str(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    if math.isnan(cell):
        return "-"
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 1e6 or cell == 0 else f"{cell:.4g}"

"""Rows of a comparison as a terminal table, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from .metrics import sign
from .plan import PLAIN
from .report import Row

if TYPE_CHECKING:
    from rich.table import Table


#: What is paired, in words.
_UNITS = {
    "users": "users, each averaged over the seeds",
    "rows": "test rows of all seeds, a user's together",
    "seeds": "seeds",
}


def _names(rows: Sequence[Row]) -> list[str]:
    """What to call each row's backbone: with the data set, and with the settings, where there are several."""
    several_sets = len({row.dataset for row in rows}) > 1
    versions: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        versions.setdefault((row.dataset, row.backbone), set()).add(row.comparison)
    names = []
    for row in rows:
        name = f"{row.dataset}: {row.backbone}" if several_sets else row.backbone
        names.append(f"{name} #{row.comparison}" if len(versions[row.dataset, row.backbone]) > 1 else name)
    return names


def _figures(row: Row) -> list[str]:
    """Baseline, arm, difference, interval, relative difference, p: formatted."""
    interval = "-" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}"
    relative = "-" if math.isnan(row.relative) else f"{100 * row.relative:+.1f}%"
    figures = [f"{row.baseline_mean:.4f}", f"{row.mean:.4f}", f"{row.difference:+.4f}", interval, relative]
    return [*figures, p_value(row.p_holm)]


def p_value(value: float, missing: str = "-") -> str:
    """A p value as tables show it.  missing: what stands for NaN."""
    if math.isnan(value):
        return missing
    return "<.0001" if value < 1e-4 else f"{value:.4f}"


def footnote(rows: Sequence[Row]) -> str:
    """What the figures are, in a few sentences, and what was missing."""
    family = max((sum(other.metric == row.metric for other in rows) for row in rows), default=0)
    units = {unit: list(dict.fromkeys(row.metric for row in rows if row.unit == unit)) for unit in _UNITS}
    used = {unit: metrics for unit, metrics in units.items() if metrics}
    pairs = [
        _UNITS[unit] + (f" ({', '.join(names)})" if len(used) > 1 else "") for unit, names in used.items()
    ]
    text = (
        f"Change: with the arm minus without. Interval and p: paired t over {', over '.join(pairs)}; "
        f"p corrected by Holm for {family} comparison{'s' if family != 1 else ''} a metric."
    )
    smaller = list(dict.fromkeys(row.metric for row in rows if sign(row.metric) < 0))
    if smaller:
        text += f" Smaller is better: {', '.join(smaller)}."
    remarks = dict.fromkeys(f"{row.backbone}, {row.arm}: {note}." for row in rows for note in row.notes)
    return " ".join([text, *remarks])


def to_table(rows: Sequence[Row]) -> Table:
    """A table for the terminal, a block for each metric: clear gains green, clear losses red."""
    from rich.table import Table
    from rich.text import Text

    baseline = rows[0].baseline if rows else PLAIN
    # Tight, so that short names fit into 80 columns.
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), caption=footnote(rows), caption_justify="left"
    )
    for head in ("backbone", "arm"):
        table.add_column(head, overflow="fold", min_width=5)
    for head in (baseline, "with", "change", "95% interval", "rel.", "p"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=11)
    names = _names(rows)
    for metric in dict.fromkeys(row.metric for row in rows):
        table.add_row(Text(metric, style="bold cyan"))
        for name, row in zip(names, rows, strict=True):
            if row.metric == metric:
                style = {1: "green", -1: "red", 0: ""}[row.direction]
                cells = [Text(cell) for cell in (name, row.arm, *_figures(row))]
                table.add_row(*cells, Text(row.verdict, style=style))
    return table


def to_markdown(rows: Sequence[Row]) -> str:
    """A Markdown table, with the footnote under it."""
    baseline = rows[0].baseline if rows else PLAIN
    heads = ["backbone", "arm", "metric", "seeds", baseline, "with arm", "difference", "95% interval"]
    cells = [
        [name, row.arm, row.metric, str(row.n_seeds), *_figures(row), row.verdict]
        for name, row in zip(_names(rows), rows, strict=True)
    ]
    table = markdown_table([*heads, "relative", "p (Holm)", "verdict"], cells, align="---")
    return "\n".join([table, "", footnote(rows), ""])


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, align: str = "---:") -> str:
    """A table in Markdown.  align: of all columns but the first, which is at the left."""
    lines = [heads, ["---", *(align for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def to_csv(rows: Sequence[Row]) -> str:
    """Every field of every row in full precision, with a header line; notes are joined by "; "."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"notes": "; ".join(row.notes)})
    return buffer.getvalue()

"""What holds up, what did not help, and what failed: in words."""

from __future__ import annotations

from ..absences import shortened
from ..metrics import written
from ..rows import Row
from .parts import Cell, Place, Section, Table, tone


def at_a_glance(places: list[Place]) -> Table:
    """Each arm and floor by the first metric: change, verdict against the baseline and against the strongest floor."""
    metric = places[0].metrics[0]
    lines = []
    for place in places:
        for name, kind, side in place.sides():
            row, over = place.row(name, metric), place.row(name, metric, "over")
            if kind == "baseline" or (row is None and not side.failure):
                continue
            shown = Cell(f"{name} (floor)" if kind == "floor" else name, tone="floor" if kind == "floor" else "")
            if row is None:
                said = (Cell("failed", tone="loss"), Cell(""), Cell(""), Cell(shortened(side.failure, 90)))
                lines.append((Cell(place.name), shown, *said))
                continue
            lines.append(
                (
                    Cell(place.name),
                    shown,
                    Cell(row.verdict, tone=tone(row)),
                    Cell("" if over is None else f"{over.verdict} ({over.baseline})", tone=tone(over)),
                    Cell(f"{100 * row.relative:+.1f}%", row.relative),
                    Cell(f"{row.low:+.4f} to {row.high:+.4f}" if row.low == row.low else "–", row.low),
                )
            )
    baseline = places[0].baseline
    heads = ("place", "arm", f"against {baseline}", "against the strongest floor", "change", "95% interval")
    return Table(heads, tuple(lines), 4, f"{written(metric)}: every arm")


def no_help(places: list[Place]) -> Section:
    """Arms that were not clearly better than the baseline, or not than the strongest floor, with their figures."""
    items: list[tuple[str, str, str]] = []
    for place in places:
        for name, kind, side in place.sides():
            if kind != "arm":
                continue
            rows = [row for metric in place.metrics if (row := place.row(name, metric)) is not None]
            if not rows:
                if side.failure:
                    items.append(("loss", f"{place.name}: {name}", f"failed. {shortened(side.failure)}"))
                continue
            said = _said(rows, [place.row(name, row.metric, "over") for row in rows])
            if said:
                items.append((said[0], f"{place.name}: {name}", said[1]))
            if side.failure:
                items.append(("loss", f"{place.name}: {name}", f"some runs failed. {shortened(side.failure)}"))
    order = {"loss": 0, "": 1, "floor": 2}
    items.sort(key=lambda item: order[item[0]])
    lead = (
        "Arms that are not clearly better than the baseline on some metric, or not clearly above the strongest floor."
        if items
        else "Every arm was clearly better than the baseline and above the strongest floor on every metric shown."
    )
    return Section("no-help", "What did not help", (lead,), items=tuple(items))


def _said(rows: list[Row], over: list[Row | None]) -> tuple[str, str] | None:
    """How serious, and a sentence; None where the arm helped everywhere."""
    parts = []
    worse = [row for row in rows if row.direction < 0]
    unclear = [row for row in rows if row.direction == 0]
    below = [
        (row, beside)
        for row, beside in zip(rows, over, strict=True)
        if row.direction > 0 and beside is not None and beside.direction <= 0
    ]
    if worse:
        parts.append(f"worse than {rows[0].baseline} on {_listed(worse)}")
    if unclear:
        parts.append(f"no clear difference to {rows[0].baseline} on {_listed(unclear)}")
    for floor in dict.fromkeys(beside.baseline for _, beside in below):
        own = [row for row, beside in below if beside.baseline == floor]
        parts.append(f"better than {rows[0].baseline}, but not clearly above the floor {floor}, on {_listed(own)}")
    if not parts:
        return None
    return ("loss" if worse else "" if unclear else "floor"), "; ".join(parts) + "."


def _listed(rows: list[Row]) -> str:
    return ", ".join(
        written(row.metric) + (f" ({100 * row.relative:+.1f}%)" if row.relative == row.relative else "") for row in rows
    )

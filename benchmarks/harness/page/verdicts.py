"""What holds up, what did not help, and what failed: in words."""

from __future__ import annotations

import math

from ..metrics import written
from ..notes import ended, shortened
from ..rows import Row
from .parts import Cell, Place, Section, Table, letters, named, tone


def at_a_glance(places: list[Place]) -> Table:
    """The change by the first metric, a line an arm or floor and a column a place, with marks where it is clear."""
    metric = places[0].metrics[0]
    names: dict[str, str] = {}
    for place in places:
        for name, kind, _ in place.sides():
            if kind != "baseline":
                names.setdefault(name, kind)
    ordered = sorted(names.items(), key=lambda one: one[1] != "floor")
    lines = []
    for name, kind in ordered:
        rows = [row for place in places if (row := place.row(name, metric)) is not None]
        total, better, equal = (
            sum(getattr(row, field) for row in rows) for field in ("n_seeds", "seeds_better", "seeds_equal")
        )
        counted = f"{better} / {equal} / {total - better - equal}" if rows else "–"
        lines.append(
            (
                named(name, kind),
                *(_glance(place, name, metric) for place in places),
                Cell(counted, better or None),
            )
        )
    heads = ("arm", *(place.name for place in places), "seeds better / equal / worse")
    return Table(heads, tuple(lines), 1, f"Change of {written(metric)} to {places[0].baseline}")


def _glance(place: Place, name: str, metric: str) -> Cell:
    row, over = place.row(name, metric), place.row(name, metric, "over")
    if row is None:
        failed = any(one == name and side.failure for one, _, side in place.sides())
        return Cell("failed", None, "loss") if failed else Cell("–", None, "muted")
    marks = {1: "▲", -1: "▼", 0: ""}[row.direction] + ("‡" if over is not None and over.direction > 0 else "")
    marks += f" [{letters(row)}]" if letters(row) else ""
    change = f"{100 * row.relative:+.1f}%" if math.isfinite(row.relative) else f"{row.difference:+.4f}"
    return Cell(f"{change}{marks}", row.relative, tone(row))


def no_help(places: list[Place]) -> Section:
    """Each arm that was not clearly better than the baseline, or than the strongest floor, everywhere; and where."""
    names = list(dict.fromkeys(name for place in places for name, kind, _ in place.sides() if kind == "arm"))
    items = [item for name in names for item in _arm(places, name)]
    order = {"loss": 0, "": 1, "floor": 2}
    items.sort(key=lambda item: order[item[0]])
    lead = (
        f"Arms that are not clearly better than {places[0].baseline}, or not clearly above the strongest "
        f"floor, in every comparison. Worst first."
        if items
        else f"Every arm was clearly better than {places[0].baseline} and above the strongest floor in "
        f"every comparison."
    )
    return Section("no-help", "What did not help", (lead,), items=tuple(items))


def _arm(places: list[Place], name: str) -> list[tuple[str, str, str]]:
    """How serious, the arm and what there is to say of it; nothing where it helped everywhere."""
    found: dict[str, list[tuple[Place, Row]]] = {"gain": [], "worse": [], "unclear": [], "below": []}
    failed: dict[str, list[str]] = {}
    for place in places:
        for one, _, side in place.sides():
            if one == name and side.failure:
                failed.setdefault(shortened(side.failure, 160), []).append(place.name)
        for metric in place.metrics:
            row, over = place.row(name, metric), place.row(name, metric, "over")
            if row is None:
                continue
            found[{1: "gain", -1: "worse", 0: "unclear"}[row.direction]].append((place, row))
            if row.direction > 0 and over is not None and over.direction <= 0:
                found["below"].append((place, over))
    total = sum(len(found[kind]) for kind in ("gain", "worse", "unclear"))
    baseline = places[0].baseline
    said = [f"Failed ({'; '.join(where)}): {ended(error)}" for error, where in failed.items()]
    if total:
        said.append(
            f"Clearly better than {baseline} in {len(found['gain'])}, clearly worse in "
            f"{len(found['worse'])} of {total} comparisons."
        )
    for kind, words in (
        ("worse", "Worse: {}."),
        ("unclear", "No clear difference: {}."),
        ("below", f"Better than {baseline}, but not clearly above the strongest floor (change to it): {{}}."),
    ):
        if found[kind]:
            said.append(words.format(_where(found[kind])))
    if not failed and not (found["worse"] or found["unclear"] or found["below"]):
        return []
    return [
        ("loss" if found["worse"] or failed else "" if found["unclear"] else "floor", name, " ".join(said))
    ]


def _where(found: list[tuple[Place, Row]]) -> str:
    """By place: "ml-100k, BPR (NDCG@10 -8.4%, MRR@10 -8.2%)"."""
    by_place: dict[str, list[Row]] = {}
    for place, row in found:
        by_place.setdefault(place.name, []).append(row)
    return "; ".join(f"{where} ({_listed(rows)})" for where, rows in by_place.items())


def _listed(rows: list[Row]) -> str:
    return ", ".join(
        f"{written(row.metric)} {100 * row.relative:+.1f}%"
        if math.isfinite(row.relative)
        else written(row.metric)
        for row in rows
    )

"""What a report has no row for, and why: what is asked for of several comparisons need not be in all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from .floor_rows import NoteFloors, held_against
from .notes import shortened
from .rows import Row


def absences(
    floors: Sequence[NoteFloors], rows: Sequence[Row], metrics: Sequence[str], baseline: str
) -> list[str]:
    """A sentence on each comparison, arm and floor of which a row is missing; floors that were left out have theirs.

    rows: of the whole report.
    """
    sentences = []
    for known, label in zip(floors, labels_of(floors), strict=True):
        place = tuple(known.note[name] for name in ("dataset", "label", "comparison"))
        own = [row for row in rows if (row.dataset, row.backbone, row.comparison) == place]
        missing: dict[tuple[str, str], list[str]] = {}
        for metric in metrics:
            rows_of = [row for row in own if row.metric == metric]
            for gap in _missing(known, rows_of, metric, baseline):
                missing.setdefault(gap, []).append(metric)
        together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (name, reason), lacking in missing.items():
            together.setdefault((reason, tuple(lacking)), []).append(name)
        for (reason, on), names in together.items():
            whom = "" if names in ([""], _others(known, baseline)) else f", {', '.join(names)}"
            where = "" if len(on) == len(metrics) else f" on {', '.join(on)}"
            sentences.append(f"No row for {label}{whom}{where}: {reason}.")
    return sentences


def labels_of(floors: Sequence[NoteFloors]) -> list[str]:
    """What to call each comparison: with the data set, and with the settings, where there are several."""
    places = [(known.note["dataset"], known.note["label"]) for known in floors]
    several_sets = len({dataset for dataset, _ in places}) > 1
    labels = []
    for known, place in zip(floors, places, strict=True):
        name = f"{place[0]}: {place[1]}" if several_sets else place[1]
        labels.append(f"{name} #{known.note['comparison']}" if places.count(place) > 1 else name)
    return labels


def _others(known: NoteFloors, baseline: str) -> list[str]:
    """What should stand in rows against the baseline."""
    floors = [name for name in known.floors if name not in known.left_out]
    return [name for name in (*known.arms, *floors) if name != baseline]


def _missing(known: NoteFloors, rows: Sequence[Row], metric: str, baseline: str) -> Iterator[tuple[str, str]]:
    """Names without a row among those of a metric, empty for the whole comparison, and why."""
    names = _others(known, baseline)
    if known.side(baseline) is None:
        yield "", f"it has no {baseline}"
        return
    if not names and not known.left_out:
        yield "", f"it has nothing besides {baseline}"
    there = {row.arm for row in rows if row.kind != "over"}
    for name in names:
        if name not in there:
            yield name, _why(known, baseline, name, metric)
    floor = rows[0].strongest_floor if rows else ""
    over = {row.arm for row in rows if row.kind == "over"}
    for name in held_against(known, floor) if floor else ():
        if name in {*there, baseline} and name not in over:
            yield f"{name} / {floor}", _why(known, floor, name, metric)


def _why(known: NoteFloors, baseline: str, name: str, metric: str) -> str:
    sides = {one: known.side(one) for one in (baseline, name)}
    seeds = []
    for one, side in sides.items():
        assert side is not None
        if not side.tests:
            if side.failure and not side.damaged:
                return f"{one} failed: {shortened(side.failure)}"
            return f"no run of {one} {'can be read' if side.damaged else 'has finished'}"
        measured = {seed for seed, test in side.tests.items() if metric in test}
        if not measured:
            return f"{one} was not tested on {metric}"
        numbers = {seed for seed in measured if math.isfinite(side.tests[seed][metric])}
        if not numbers:
            return f"{metric} of {one} is no number (a run that diverged; its log.txt tells)"
        seeds.append(numbers)
    if not set.intersection(*seeds):
        return f"{baseline} and {name} have finished no seed that both have"
    return f"{baseline} and {name} were tested on other cases"

"""How options were chosen: spaces, trials, what was chosen, and how the search went."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.svg import with_margin
from burnish.files.whole import read_json

from ..floors import is_shared
from ..metrics import sign, written
from ..notes import ArmRuns
from ..runs import CURE
from .drawings import Series, curves
from .parts import Cell, Figure, Place, Section, Table, named, number


def tuning_section(places: list[Place], said: Iterable[str] = ()) -> Section:
    """A line an arm that was tuned, and the best value so far over its trials.  said: what else there is to say."""
    figures, lines, seen = [], [], set()
    for place in places:
        for name, kind, side in place.sides():
            for path, found in choices(place, name, side):
                if path.resolve() in seen or not found.get("space"):
                    continue
                seen.add(path.resolve())
                # Floors without a backbone are of the data, not of the first backbone that they stand beside.
                of_data = name in place.known.floors and is_shared(name)
                where = str(place.known.note["dataset"]) if of_data else place.name
                lines.append((Cell(where), named(name, kind), *_cells(found)))
                drawing = _convergence(found, f"{where}, {name}")
                if drawing is not None:
                    figures.append(Figure(drawing, f"{where}, {name}"))
    if not lines:
        return Section(
            "tuning", "Tuning", ("Nothing was tuned: every arm has the options that the plan gives it.",)
        )
    heads = ("place", "arm", "space", "chosen", "trials", "of", "failed", "best validation")
    return Section(
        "tuning",
        "Tuning",
        (
            "Options were chosen by validation alone; no trial looked at the test set. A chosen value at "
            "the end of its list is marked: beyond it, a better one may lie.",
        ),
        tuple(figures),
        (Table(heads, tuple(lines), 4, "Spaces, trials and what was chosen", grouped=True),),
        notes=(
            *(
                ["Panels: the value of each trial as a dot, and the best so far as a line."]
                if figures
                else []
            ),
            *said,
        ),
        small=True,
    )


def choices(place: Place, name: str, side: ArmRuns) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The notes on what was chosen for an arm of a comparison: those whose choice its runs have; the newest of them."""
    note = place.known.note
    noted = (note.get("tuning") or {}).get(name) or ((note.get("floors") or {}).get(name) or {}).get("tuning")
    folders = {folder.parent for folder in side.folders.values()}
    folders = folders or {note["path"].parent / name}
    for folder in sorted(folders):
        fitting = []
        for path in folder.glob("chosen-*.json") if noted is None else [note["path"].parent / str(noted)]:
            try:
                found = read_json(path, CURE)
                if isinstance(found.get("trials"), list) and _has(side, found.get("chosen") or {}):
                    fitting.append((path.stat().st_mtime, path, dict(found)))
            except (DataError, OSError, AttributeError, TypeError):
                continue  # named by the report
        if fitting:
            _, path, found = max(fitting, key=lambda one: one[:2])
            yield path, found


def _has(side: ArmRuns, chosen: Mapping[str, Any]) -> bool:
    """Whether the runs have the chosen values, as far as their config.json says."""
    for folder in side.folders.values():
        try:
            config = read_json(folder / "config.json", CURE)
            given = {**config["options"]}
            given |= {
                f"{name}.{key}": v for name, block in config["enhancers"].items() for key, v in block.items()
            }
        except (DataError, KeyError, TypeError, AttributeError):
            continue
        return all(given.get(option, value) == value for option, value in chosen.items())
    return True


def _cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    chosen, space, trials = found.get("chosen") or {}, found.get("space") or {}, found["trials"]
    failed = sum(1 for one in trials if one.get("error") or one.get("state") == "failed")
    values = [one.get("value") for one in trials if _finite(one.get("value"))]
    turn = sign(str(found.get("metric") or ""))
    best = max(values, key=lambda value: turn * value) if values else math.nan
    said = "; ".join(
        f"{option} = {shown(value)}{' (edge)' if at_edge(space.get(option), value) else ''}"
        for option, value in chosen.items()
    )
    return (
        Cell("; ".join(f"{option}: {shown(values)}" for option, values in space.items()) or "–"),
        Cell(said or "–"),
        Cell(str(found.get("trials_made", len(trials))), float(found.get("trials_made", len(trials)))),
        Cell(str(found.get("trials_allowed", "–"))),
        Cell(str(failed), float(failed), "loss" if failed else "muted"),
        number(best),
    )


def at_edge(values: Any, value: Any) -> bool:
    """Whether a number lies at either end of at least three that were tried, or of a range; 0 is no end."""
    if isinstance(values, Mapping):
        ends = [values.get("low"), values.get("high")]
        near = [float(end) for end in ends if isinstance(end, int | float)]
        return _finite(value) and any(math.isclose(end, value, rel_tol=0.02) for end in near)
    if not isinstance(values, list) or len(values) < 3 or not all(map(_finite, [*values, value])):
        return False
    return value != 0 and value in (min(values), max(values))


def shown(value: Any) -> str:
    """A value, or the values of a space, in short."""
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(one)}" for name, one in value.items())
    if value is None:
        return "none"
    return (
        f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    )


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _convergence(found: Mapping[str, Any], title: str) -> str | None:
    """The best value so far over trials, as steps; None for less than three."""
    turn = sign(str(found.get("metric") or ""))
    values = [
        (float(place), float(one["value"]))
        for place, one in enumerate(found["trials"], 1)
        if _finite(one.get("value"))
    ]
    if len(values) < 3:
        return None
    best, steps = values[0][1], [values[0]]
    for place, value in values[1:]:
        steps.append((place, best))
        best = turn * max(turn * best, turn * value)
        steps.append((place, best))
    y_range = with_margin(min(y for _, y in values), max(y for _, y in values))
    lines = [Series("trials", tuple(values), False, joined=False), Series("best so far", tuple(steps))]
    metric = written(str(found.get("metric") or "validation"))
    return curves(lines, f"{title}: {metric}", y_range=y_range, x_name=f"trial ({metric})", height=120)

"""How validation went on while arms were trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from burnish.errors import DataError
from burnish.files.svg import with_margin
from burnish.files.whole import read_json

from ..metrics import written
from ..notes import ArmRuns
from ..runs import CURE
from .drawings import Series, curves
from .parts import Cell, Figure, Place, Section, Table, mean, named, number


def learning(places: list[Place]) -> Section:
    """A panel an arm, all of a place on the same scale, with the baseline in grey; and when the epochs ended."""
    figures: list[Figure] = []
    lines = []
    silent = False
    for place in places:
        trained = [
            (name, side) for name, _, side in place.sides() if any(map(_scores, side.measured.values()))
        ]
        silent = silent or any(
            one.get("n_epochs") and "valid_scores" not in one
            for _, _, side in place.sides()
            for one in side.measured.values()
        )
        values = [
            y
            for _, side in trained
            for one in side.measured.values()
            if len(_scores(one)) > 1
            for _, y in _scores(one)
        ]
        base = place.known.side(place.baseline)
        for name, side in trained:
            if not any(len(_scores(one)) > 1 for one in side.measured.values()):
                continue  # nothing is trained, or once
            before = [] if base is None or name == place.baseline else _lines(place.baseline, base, False)
            drawn = [*before, *_lines(name, side, True)]
            title = f"{place.name}, {name}"
            figures.append(Figure(curves(drawn, title, y_range=with_margin(min(values), max(values))), title))
        for name, kind, side in place.sides():
            if any((one.get("n_epochs") or 0) > 1 for one in side.measured.values()):
                lines.append((Cell(place.name), named(name, kind), *_epochs(side)))
    metrics = {
        str(one.get("valid_metric"))
        for place in places
        for _, _, side in place.sides()
        for one in side.measured.values()
        if one.get("valid_metric")
    }
    metric_names = ", ".join(written(metric) for metric in sorted(metrics))
    old = (
        ("Some runs are of an earlier burnish, which did not keep validation by epoch; they have no line.",)
        if silent
        else ()
    )
    return Section(
        "learning",
        "Learning curves",
        (
            f"Validation ({metric_names}) by epoch, a line a seed: the arm in blue, {places[0].baseline} in "
            f"grey. Panels of a place have one scale.",
        ),
        tuple(figures),
        (
            Table(
                ("place", "arm", "best epoch", "last epoch", "epochs allowed", "best validation"),
                tuple(lines),
                2,
                "When training ended, means over seeds",
                grouped=True,
            ),
        ),
        notes=old,
        small=True,
    )


def _scores(measured: Mapping[str, Any]) -> list[tuple[float, float]]:
    known = measured.get("valid_scores") or {}
    pairs = known.items() if isinstance(known, Mapping) else known
    return sorted((float(number), float(value)) for number, value in pairs)


def _lines(name: str, side: ArmRuns, strong: bool) -> list[Series]:
    found = ((seed, _scores(one)) for seed, one in side.measured.items())
    return [Series(f"{name}, seed {seed}", tuple(points), strong) for seed, points in found if points]


def _epochs(side: ArmRuns) -> tuple[Cell, ...]:
    measured = side.measured.values()
    last = mean([one.get("n_epochs") for one in measured])
    allowed = epochs_allowed(side)
    return (
        number(mean([one.get("best_epoch") for one in measured]), 1),
        number(last, 1),
        Cell("–", None, "muted") if allowed is None else number(allowed, 0),
        number(mean([one.get("best_valid_score") for one in measured])),
    )


def epochs_allowed(side: ArmRuns) -> int | None:
    """`epochs` of an arm's first run; None where its config.json does not say."""
    return next((found for seed in side.folders if (found := _allowed(side, seed)) is not None), None)


def _allowed(side: ArmRuns, seed: int) -> int | None:
    try:
        return int(read_json(side.folders[seed] / "config.json", CURE)["recbole"]["epochs"])
    except (DataError, KeyError, TypeError, ValueError):
        return None

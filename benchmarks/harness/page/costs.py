"""What a gain costs: seconds of training, parameters, memory."""

from __future__ import annotations

import math

from burnish.files.svg import GREY

from ..metrics import sign, written
from ..notes import ArmRuns
from .drawings import scatter
from .parts import Cell, Figure, Place, Section, Table, mean, named, number


def costs(places: list[Place]) -> Section:
    """A drawing a place, and the figures."""
    figures, lines = [], []
    metric = places[0].metrics[0]
    for place in places:
        points = []
        base = place.known.side(place.baseline)
        known = math.nan if base is None else seconds(base)
        for name, kind, side in place.sides():
            if not side.measured:
                continue
            spent, row = seconds(side), place.row(name, metric)
            turn = sign(metric)
            gain = 0.0 if kind == "baseline" else math.nan if row is None else 100 * turn * row.relative
            scaled = 100 * turn / row.baseline_mean if row is not None and row.baseline_mean else math.nan
            ends = (math.nan, math.nan) if row is None else sorted((row.low * scaled, row.high * scaled))
            if spent > 0 and math.isfinite(gain):
                colour = GREY if kind == "baseline" else place.colour(name, metric)
                points.append((name, spent, gain, *ends, colour))
            parameters = mean([one.get("n_parameters") for one in side.measured.values()])
            memory = mean([one.get("peak_memory_mb") for one in side.measured.values()])
            lines.append(
                (
                    Cell(place.name),
                    named(name, kind),
                    number(gain, 1, plus=True, unit="%") if kind != "baseline" else Cell("0", 0.0),
                    short(spent),
                    short(spent / known if known else math.nan),
                    number(parameters, 0),
                    number(memory, 0),
                )
            )
        if len(points) > 1:
            figures.append(
                Figure(
                    scatter(
                        points,
                        f"{place.name}: gain against training time",
                        x_name="seconds of training (logarithmic)",
                        y_name=f"change of {written(metric)} to {place.baseline}, %",
                    ),
                    place.name,
                )
            )
    heads = ("place", "arm", f"{written(metric)}, gain", "training, s", f"times {places[0].baseline}")
    return Section(
        "cost",
        "Gain against cost",
        (
            "Seconds are those of training, with what had to be trained first (bases and teachers), without "
            "tuning; means over seeds. Up is better, left is cheaper.",
        ),
        tuple(figures),
        (
            Table(
                (*heads, "parameters", "peak memory, MiB"), tuple(lines), 2, "Cost of each arm", grouped=True
            ),
        ),
        notes=(
            "On a CPU, peak memory is that of the whole process so far, earlier runs in it included: read "
            "it as an upper limit. Times are comparable where runs did not share the machine.",
        ),
    )


def short(value: float) -> Cell:
    """To three figures."""
    return Cell(f"{value:.3g}", value) if math.isfinite(value) else number(value)


def seconds(side: ArmRuns) -> float:
    """Of training, and of what was trained first; the mean over seeds."""
    spent = []
    for one in side.measured.values():
        known = one.get("seconds") or {}
        own = [value for name, value in known.items() if name == "train" or name == "base" or " " in name]
        spent.append(float(sum(own)) if "train" in known else None)
    return mean(spent)

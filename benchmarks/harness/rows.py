"""A row of a comparison: one arm against a baseline on one metric, with interval, corrected p and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from burnish.errors import DataError
from burnish.training.per_user import ERRORS

from .metrics import sign
from .notes import ArmRuns
from .rating_errors import compare_errors
from .statistics import Paired, compare, holm, pair_users

#: Corrected p below which a difference is called one.
ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """One arm against the baseline, on one metric.  `difference`: arm minus baseline; `relative`: a fraction.

    low, high, the p values and `effect_size` are over users when `unit` is "users" (each user's value averaged over
    the seeds); over the rated rows of all seeds, a user's together, when it is "rows" (MAE, RMSE); over seeds where a
    metric has neither.  `seed_sd` is the standard deviation of the difference between seeds, `seeds_better` on how
    many seeds the arm was better.

    kind: "arm", "floor" for a floor against the baseline, or "over" for an arm against the strongest floor, which is
    the `baseline` then.  strongest_floor: that of the row's comparison on its metric, as the report chose it; empty for
    none.
    """

    dataset: str
    backbone: str
    arm: str
    baseline: str
    metric: str
    n_seeds: int
    n_users: int | None
    baseline_mean: float
    mean: float
    difference: float
    low: float
    high: float
    relative: float
    p_t: float
    p_wilcoxon: float
    p_holm: float
    effect_size: float
    seed_sd: float
    seeds_better: int
    unit: str
    comparison: str
    verdict: str
    notes: tuple[str, ...] = ()
    kind: str = "arm"
    strongest_floor: str = ""

    @property
    def direction(self) -> int:
        """1 for a clear gain, -1 for a clear loss, 0 for neither."""
        if not self.p_holm < ALPHA or self.difference == 0:
            return 0
        return int(math.copysign(1, self.difference)) * sign(self.metric)


def make_row(
    note: Mapping[str, Any],
    names: tuple[str, str],
    sides: tuple[ArmRuns, ArmRuns],
    metric: str,
    kind: str = "arm",
) -> Row | None:
    """One arm against a baseline, not yet corrected; None where they share no seed.

    names: of the baseline and of the arm.  sides: their runs.
    Raises `DataError` where they were tested on different rows.
    """
    base, arm = sides
    seeds = [
        seed
        for seed in sorted(set(base.tests) & set(arm.tests))
        if metric in base.tests[seed] and metric in arm.tests[seed]
    ]
    if not seeds:
        return None
    for seed in seeds:
        if seed in base.cases and seed in arm.cases and base.cases[seed] != arm.cases[seed]:
            raise DataError(
                f"seed {seed}: {names[0]} and {names[1]} were tested on other cases, so they cannot be paired; run "
                f"both again on the same data"
            )
    by_seed = np.array([[side.tests[seed][metric] for seed in seeds] for side in (base, arm)])
    unit, result = _compared(metric, base, arm, seeds, by_seed)
    changes = by_seed[1] - by_seed[0]
    return Row(
        dataset=note["dataset"],
        backbone=note["label"],
        arm=names[1],
        baseline=names[0],
        metric=metric,
        n_seeds=len(seeds),
        n_users=None if unit == "seeds" else result.n,
        **_figures(result),
        p_holm=math.nan,
        seed_sd=float(changes.std(ddof=1)) if len(seeds) > 1 else math.nan,
        seeds_better=int((changes * sign(metric) > 0).sum()),
        unit=unit,
        comparison=note["comparison"],
        verdict="",
        notes=_remarks(sides, seeds, names),
        kind=kind,
        strongest_floor="",
    )


def _compared(
    metric: str, base: ArmRuns, arm: ArmRuns, seeds: list[int], by_seed: np.ndarray
) -> tuple[str, Paired]:
    """What is paired, and the comparison: the finest that the tables of both arms allow."""
    ours, theirs = ({seed: side.users[seed] for seed in seeds if seed in side.users} for side in (base, arm))
    tables = [*ours.values(), *theirs.values()]
    if len(tables) == 2 * len(seeds):
        if all(metric in table for table in tables):
            pairs = pair_users(ours, theirs, metric)
            return "users", compare(pairs["baseline"].to_numpy(), pairs["other"].to_numpy())
        if metric in ERRORS and all("error" in table for table in tables):
            return "rows", compare_errors(ours, theirs, metric)
    return "seeds", compare(by_seed[0], by_seed[1])


def _figures(result: Paired) -> dict[str, float]:
    figures = {key: value for key, value in asdict(result).items() if key != "n"}
    mean = result.baseline_mean
    return {**figures, "relative": result.difference / mean if mean else math.nan}


def _remarks(sides: tuple[ArmRuns, ArmRuns], seeds: list[int], names: tuple[str, str]) -> tuple[str, ...]:
    remarks = []
    if len(seeds) == 1:
        remarks.append("one seed: other random starts are unknown")
    for name, side in zip(names, sides, strict=True):
        finished = len(side.tests) + len(side.damaged)
        if finished < side.planned:
            remarks.append(f"{name}: {finished} of {side.planned} runs finished")
        if side.damaged:
            remarks.append(f"{name}: {len(side.damaged)} of {side.planned} runs damaged and left out")
    return tuple(remarks)


def judged(family: Sequence[Row]) -> list[Row]:
    """The rows of one family, with p corrected by Holm's method and verdicts: a loss as plainly as a gain."""
    corrected = holm([row.p_t for row in family])
    return [_judged(replace(row, p_holm=p)) for row, p in zip(family, corrected, strict=True)]


def _judged(row: Row) -> Row:
    word = {1: "better", -1: "worse", 0: "no clear difference"}[row.direction]
    if math.isnan(row.p_holm):
        word = "not testable"
    elif row.direction:
        agreeing = row.seeds_better if row.direction > 0 else row.n_seeds - row.seeds_better
        word += f", {agreeing} of {row.n_seeds} seeds" if row.n_seeds > 1 else ", one seed only"
    return replace(row, verdict=word)

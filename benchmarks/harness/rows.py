"""A row of a comparison: one arm against a baseline on one metric, with interval, corrected p and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from burnish.errors import DataError
from burnish.training.per_user import ERRORS

from .equivalence import Margins, Smallest
from .flags import COLLAPSED
from .metrics import sign
from .notes import ArmRuns, shortened
from .rating_errors import compare_errors
from .statistics import Paired, benjamini_hochberg, compare, compare_cells, holm, pair_cells

#: Corrected p below which a difference is called one.
ALPHA = 0.05


@dataclass(frozen=True)
class Terms:
    """What a comparison takes as random, and what it takes as too little to matter.

    seeds_random: whether intervals and p are over users and seeds, or over users for the seeds that there are.
    """

    seeds_random: bool = True
    smallest: Smallest | None = None


USUAL = Terms()


@dataclass(frozen=True)
class Row:
    """One arm against the baseline, on one metric.  `difference`: arm minus baseline; `relative`: a fraction.

    unit: what is paired.  "users" (each user's value averaged over the seeds), "rows" (MAE, RMSE: the rated rows of
    all seeds, a user's together), or "seeds" where a metric has neither.  interval: what `low`, `high`, `p` and
    the effect size's interval take as random: "users and seeds", "users" or "seeds".

    low, high, p: of the difference.  p_holm, p_bh: p corrected for its family by Holm's method, and by
    Benjamini and Hochberg's.  low_users, high_users, p_t: Student's with the seeds taken as fixed (over seeds, where
    the unit is seeds).  p_permutation: by sign flips of the units; p_wilcoxon: not for a headline (see `Paired`).
    effect_size: Cohen's d_z over the units, `effect_low` to `effect_high`.  users_better, users_equal: of `n_users`.
    seed_sd: the standard deviation of the difference between seeds; seeds_better, seeds_equal: of `n_seeds`.

    smallest: the smallest difference that matters, in the metric's unit; NaN for none.  p_no_worse, p_equivalent:
    that the arm is not worse by as much, and neither worse nor better, corrected by Holm's method.

    kind: "arm", "floor" for a floor against the baseline, "pair" for an arm against another one than the baseline, or
    "over" for an arm against the strongest floor; the `baseline` is that other arm or floor then.  strongest_floor:
    that of the row's comparison on its metric, as the report chose it; empty for none.

    marks: letters of the flags of both sides, with `flags` in words; arm_marks, baseline_marks: of each side.  trials,
    tuning: how many tuning trials the arm had, over what, and what was chosen; None and empty where it is not known.
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
    interval: str = "users"
    p: float = math.nan
    p_bh: float = math.nan
    p_permutation: float = math.nan
    low_users: float = math.nan
    high_users: float = math.nan
    effect_low: float = math.nan
    effect_high: float = math.nan
    users_better: int | None = None
    users_equal: int | None = None
    seeds_equal: int = 0
    smallest: float = math.nan
    p_no_worse: float = math.nan
    p_equivalent: float = math.nan
    marks: str = ""
    flags: tuple[str, ...] = ()
    trials: int | None = None
    baseline_trials: int | None = None
    tuning: str = ""
    baseline_tuning: str = ""
    arm_marks: str = ""
    baseline_marks: str = ""

    @property
    def collapsed(self) -> bool:
        """Whether runs of either side did not learn, so that the difference says little of the arm."""
        return any(letter in self.marks for letter in COLLAPSED)

    @property
    def shown_verdict(self) -> str:
        """The verdict as tables show it, with the letters of its flags."""
        return f"{self.verdict} [{self.marks}]" if self.marks else self.verdict

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
    terms: Terms = USUAL,
) -> Row | None:
    """One arm against a baseline, not yet corrected; None where they share no seed with numbers.

    names: of the baseline and of the arm.  sides: their runs.
    Raises `DataError` where they were tested on different rows.
    """
    base, arm = sides
    both = [
        seed
        for seed in sorted(set(base.tests) & set(arm.tests))
        if metric in base.tests[seed] and metric in arm.tests[seed]
    ]
    # A value that is no number (a run that diverged) is neither larger nor smaller than another.
    seeds = [seed for seed in both if all(math.isfinite(side.tests[seed][metric]) for side in sides)]
    if not seeds:
        return None
    for seed in seeds:
        if seed in base.cases and seed in arm.cases and base.cases[seed] != arm.cases[seed]:
            raise DataError(
                f"seed {seed}: {names[0]} and {names[1]} were tested on other cases, so they cannot be paired; run "
                f"both again on the same data"
            )
    by_seed = np.array([[side.tests[seed][metric] for seed in seeds] for side in (base, arm)])
    unit, result = _compared(metric, base, arm, seeds, by_seed, terms)
    changes = by_seed[1] - by_seed[0]
    n_better = result.larger if sign(metric) > 0 else result.n - result.larger - result.equal
    return Row(
        dataset=note["dataset"],
        backbone=note["label"],
        arm=names[1],
        baseline=names[0],
        metric=metric,
        n_seeds=len(seeds),
        n_users=None if unit == "seeds" else result.n,
        **_figures(result, metric, terms),  # type: ignore[arg-type]
        p_holm=math.nan,
        seed_sd=float(changes.std(ddof=1)) if len(seeds) > 1 else math.nan,
        seeds_better=int((changes * sign(metric) > 0).sum()),
        unit=unit,
        comparison=note["comparison"],
        verdict="",
        notes=(*_remarks(sides, seeds, names, metric), *_without_users(unit, sides, seeds, names, metric)),
        kind=kind,
        interval=unit if unit == "seeds" else "users and seeds" if result.spread.two_way else "users",
        users_better=None if unit == "seeds" else n_better,
        users_equal=None if unit == "seeds" else result.equal,
        seeds_equal=int((changes == 0).sum()),
    )


def _compared(
    metric: str, base: ArmRuns, arm: ArmRuns, seeds: list[int], by_seed: np.ndarray, terms: Terms
) -> tuple[str, Paired]:
    """What is paired, and the comparison: the finest that the tables of both arms allow."""
    ours, theirs = ({seed: side.users[seed] for seed in seeds if seed in side.users} for side in (base, arm))
    tables = [*ours.values(), *theirs.values()]
    if len(tables) == 2 * len(seeds):
        if all(metric in table for table in tables):
            cells = pair_cells(ours, theirs, metric)
            return "users", compare_cells(cells.baseline, cells.other, seeds_random=terms.seeds_random)
        if metric in ERRORS and all("error" in table for table in tables):
            return "rows", compare_errors(ours, theirs, metric, seeds_random=terms.seeds_random)
    return "seeds", compare(by_seed[0], by_seed[1])


#: What a row takes over from a comparison as it is.
_TAKEN = (
    *("baseline_mean", "mean", "difference", "low", "high", "p", "low_users", "high_users"),
    *("p_t", "p_permutation", "p_wilcoxon", "effect_size", "effect_low", "effect_high"),
)


def _figures(result: Paired, metric: str, terms: Terms) -> dict[str, float]:
    mean = result.baseline_mean
    figures = {name: getattr(result, name) for name in _TAKEN}
    figures["relative"] = result.difference / mean if mean else math.nan
    if terms.smallest is not None:
        smallest = terms.smallest.beside(mean)
        margins = Margins.of(result.difference, result.spread, smallest, sign(metric))
        figures |= {"smallest": smallest, "p_no_worse": margins.no_worse, "p_equivalent": margins.equivalent}
    return figures


def _remarks(
    sides: tuple[ArmRuns, ArmRuns], seeds: list[int], names: tuple[str, str], metric: str
) -> tuple[str, ...]:
    remarks = []
    if len(seeds) == 1:
        remarks.append("one seed: other random starts are unknown")
    elif len(seeds) == 2:
        remarks.append("two seeds tell little of other random starts, so intervals are wide")
    for name, side in zip(names, sides, strict=True):
        finished = len(side.tests) + len(side.damaged)
        if finished < side.planned:
            why = f" (failed: {shortened(side.failure, 120)})" if side.failure else ""
            remarks.append(f"{name}: {finished} of {side.planned} runs finished{why}")
        if side.damaged:
            remarks.append(f"{name}: {len(side.damaged)} of {side.planned} runs damaged and left out")
        none = sum(not math.isfinite(test.get(metric, 0.0)) for test in side.tests.values())
        if none:
            remarks.append(f"{name}: {metric} is no number in {none} of {side.planned} runs, left out here")
    return tuple(remarks)


def _without_users(
    unit: str, sides: tuple[ArmRuns, ArmRuns], seeds: list[int], names: tuple[str, str], metric: str
) -> tuple[str, ...]:
    """Why seeds are compared on a metric that other runs have by user."""
    columns = {metric, "error"} if metric in ERRORS else {metric}
    there = [[bool(columns & {*side.users.get(seed, ())}) for seed in seeds] for side in sides]
    if unit != "seeds" or not any(map(any, there)):
        return ()
    return tuple(
        f"{name}: {len(known) - sum(known)} of {len(known)} runs have no {metric} by user (per_user.parquet), so seeds "
        f"are compared and not users"
        for name, known in zip(names, there, strict=True)
        if not all(known)
    )


def judged(family: Sequence[Row], further: Sequence[Row] = ()) -> list[Row]:
    """The rows of one family, with corrected p and verdicts: a loss as plainly as a gain.

    further: rows that belong to the family and are not given back.
    """
    rows = [*family, *further]
    corrected = {
        "p_holm": holm([row.p for row in rows]),
        "p_bh": benjamini_hochberg([row.p for row in rows]),
        "p_no_worse": holm([row.p_no_worse for row in rows]),
        "p_equivalent": holm([row.p_equivalent for row in rows]),
    }
    return [
        _judged(replace(row, **{name: values[place] for name, values in corrected.items()}))  # type: ignore[arg-type]
        for place, row in enumerate(family)
    ]


def _judged(row: Row) -> Row:
    """With a verdict in words: what the difference is, how it stands to the smallest that matters, how many seeds."""
    word = {1: "better", -1: "worse", 0: "no clear difference"}[row.direction]
    seeds = ""
    if math.isnan(row.p_holm):
        word = "not testable"
    elif row.direction:
        if row.p_equivalent < ALPHA:
            word += f" by < {row.smallest:.2g}"
        elif min(abs(row.low), abs(row.high)) > row.smallest:
            word += f" by > {row.smallest:.2g}"
        agreeing = row.seeds_better if row.direction > 0 else row.n_seeds - row.seeds_better - row.seeds_equal
        seeds = f", {agreeing} of {row.n_seeds} seeds" if row.n_seeds > 1 else ", one seed only"
    elif row.p_equivalent < ALPHA:
        word = f"equal within {row.smallest:.2g}"
    elif row.p_no_worse < ALPHA:
        word = f"not worse by {row.smallest:.2g}"
    return replace(row, verdict=word + seeds)

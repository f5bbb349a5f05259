"""The comparison in a folder of runs: a row for each backbone, arm and metric, against the plain backbone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from burnish.errors import DataError, unknown_name
from burnish.training.per_user import ERRORS

from .metrics import sign
from .notes import ArmRuns, find_notes, load_arm
from .plan import PLAIN
from .rating_errors import compare_errors
from .statistics import Paired, compare, holm, pair_users

DEFAULT_METRICS = ("ndcg@10", "recall@10", "mrr@10")
#: Corrected p below which a difference is called one.
ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """One arm against the baseline, on one metric.  `difference`: arm minus baseline; `relative`: a fraction.

    low, high, the p values and `effect_size` are over users when `unit` is "users" (each user's value averaged over
    the seeds); over the rated rows of all seeds, a user's together, when it is "rows" (MAE, RMSE); over seeds where a
    metric has neither.  `seed_sd` is the standard deviation of the difference between seeds, `seeds_better` on how
    many seeds the arm was better.
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

    @property
    def direction(self) -> int:
        """1 for a clear gain, -1 for a clear loss, 0 for neither."""
        if not self.p_holm < ALPHA or self.difference == 0:
            return 0
        return int(math.copysign(1, self.difference)) * sign(self.metric)


def summarise(
    runs_folder: Path | str, *, metrics: Sequence[str] | None = None, baseline: str = PLAIN
) -> list[Row]:
    """Compare every arm with the baseline, from the files in `runs_folder` alone.

    metrics: such as "ndcg@10"; None takes ndcg@10, recall@10 and mrr@10 as far as the runs have them, else
        whatever they have.  baseline: the arm to compare with.
    p values are corrected by Holm's method over all rows of the same metric.  A damaged file is named in a warning, and
    what it belongs to is left out.

    Raises `DataError` when there is nothing to compare, `UnknownNameError` for a metric or baseline that no
    run has.
    """
    folder = Path(runs_folder)
    notes = find_notes(folder)
    if not any(baseline in note["arms"] for note in notes):
        raise unknown_name("baseline arm", baseline, {arm for note in notes for arm in note["arms"]})
    loaded = [
        (note, {arm: load_arm(note["path"].parent, runs) for arm, runs in note["arms"].items()})
        for note in notes
    ]
    chosen = _choose_metrics(metrics, (arm for _, arms in loaded for arm in arms.values()))
    rows: list[Row] = []
    for metric in chosen:
        family = [row for note, arms in loaded for row in _rows(note, arms, metric, baseline)]
        corrected = holm([row.p_t for row in family])
        rows += [_judged(replace(row, p_holm=p)) for row, p in zip(family, corrected, strict=True)]
    if not rows:
        names = [
            f"{note['label']}, {label}" for note, arms in loaded for label, arm in arms.items() if arm.damaged
        ]
        damaged = f", and runs are damaged ({'; '.join(names)})" if names else ""
        raise DataError(
            f"{folder} holds no finished run of an arm besides {baseline!r} on a seed that {baseline!r} "
            f"finished too{damaged}; run `burnish bench` again to complete the plan"
        )
    return rows


def _choose_metrics(chosen: Sequence[str] | None, arms: Iterable[ArmRuns]) -> list[str]:
    arms = list(arms)
    known = list(dict.fromkeys(name for arm in arms for test in arm.tests.values() for name in test))
    if not known:
        damaged = sum(len(arm.damaged) for arm in arms)
        raise DataError(
            f"no run of this folder {'can be read' if damaged else 'has finished'}; run `burnish bench` again"
        )
    if chosen is None:
        return [name for name in DEFAULT_METRICS if name in known] or known
    for name in chosen:
        if name.lower() not in known:
            raise unknown_name("metric", name, known, cure="Add it to `metrics` and `topk` of the plan.")
    return [name.lower() for name in chosen]


def _rows(note: dict[str, Any], arms: dict[str, ArmRuns], metric: str, baseline: str) -> list[Row]:
    base = arms.get(baseline)
    rows = []
    for label, arm in arms.items():
        if base is None or label == baseline:
            continue
        seeds = [seed for seed in sorted(set(base.tests) & set(arm.tests)) if _both(base, arm, seed, metric)]
        if seeds:
            rows.append(_row(note, label, baseline, metric, base, arm, seeds))
    return rows


def _both(base: ArmRuns, arm: ArmRuns, seed: int, metric: str) -> bool:
    return metric in base.tests[seed] and metric in arm.tests[seed]


def _row(
    note: dict[str, Any],
    label: str,
    baseline: str,
    metric: str,
    base: ArmRuns,
    arm: ArmRuns,
    seeds: list[int],
) -> Row:
    by_seed = np.array([[side.tests[seed][metric] for seed in seeds] for side in (base, arm)])
    unit, result = _compared(metric, base, arm, seeds, by_seed)
    changes = by_seed[1] - by_seed[0]
    return Row(
        dataset=note["dataset"],
        backbone=note["label"],
        arm=label,
        baseline=baseline,
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
        notes=_remarks(base, arm, seeds, label, baseline),
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


def _remarks(base: ArmRuns, arm: ArmRuns, seeds: list[int], label: str, baseline: str) -> tuple[str, ...]:
    remarks = []
    if len(seeds) == 1:
        remarks.append("one seed: other random starts are unknown")
    for name, side in ((baseline, base), (label, arm)):
        finished = len(side.tests) + len(side.damaged)
        if finished < side.planned:
            remarks.append(f"{name}: {finished} of {side.planned} runs finished")
        if side.damaged:
            remarks.append(f"{name}: {len(side.damaged)} of {side.planned} runs damaged and left out")
    return tuple(remarks)


def _judged(row: Row) -> Row:
    """The verdict in words: a loss as plainly as a gain."""
    word = {1: "better", -1: "worse", 0: "no clear difference"}[row.direction]
    if math.isnan(row.p_holm):
        word = "not testable"
    elif row.direction:
        agreeing = row.seeds_better if row.direction > 0 else row.n_seeds - row.seeds_better
        word += f", {agreeing} of {row.n_seeds} seeds" if row.n_seeds > 1 else ", one seed only"
    return replace(row, verdict=word)

"""The figures of a study: means over seeds, floors, paired differences to the reference, and what reviews are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from burnish.benchmarks.harness.statistics import holm

from .generated import TEXT_FLOORS, sentence_summary
from .judging import Judgement, mean_and_spread
from .paired import ERRORS, Difference, ranking_difference, rating_difference
from .study import Measured, StudyResult
from .study_plan import StudyPlan


@dataclass(frozen=True)
class Compared:
    """A difference of a model or floor to the reference.  p_holm: corrected for all that one metric compares."""

    label: str
    difference: Difference
    p_holm: float


@dataclass(frozen=True)
class Robust:
    """One model with a share of its reviews removed.  against: the difference to the same model with all reviews."""

    label: str
    where: str
    share: float
    means: dict[str, float]
    against: dict[str, Difference]


@dataclass
class Figures:
    """What the report shows.  models, floors: label -> metric -> (mean, standard deviation) over seeds.

    text_floors: the same of sentences that no model wrote; empty where no model writes any.
    """

    plan: StudyPlan
    models: dict[str, dict[str, tuple[float, float]]]
    floors: dict[str, dict[str, tuple[float, float]]]
    seeds: dict[str, list[int]]
    compared: list[Compared]
    robust: list[Robust]
    chosen: dict[str, dict[str, Any]]
    errors: list[str] = field(default_factory=list)
    text_floors: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "plan": self.plan.model_dump(mode="json"),
            "models": _plain(self.models),
            "floors": _plain(self.floors),
            "text_floors": _plain(self.text_floors),
            "seeds": self.seeds,
            "compared": [
                {"label": one.label, **vars(one.difference), "p_holm": one.p_holm} for one in self.compared
            ],
            "robust": [
                {**vars(one), "against": {name: vars(gap) for name, gap in one.against.items()}}
                for one in self.robust
            ],
            "chosen": self.chosen,
            "errors": self.errors,
        }


def _plain(values: Mapping[str, Mapping[str, tuple[float, float]]]) -> dict[str, Any]:
    return {
        label: {name: {"mean": mean, "sd": sd} for name, (mean, sd) in metrics.items()}
        for label, metrics in values.items()
    }


def main_metrics(plan: StudyPlan) -> list[str]:
    """Metrics of the main table and the comparison: errors, each list at 10 (or its last cut), all of P3."""
    k = 10 if 10 in plan.protocols.ks else plan.protocols.ks[-1]
    kinds = ("p1.ndcg", "p1.ndcg_full", "p1.f1", "p2.ndcg", "p2.ndcg_binary")
    catalogue = [f"p3.{kind}@{cut}" for cut in plan.protocols.full_ks for kind in ("recall", "ndcg")]
    return [*ERRORS, *(f"{kind}@{k}" for kind in kinds), *catalogue]


def summarise(plan: StudyPlan, result: StudyResult) -> Figures:
    """The figures of what a study left; runs that failed are told, and left out."""
    tables: dict[tuple[str, str | None, float], dict[int, Judgement]] = {}
    for run in result.runs:
        if run.error is None:
            tables.setdefault((run.label, run.where, run.share), {})[run.seed] = run.read()
    floors: dict[str, dict[int, Judgement]] = {}
    for floor in result.floors:
        floors.setdefault(floor.label, {})[floor.seed] = floor.read()
    whole = {label: by_seed for (label, where, _), by_seed in tables.items() if where is None}
    return Figures(
        plan,
        {label: _over_seeds(by_seed) for label, by_seed in whole.items()},
        {label: _over_seeds(by_seed) for label, by_seed in floors.items()},
        {label: sorted(by_seed) for label, by_seed in {**whole, **floors}.items()},
        _compared(plan, whole, floors),
        _robust(plan, tables, whole),
        result.chosen,
        [_failure(run) for run in result.failed],
        _text_floors(whole),
    )


def _text_floors(
    whole: Mapping[str, Mapping[int, Judgement]],
) -> dict[str, dict[str, tuple[float, float]]]:
    """Of the first model that writes sentences: what is compared is the same for each that reads them alike."""
    for by_seed in whole.values():
        frames = [by_seed[seed].sentences for seed in sorted(by_seed)]
        known = [frame for frame in frames if frame is not None]
        if known:
            return {name: _means([_text_summary(frame, name) for frame in known]) for name in TEXT_FLOORS}
    return {}


def _text_summary(frame: pd.DataFrame, column: str) -> dict[str, float]:
    return {f"text.{name}": value for name, value in sentence_summary(frame, column).items()}


def _failure(run: Measured) -> str:
    lost = "" if run.where is None else f", {100 * run.share:g}% of reviews removed ({run.where})"
    return f"{run.label}, seed {run.seed}{lost}: {run.error}"


def _over_seeds(by_seed: Mapping[int, Judgement]) -> dict[str, tuple[float, float]]:
    return _means([by_seed[seed].summary() for seed in sorted(by_seed)])


def _means(summaries: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    return {
        name: mean_and_spread([one[name] for one in summaries if name in one])
        for name in dict.fromkeys(name for one in summaries for name in one)
    }


def difference(
    reference: Mapping[int, Judgement], other: Mapping[int, Judgement], metric: str
) -> Difference | None:
    """Other minus reference on one metric, None where one of them does not give it."""
    sides = []
    for side in (reference, other):
        frames: dict[int, pd.DataFrame] = {}
        for seed, judgement in side.items():
            frame = judgement.errors if metric in ERRORS else judgement.ranking
            if frame is not None:
                frames[seed] = frame
        sides.append(frames)
    if not set(sides[0]) & set(sides[1]):
        return None
    compare = rating_difference if metric in ERRORS else ranking_difference
    return compare(sides[0], sides[1], metric)


def _compared(
    plan: StudyPlan,
    whole: Mapping[str, Mapping[int, Judgement]],
    floors: Mapping[str, Mapping[int, Judgement]],
) -> list[Compared]:
    reference = whole.get(plan.reference_label)
    if reference is None:
        return []
    others = {label: one for label, one in {**whole, **floors}.items() if label != plan.reference_label}
    compared = []
    for metric in main_metrics(plan):
        differences = {label: difference(reference, other, metric) for label, other in others.items()}
        known = {label: one for label, one in differences.items() if one is not None}
        corrected = holm([one.p for one in known.values()])
        compared += [
            Compared(label, one, p) for (label, one), p in zip(known.items(), corrected, strict=True)
        ]
    return compared


def _robust(
    plan: StudyPlan,
    tables: Mapping[tuple[str, str | None, float], Mapping[int, Judgement]],
    whole: Mapping[str, Mapping[int, Judgement]],
) -> list[Robust]:
    rows = []
    for (label, where, share), by_seed in sorted(
        tables.items(), key=lambda one: (one[0][0], str(one[0][1]), one[0][2])
    ):
        if where is None:
            continue
        means = {name: mean for name, (mean, _) in _over_seeds(by_seed).items()}
        against = {
            metric: one
            for metric in main_metrics(plan)
            if label in whole and (one := difference(whole[label], by_seed, metric)) is not None
        }
        rows.append(Robust(label, where, share, means, against))
    return rows


def counts(figures: Figures) -> Sequence[tuple[str, float]]:
    """Users of the test rows, averaged over seeds, by kind; empty when nothing was ranked."""
    for metrics in (*figures.models.values(), *figures.floors.values()):
        names = ("test_users", "users_with_one_test_item", "users_without_relevant_item")
        if names[0] in metrics:
            return [(name.replace("_", " "), metrics[name][0]) for name in names]
    return []

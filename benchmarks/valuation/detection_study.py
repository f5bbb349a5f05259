"""Noise detection: every judge on noise of every kind, over seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.enhancers.shapley.objectives import standardised

from .detection import detect, rank_correlation
from .experiment import make_experiment
from .judges import Judge, train_backbone


@dataclass(frozen=True)
class DetectionResult:
    """One judge on one draw of noise.

    auc, average_precision: of the values as they are.  auc_within, average_precision_within: of the values
    standardised within user.  seconds: of the processor, what judging took, with values that another judge had left
    over (`TrainedBackbone.spared`) and without the common training.
    """

    judge: str
    kind: str
    share: float
    seed: int
    auc: float
    average_precision: float
    auc_within: float
    average_precision_within: float
    seconds: float

    @property
    def best_auc(self) -> float:
        """The better of the two ways to compare users."""
        return max(self.auc, self.auc_within)


def detection_study(
    judges: Sequence[Judge],
    *,
    model: str,
    dataset: str,
    options: dict[str, Any],
    enhancers: Any = None,
    kinds: Sequence[str],
    share: float,
    seeds: Sequence[int],
    epochs: int,
    budget_times: float = 1.0,
    report: Callable[[str], None] | None = None,
) -> list[DetectionResult]:
    """Inject, train once a draw, judge by all, and compare with where the noise is.

    A seed draws the noise, and the weights and negatives of training; the split is that of RecBole's `seed` option.
    budget_times: how much more time the judges that can take any are given (`Judge.budgeted`).
    """
    results = []
    for seed in seeds:
        for kind in kinds:
            experiment = make_experiment(
                model, dataset, options, enhancers=enhancers, kind=kind, share=share, noise_seed=seed
            )
            started = time.perf_counter()
            trained = train_backbone(experiment, epochs=epochs, seed=seed, budget_times=budget_times)
            if report is not None:
                seconds = time.perf_counter() - started
                report(f"{kind} noise, seed {seed}: {model} trained in {seconds:.0f} s")
            for judge in judges:
                started, spared = time.process_time(), trained.spared
                values = judge.compute(trained)
                seconds = time.process_time() - started + trained.spared - spared
                plain = detect(values, experiment.is_noise)
                within = detect(standardised(values, trained.users), experiment.is_noise)
                results.append(
                    DetectionResult(
                        judge.name,
                        kind,
                        share,
                        seed,
                        plain.auc,
                        plain.average_precision,
                        within.auc,
                        within.average_precision,
                        seconds,
                    )
                )
    return results


def stability_study(
    judges: Sequence[Judge],
    *,
    model: str,
    dataset: str,
    options: dict[str, Any],
    enhancers: Any = None,
    seeds: Sequence[int],
    epochs: int,
    budget_times: float = 1.0,
    report: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """The mean rank correlation of each judge's values of the clean interactions, over pairs of training seeds."""
    experiment = make_experiment(model, dataset, options, enhancers=enhancers)
    values_of: dict[str, list[np.ndarray]] = {judge.name: [] for judge in judges}
    for seed in seeds:
        trained = train_backbone(experiment, epochs=epochs, seed=seed, budget_times=budget_times)
        if report is not None:
            report(f"seed {seed}: {model} trained")
        for judge in judges:
            values_of[judge.name].append(judge.compute(trained).numpy())
    return {
        name: float(
            np.mean(
                [rank_correlation(one, other) for place, one in enumerate(values) for other in values[:place]]
            )
        )
        for name, values in values_of.items()
    }


def summary(results: Sequence[DetectionResult]) -> list[dict[str, Any]]:
    """A row a judge and kind of noise: means over seeds, and the standard deviation of the better AUC."""
    rows = []
    for judge, kind in dict.fromkeys((result.judge, result.kind) for result in results):
        own = [o for o in results if (o.judge, o.kind) == (judge, kind)]
        mean = {
            name: float(np.mean([getattr(o, name) for o in own]))
            for name in ("auc", "average_precision", "auc_within", "average_precision_within", "seconds")
        }
        column = "auc_within" if mean["auc_within"] > mean["auc"] else "auc"
        spread = float(np.std([getattr(o, column) for o in own], ddof=1)) if len(own) > 1 else float("nan")
        rows.append({"judge": judge, "kind": kind, "seeds": len(own), **mean, "auc_spread": spread})
    return rows

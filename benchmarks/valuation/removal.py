"""Removal curves: drop the least or the most valuable interactions, train anew, and look at the test metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.enhancers.shapley.objectives import standardised
from burnish.errors import ConfigurationError, DataError, unknown_name

from .experiment import Experiment, evaluate, make_experiment, train
from .judges import Judge, train_backbone

ENDS = ("lowest", "highest")


@dataclass(frozen=True)
class Point:
    """The test metric, one value a seed, after a share was removed from one end of a judge's order.

    noise_found: the share of the injected noise that was removed (NaN without noise), mean over seeds.
    """

    judge: str
    removed: str
    share: float
    metrics: tuple[float, ...]
    noise_found: float

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.metrics))


def kept_rows(
    values: NDArray[np.floating], users: NDArray[np.int64], share: float, end: str
) -> NDArray[np.int64]:
    """The rows that stay, ascending, when a share is dropped from one end; every user keeps at least one interaction.

    That one is their last in the order of removal, so slightly fewer rows may go than asked for.
    """
    if end not in ENDS:
        raise unknown_name("end", end, ENDS)
    if not 0.0 <= share < 1.0:
        raise ConfigurationError(f"share = {share}; remove at least 0 and less than 1")
    order = np.argsort(values if end == "lowest" else -values, kind="stable")
    last = np.zeros(len(order), bool)
    _, first_from_end = np.unique(users[order][::-1], return_index=True)
    last[order[::-1][first_from_end]] = True
    gone = order[~last[order]][: round(share * len(order))]
    return np.setdiff1d(np.arange(len(order)), gone)


def removal_study(
    judges: Sequence[Judge],
    *,
    model: str,
    dataset: str,
    options: dict[str, Any],
    enhancers: Any = None,
    kind: str | None,
    noise_share: float,
    shares: Sequence[float],
    metric: str,
    seeds: Sequence[int],
    epochs: int,
    budget_times: float = 1.0,
    report: Callable[[str], None] | None = None,
) -> list[Point]:
    """For each judge and end, the test metric at 0 and at each share.

    Values are standardised within user, so that no user is stripped for being hard to please.  Values come from a
    model of the same seed; the removed items stay out of the recommendations.
    """
    cells: dict[tuple[str, str, float], list[tuple[float, float]]] = {}
    for seed in seeds:
        experiment = make_experiment(
            model, dataset, options, enhancers=enhancers, kind=kind, share=noise_share, noise_seed=seed
        )
        trained = train_backbone(experiment, epochs=epochs, seed=seed, budget_times=budget_times)
        whole = (_metric(experiment, trained.model, metric), 0.0)
        for judge in judges:
            values = standardised(judge.compute(trained), trained.users).numpy()
            for end in ENDS:
                cells.setdefault((judge.name, end, 0.0), []).append(whole)
                for share in shares:
                    rows = kept_rows(values, experiment.users, share, end)
                    fresh = train(experiment, rows, epochs=epochs, seed=seed)
                    value = _metric(experiment, fresh, metric)
                    noise_found = 1 - experiment.is_noise[rows].sum() / max(experiment.is_noise.sum(), 1)
                    cells.setdefault((judge.name, end, share), []).append((value, noise_found))
                    if report is not None:
                        report(f"seed {seed}: {judge.name}, {end} {100 * share:g}% removed: {value:.4f}")
    return [
        Point(
            judge,
            end,
            share,
            tuple(one for one, _ in values),
            float(np.mean([two for _, two in values])) if kind is not None else float("nan"),
        )
        for (judge, end, share), values in cells.items()
    ]


def _metric(experiment: Experiment, model: Any, name: str) -> float:
    metrics = evaluate(experiment, model, experiment.test)
    if name not in metrics:
        raise DataError(
            f"metric {name!r} is not among {sorted(metrics)}; choose one, or set RecBole's metrics and topk"
        )
    return metrics[name]

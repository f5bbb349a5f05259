"""Noise detection: every judge on noise of every kind, over seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from burnish.enhancers.shapley.objectives import standardised

from .detection import detect, rank_correlation
from .judges import Judge, material
from .world import make_world


@dataclass(frozen=True)
class Outcome:
    """One judge on one draw of noise.

    auc, average_precision: of the values as they are.  auc_within, average_precision_within: of the values
    standardised within user.  stability: rank correlation with the same judge's values on the same data after training
    from the previous seed (NaN without one).  seconds: what judging took, the common training left out.
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
    kinds: Sequence[str],
    share: float,
    seeds: Sequence[int],
    epochs: int,
    report: Callable[[str], None] | None = None,
) -> list[Outcome]:
    """Inject, train once a draw, judge by all, and compare with where the noise is.

    A seed draws the noise, and the weights and negatives of training; the split is that of RecBole's `seed` option.
    """
    outcomes = []
    for seed in seeds:
        for kind in kinds:
            world = make_world(model, dataset, options, kind=kind, share=share, noise_seed=seed)
            started = time.perf_counter()
            m = material(world, epochs=epochs, seed=seed)
            if report is not None:
                seconds = time.perf_counter() - started
                report(f"{kind} noise, seed {seed}: {model} trained in {seconds:.0f} s")
            for judge in judges:
                started = time.perf_counter()
                values = judge.compute(m)
                seconds = time.perf_counter() - started
                plain = detect(values, world.is_noise)
                within = detect(standardised(values, m.users), world.is_noise)
                outcomes.append(
                    Outcome(
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
    return outcomes


def stability_study(
    judges: Sequence[Judge],
    *,
    model: str,
    dataset: str,
    options: dict[str, Any],
    seeds: Sequence[int],
    epochs: int,
    report: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """The mean rank correlation of each judge's values of the clean interactions, over pairs of training seeds."""
    world = make_world(model, dataset, options)
    found: dict[str, list[np.ndarray]] = {judge.name: [] for judge in judges}
    for seed in seeds:
        m = material(world, epochs=epochs, seed=seed)
        if report is not None:
            report(f"seed {seed}: {model} trained")
        for judge in judges:
            found[judge.name].append(judge.compute(m).numpy())
    return {
        name: float(
            np.mean(
                [rank_correlation(one, other) for place, one in enumerate(values) for other in values[:place]]
            )
        )
        for name, values in found.items()
    }


def summary(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row a judge and kind of noise: means over seeds, and the standard deviation of the better AUC."""
    rows = []
    for judge, kind in dict.fromkeys((outcome.judge, outcome.kind) for outcome in outcomes):
        own = [o for o in outcomes if (o.judge, o.kind) == (judge, kind)]
        mean = {
            name: float(np.mean([getattr(o, name) for o in own]))
            for name in ("auc", "average_precision", "auc_within", "average_precision_within", "seconds")
        }
        column = "auc_within" if mean["auc_within"] > mean["auc"] else "auc"
        spread = float(np.std([getattr(o, column) for o in own], ddof=1)) if len(own) > 1 else float("nan")
        rows.append({"judge": judge, "kind": kind, "seeds": len(own), **mean, "auc_spread": spread})
    return rows

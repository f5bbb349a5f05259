"""Whether reasons stay the same by another seed, and whether they go with what the model has learned."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from burnish.benchmarks.harness.faithful import OURS
from burnish.errors import UnsupportedError
from burnish.randomness import forked_randomness

if TYPE_CHECKING:
    from burnish.trained.history_contributions import HistoryContributions
    from burnish.training.trained_model import TrainedModel

#: How many of the strongest reasons are compared.
STRONGEST = 5


@dataclass(frozen=True)
class Agreement:
    """How alike two sets of reasons of one recommendation are; NaN where there is nothing to compare.

    spearman: rank correlation of the contributions of the history's items.  overlap: share of the `STRONGEST` strongest
    (of all where there are fewer) that both have.
    """

    spearman: float
    overlap: float


def agreement(one: NDArray[np.float64], other: NDArray[np.float64]) -> Agreement:
    """Of contributions `[n]` to contributions `[n]` of the same items."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return Agreement(float("nan"), float("nan"))
    k = min(STRONGEST, len(one))
    first, second = (set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (one, other))
    return Agreement(float(stats.spearmanr(one, other).statistic), len(first & second) / k)


def agreement_of(one: HistoryContributions | None, other: HistoryContributions | None) -> Agreement:
    """The same of two explanations; NaN where either has no history, or another one."""
    if one is None or other is None or not np.array_equal(one.history, other.history):
        return Agreement(float("nan"), float("nan"))
    return agreement(one.values, other.values)


def rows_of_agreement(check: str, found: Agreement, head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of an agreement that are there, a row each.  head: what all rows have."""
    return [
        {**head, "reasons": OURS, "measure": f"{check}: {what}", "k": 0, "value": value}
        for what, value in (("Spearman", found.spearman), ("top-5 overlap", found.overlap))
        if not math.isnan(value)
    ]


def with_fresh_parameters(trained: TrainedModel, seed: int) -> TrainedModel:
    """The same model, on the same data, as it was before training: reasons that fit it, too, are none of the model's.

    After Adebayo et al. (2018, "Sanity checks for saliency maps").
    Raises `UnsupportedError` for a model without parameters that training changes.
    """
    model = trained.model
    if not any(parameter.requires_grad and parameter.numel() > 1 for parameter in model.parameters()):
        raise UnsupportedError(
            f"{trained.config['model']} has no parameters to draw anew: it is what the data are, by a formula"
        )
    config = copy.copy(trained.config)
    device = torch.device(config["device"])
    with forked_randomness(seed, device):
        fresh = type(model)(config, trained.splits.training).to(device)
    return replace(trained, model=fresh.eval())

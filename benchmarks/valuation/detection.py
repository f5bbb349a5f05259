"""How well low values point at noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata, spearmanr

from burnish.errors import DataError, NonFiniteError


@dataclass(frozen=True)
class Detection:
    """auc: the chance that a noisy interaction has a lower value than a clean one (ties count half; 0.5 is chance).

    average_precision: the mean precision over the noisy ones, walking up from the lowest value (the share of noise is
    chance).
    """

    auc: float
    average_precision: float


def detect(values: ArrayLike, is_noise: ArrayLike) -> Detection:
    """Judge values `[n]` by "low value = noise".

    Raises `NonFiniteError` for values that are not finite, `DataError` when rows are all noise or all clean.
    """
    worth, noise = np.asarray(values, float), np.asarray(is_noise, bool)
    if worth.shape != noise.shape:
        raise DataError(f"detect: values have shape {worth.shape}, the marks of noise {noise.shape}")
    if not np.isfinite(worth).all():
        raise NonFiniteError(f"detect: the value of row {int(np.argmin(np.isfinite(worth)))} is not finite")
    positives, negatives = int(noise.sum()), int((~noise).sum())
    if not positives or not negatives:
        raise DataError(f"detect: {positives} noisy and {negatives} clean rows; both are needed")
    ranks = rankdata(-worth)
    auc = (ranks[noise].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return Detection(float(auc), _average_precision(-worth, noise))


def _average_precision(scores: np.ndarray, is_noise: np.ndarray) -> float:
    """Sum over thresholds of (gain in recall) * precision; equal scores are taken in together."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], np.cumsum(is_noise[order])
    ends = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
    hits_so_far = hits[ends]
    gained = np.diff(hits_so_far, prepend=0)
    return float((gained * hits_so_far / (ends + 1)).sum() / hits_so_far[-1])


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation of two valuations of the same interactions; 0 when either is constant."""
    first, second = np.asarray(one, float), np.asarray(other, float)
    if first.shape != second.shape:
        raise DataError(f"rank_correlation: {first.shape} against {second.shape} values")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)

"""Everything that is measured of one trained model, or of a floor, on one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import rating_errors
from .cases import Cases
from .floors import Bias, Popularity, rating_floors
from .protocols import Protocol, place_all, random_frame, ranking_frame
from .scale import Scale
from .scorers import ModelScorer

ERRORS_FILE, RANKING_FILE = "rating_errors.parquet", "ranking.parquet"
RANDOM, POPULARITY = "random order", "popularity"
#: What `judge_floors` gives, in the order of reports.
FLOORS = (
    RANDOM,
    POPULARITY,
    "constant median",
    "global mean",
    "user + item bias",
    "ordinal user + item bias",
)


@dataclass(frozen=True)
class Judgement:
    """Tables of one model on one split: `ranking_frame` and `error_frame`, None where it does not give these."""

    ranking: pd.DataFrame | None
    errors: pd.DataFrame | None

    def summary(self) -> dict[str, float]:
        """Means: of errors over rows, of rankings over users with a relevant item."""
        found: dict[str, float] = {}
        if self.errors is not None:
            found |= rating_errors.summary(self.errors)
        if self.ranking is not None:
            found |= _means(self.ranking)
        return found

    def write(self, folder: Path) -> None:
        """Write the tables into a folder that is there."""
        if self.errors is not None:
            self.errors.to_parquet(folder / ERRORS_FILE, index=False)
        if self.ranking is not None:
            self.ranking.to_parquet(folder / RANKING_FILE, index=False)

    @classmethod
    def read(cls, folder: Path) -> Judgement:
        """What `write` wrote."""
        tables = [folder / name for name in (RANKING_FILE, ERRORS_FILE)]
        return cls(*(pd.read_parquet(file) if file.is_file() else None for file in tables))


def _means(ranking: pd.DataFrame) -> dict[str, float]:
    means = {name: float(ranking[name].mean()) for name in ranking.columns if "@" in name}
    counts = {
        "test_users": len(ranking),
        "users_with_one_test_item": int((ranking["n_test"] == 1).sum()),
        "users_without_relevant_item": int((ranking["n_relevant"] == 0).sum()),
    }
    return {**means, **{name: float(value) for name, value in counts.items()}}


def make_scale(splits: Sequence[Any], rating_field: str, wanted: Any, threshold: float | None) -> Scale:
    """The scale of a split's ratings.

    wanted: `[low, high]`, or None for the ratings that occur in all parts.  Raises `DataError` for one outside.
    """
    ratings = Cases.of(splits, rating_field).all_ratings
    scale = (
        Scale.observed(ratings, threshold)
        if wanted is None
        else Scale(float(wanted[0]), float(wanted[1]), threshold)
    )
    scale.check(ratings)
    return scale


def judge(
    model: Any,
    splits: Sequence[Any],
    scale: Scale,
    protocol: Protocol,
    *,
    ratings: bool,
    rating_field: str = "rating",
) -> Judgement:
    """Rankings, and errors of ratings where the model predicts any.

    model: a trained RecBole model, in evaluation mode afterwards.  splits: its data sets (training, validation or None,
    test), as in `TrainingResult.splits`.  ratings: whether `predict` gives ratings.
    """
    cases = Cases.of(splits, rating_field)
    scorer = ModelScorer(model, splits[0])
    placed = place_all(scorer.scores, cases, protocol, device=scorer.device)
    errors = None
    if ratings:
        found = rating_errors.predicted(scorer.ratings, cases.test, device=scorer.device)
        errors = rating_errors.error_frame(found, cases, scale)
    return Judgement(ranking_frame(placed, cases, scale, protocol), errors)


def judge_floors(cases: Cases, scale: Scale, protocol: Protocol) -> dict[str, Judgement]:
    """What needs no model, by the name that reports give it."""
    popular = place_all(Popularity.of(cases).scores, cases, protocol)
    found = {
        RANDOM: Judgement(random_frame(popular, cases, scale, protocol), None),
        POPULARITY: Judgement(ranking_frame(popular, cases, scale, protocol), None),
    }
    for name, floor in rating_floors(cases, scale).items():
        guesses = rating_errors.predicted(floor.ratings, cases.test)
        errors = rating_errors.error_frame(guesses, cases, scale)
        ranking = None
        if isinstance(floor, Bias):  # a constant ranks at random
            ranking = ranking_frame(place_all(floor.scores, cases, protocol), cases, scale, protocol)
        found[name] = Judgement(ranking, errors)
    return {name: found[name] for name in FLOORS}


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds; NaN for the spread of one."""
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan")

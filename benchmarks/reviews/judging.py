"""Everything that is measured of one trained model, or of a floor, on one split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from burnish.files.tables import read_parquet

from .cases import Cases
from .error_tables import error_frame, error_summary, predicted
from .floors import Bias, Popularity, rating_floors
from .generated import generates, sentence_frame, sentence_summary
from .protocols import Protocol, place_all, random_frame, ranking_frame
from .scale import Scale

ERRORS_FILE, RANKING_FILE = "rating_errors.parquet", "ranking.parquet"
SENTENCES_FILE = "sentences.parquet"
#: What to do about a damaged table.
CURE = "remove the folder that it is in, and give the same command again: the run is then judged anew"
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
    """Tables of one model on one split, None where it does not give these.

    ranking, errors, sentences: `ranking_frame`, `error_frame`, `sentence_frame`.
    """

    ranking: pd.DataFrame | None
    errors: pd.DataFrame | None
    sentences: pd.DataFrame | None = None

    def summary(self) -> dict[str, float]:
        """Means: of errors over rows, of rankings over users with a relevant item; and `TEXT_METRICS` as `text.*`."""
        means: dict[str, float] = {}
        if self.errors is not None:
            means |= error_summary(self.errors)
        if self.ranking is not None:
            means |= _ranking_means(self.ranking)
        if self.sentences is not None:
            means |= {f"text.{name}": value for name, value in sentence_summary(self.sentences).items()}
        return means

    def write(self, folder: Path) -> None:
        """Write the tables into a folder that is there."""
        if self.errors is not None:
            self.errors.to_parquet(folder / ERRORS_FILE, index=False)
        if self.ranking is not None:
            self.ranking.to_parquet(folder / RANKING_FILE, index=False)
        if self.sentences is not None:
            self.sentences.to_parquet(folder / SENTENCES_FILE, index=False)

    @classmethod
    def read(cls, folder: Path) -> Judgement:
        """What `write` wrote.  Raises `DataError` for a damaged table."""
        tables = [folder / name for name in (RANKING_FILE, ERRORS_FILE, SENTENCES_FILE)]
        return cls(*(read_parquet(file, CURE) if file.is_file() else None for file in tables))


def _ranking_means(ranking: pd.DataFrame) -> dict[str, float]:
    means = {name: float(ranking[name].mean()) for name in ranking.columns if "@" in name}
    counts = {
        "test_users": len(ranking),
        "users_with_one_test_item": int((ranking["n_test"] == 1).sum()),
        "users_without_relevant_item": int((ranking["n_relevant"] == 0).sum()),
    }
    return {**means, **{name: float(value) for name, value in counts.items()}}


def make_scale(splits: Sequence[Any], rating_field: str, limits: Any, threshold: float | None) -> Scale:
    """The scale of a split's ratings.

    limits: `[low, high]`, or None for the ratings that occur in all parts.  Raises `DataError` for one outside.
    """
    ratings = Cases.of(splits, rating_field).all_ratings
    scale = (
        Scale.observed(ratings, threshold)
        if limits is None
        else Scale(float(limits[0]), float(limits[1]), threshold)
    )
    scale.check(ratings)
    return scale


class ModelPredictor:
    """A trained RecBole model as a scorer of catalogues and a rater of pairs.

    Scores come from `full_sort_predict`, or pair by pair where a model has none, and ratings from `predict`.  The model
    sees ids, and the columns of user and item files that RecBole's own evaluation joins to them; never the rating, the
    review or the time of a test row.
    """

    def __init__(self, model: Any, dataset: Any, *, pairs_at_once: int = 1 << 17) -> None:
        """model: in evaluation mode afterwards.  dataset: any part of its data."""
        self.model = model.eval()
        self.dataset = dataset
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.pairs_at_once = pairs_at_once

    @torch.no_grad()
    def scores(self, users: Tensor) -> Tensor:
        """`[b]` users to `[b, n_items]`."""
        from recbole.data.interaction import Interaction

        query = self.dataset.join(Interaction({self.dataset.uid_field: users.cpu()})).to(self.device)
        try:
            scores = self.model.full_sort_predict(query)
        except NotImplementedError:  # RecBole's sign that a model has none
            items = torch.arange(self.dataset.item_num, device=users.device)
            pairs = self.ratings(users.repeat_interleave(len(items)), items.repeat(len(users)))
            return pairs.view(len(users), -1)
        return scores.detach().view(len(users), -1)

    @torch.no_grad()
    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """`[b]` users and items to `[b]`."""
        from recbole.data.interaction import Interaction

        parts = []
        fields = self.dataset.uid_field, self.dataset.iid_field
        for some, others in zip(
            users.split(self.pairs_at_once), items.split(self.pairs_at_once), strict=True
        ):
            pairs = Interaction(dict(zip(fields, (some.cpu(), others.cpu()), strict=True)))
            parts.append(self.model.predict(self.dataset.join(pairs).to(self.device)).detach().view(-1))
        return torch.cat(parts)


def judge(
    model: Any,
    splits: Sequence[Any],
    scale: Scale,
    protocol: Protocol,
    *,
    ratings: bool,
    rating_field: str = "rating",
) -> Judgement:
    """Rankings, errors of ratings where the model predicts any, and sentences where it writes some.

    model: a trained RecBole model, in evaluation mode afterwards.  splits: its data sets (training, validation or None,
    test), as in `TrainingResult.splits`.  ratings: whether `predict` gives ratings.
    """
    cases = Cases.of(splits, rating_field)
    predictor = ModelPredictor(model, splits[0])
    placed = place_all(predictor.scores, cases, protocol, device=predictor.device)
    errors = None
    if ratings:
        ratings_of_rows = predicted(predictor.ratings, cases.test, device=predictor.device)
        errors = error_frame(ratings_of_rows, cases, scale)
    sentences = sentence_frame(model, splits, protocol.seed) if generates(model) else None
    return Judgement(ranking_frame(placed, cases, scale, protocol), errors, sentences)


def judge_floors(cases: Cases, scale: Scale, protocol: Protocol) -> dict[str, Judgement]:
    """What needs no model, by the name that reports give it."""
    popular = place_all(Popularity.of(cases).scores, cases, protocol)
    judgements = {
        RANDOM: Judgement(random_frame(popular, cases, scale, protocol), None),
        POPULARITY: Judgement(ranking_frame(popular, cases, scale, protocol), None),
    }
    for name, floor in rating_floors(cases, scale).items():
        guesses = predicted(floor.ratings, cases.test)
        errors = error_frame(guesses, cases, scale)
        ranking = None
        if isinstance(floor, Bias):  # a constant ranks at random
            ranking = ranking_frame(place_all(floor.scores, cases, protocol), cases, scale, protocol)
        judgements[name] = Judgement(ranking, errors)
    return {name: judgements[name] for name in FLOORS}


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation over seeds; NaN for the spread of one."""
    known = np.array([value for value in values if not np.isnan(value)])
    if not len(known):
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan")

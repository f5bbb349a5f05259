"""What models of ratings share: the scale, the target, the loss, and ranking by predicted rating."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import EvaluatorType, InputType
from torch import Tensor, nn

from burnish.errors import ConfigurationError, DataError, UnsupportedError, unknown_name

from .ordinal import OrdinalError

#: More different ratings than this are put into so many equal bins where they are one-hot.
MOST_LEVELS = 50


class RatingModel(GeneralRecommender):
    """A RecBole model that is trained on ratings, by their errors or their likelihood, and ranks by what it predicts.

    A subclass gives `rate(users, items) -> [n]`, and may give `rate_all(users) -> [n, n_items]` where that is quicker.
    Where `rating_loss` is ordinal these are scores, which `OrdinalError` reads ratings from.

    scale: lowest and highest rating (option `rating_scale: [low, high]`, by default those of the training split).
    mean: the mean rating of the training split.
    Raises `DataError` for ratings outside the scale or missing, `ConfigurationError` for an impossible scale.
    """

    input_type = InputType.POINTWISE

    @classmethod
    def settle_options(cls, config: Any, given: Collection[str]) -> None:
        """The column that metrics compare with is that of the ratings; see `burnish.plugin`.

        Raises `ConfigurationError` for another column, negative samples, and ranking metrics of rated rows; warns of an
        `ordinal_rating` that nothing reads.
        """
        rating, modes = config["RATING_FIELD"], set(config["eval_args"]["mode"].values())
        if "LABEL_FIELD" not in given:
            config["LABEL_FIELD"] = rating
        if "ordinal_rating" in given and config["rating_loss"] != "ordinal":
            warnings.warn(
                f"ordinal_rating = {config['ordinal_rating']!r} has no effect, since rating_loss = "
                f"{config['rating_loss']!r} learns one number a rating; rating_loss: ordinal learns how likely each is",
                stacklevel=2,
            )
        errors = [name for name in config["metrics"] if name.lower() in ("rmse", "mae")]
        if errors and config["LABEL_FIELD"] != rating:
            raise ConfigurationError(
                f"LABEL_FIELD = {config['LABEL_FIELD']!r}, but {cls.__name__} predicts RATING_FIELD = {rating!r}: "
                f"{' and '.join(errors)} would compare two columns; leave LABEL_FIELD out"
            )
        if config["eval_type"] == EvaluatorType.RANKING and "labeled" in modes:
            raise ConfigurationError(
                f"metrics = {config['metrics']}: these rank items, but eval_args.mode = labeled tests rated rows; "
                f"rank all items with eval_args: {{mode: full}}, or measure errors with metrics: [RMSE, MAE]"
            )
        if config["eval_type"] == EvaluatorType.VALUE and modes != {"labeled"}:
            raise ConfigurationError(
                f"eval_args.mode = {', '.join(sorted(modes))} with metrics = {config['metrics']}: sampled items have "
                f"no rating; test rated rows with eval_args: {{mode: labeled}}"
            )
        if config["train_neg_sample_args"]["distribution"] != "none":
            raise ConfigurationError(
                f"train_neg_sample_args = {config['train_neg_sample_args']!r}: {cls.__name__} learns from the "
                f"ratings that there are, and RecBole would write 0 and 1 over them; leave this option out"
            )

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.RATING = config["RATING_FIELD"]
        ratings = training_ratings(config, dataset)
        self.scale = read_scale(config["rating_scale"], ratings, dataset, self.RATING)
        self.mean = float(ratings.mean())
        self.rating_error = rating_error(config, ratings, self.scale)

    # ------------------------------------------------------------------ to be given

    def rate(self, users: Tensor, items: Tensor) -> Tensor:
        """Predicted ratings of pairs, `[n]`, not clipped to the scale."""
        raise UnsupportedError(f"{type(self).__name__} must define rate(users, items)")

    def rate_all(self, users: Tensor) -> Tensor:
        """Predicted ratings of all items, `[n, n_items]`, the padding item included.

        Here pair by pair, in parts of bounded size.
        """
        items = torch.arange(self.n_items, device=users.device)
        some = max(1, 65536 // self.n_items)
        return torch.cat(
            [
                self.rate(part.repeat_interleave(self.n_items), items.repeat(len(part))).view(len(part), -1)
                for part in users.split(some)
            ]
        )

    # ------------------------------------------------------------------ RecBole's interface

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Mean error of a batch of training rows, see `rating_error`."""
        ratings = self.rate(interaction[self.USER_ID], interaction[self.ITEM_ID])
        return self.rating_error(ratings, interaction[self.RATING].float())

    def predict(self, interaction: Any) -> Tensor:
        """Predicted ratings `[n]`; nothing but users and items is read."""
        scores = self.rate(interaction[self.USER_ID], interaction[self.ITEM_ID])
        return self.rating_error.read(scores) if isinstance(self.rating_error, OrdinalError) else scores

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Predicted ratings of all items, `[n * n_items]`, see `ranking_scores`."""
        return self.ranking_scores(self.rate_all(interaction[self.USER_ID]).reshape(-1))

    def ranking_scores(self, rated: Tensor) -> Tensor:
        """What items are ranked by, from what `rate_all` gives; ordinal: means, since many items share a median."""
        return self.rating_error.read(rated, "mean") if isinstance(self.rating_error, OrdinalError) else rated


def rating_error(config: Any, ratings: Tensor, scale: tuple[float, float]) -> nn.Module:
    """What training makes small, from predictions `[n]` and ratings `[n]`: the option `rating_loss`.

    The mean squared error (for RMSE), the mean absolute error (for MAE), or `OrdinalError` of the training ratings.
    """
    name = config["rating_loss"]
    known = {"squared": nn.MSELoss, "absolute": nn.L1Loss}
    if name == "ordinal":
        return OrdinalError.of(ratings, rating_levels(ratings, scale), config["ordinal_rating"])
    if name not in known:
        raise unknown_name("rating_loss", str(name), (*known, "ordinal"))
    return known[name]()


def training_ratings(config: Any, dataset: Any) -> Tensor:
    """The ratings of a training split, `[n]` float32.

    Raises `DataError` where there is no such column or a rating is missing.
    """
    field = config["RATING_FIELD"]
    if field not in dataset.inter_feat:
        raise DataError(
            f"data set {dataset.dataset_name!r} has no column {field!r} of ratings; RATING_FIELD names it, and "
            f"load_col.inter must list it"
        )
    ratings = torch.as_tensor(np.asarray(dataset.inter_feat[field])).float()
    if not len(ratings) or not bool(torch.isfinite(ratings).all()):
        raise DataError(
            f"data set {dataset.dataset_name!r}: column {field!r} has missing or infinite ratings; remove those rows"
        )
    return ratings


def read_scale(wanted: Any, ratings: Tensor, dataset: Any, field: str) -> tuple[float, float]:
    """Lowest and highest rating.

    wanted: `[low, high]`, or None for those that occur.
    """
    low, high = float(ratings.min()), float(ratings.max())
    if wanted is None:
        return low, high
    proper = isinstance(wanted, Sequence) and not isinstance(wanted, str) and len(wanted) == 2
    if not proper or not all(isinstance(end, int | float) for end in wanted) or not wanted[0] < wanted[1]:
        raise ConfigurationError(
            f"rating_scale = {wanted!r}: give the lowest and the highest rating, as in [1, 5]"
        )
    for value in (low, high):
        if not wanted[0] <= value <= wanted[1]:
            where = int((ratings == value).nonzero()[0, 0])
            user, item = (
                str(dataset.id2token(name, int(dataset.inter_feat[name][where])))
                for name in (dataset.uid_field, dataset.iid_field)
            )
            raise DataError(
                f"data set {dataset.dataset_name!r}: user {user!r} rated item {item!r} with {field} = {value:g}, "
                f"outside rating_scale = {list(wanted)}; correct the row or widen the scale"
            )
    return float(wanted[0]), float(wanted[1])


def rating_levels(ratings: Tensor, scale: tuple[float, float]) -> Tensor:
    """Upper ends of the classes that ratings are put into, ascending; the last one takes what is above it.

    The distinct ratings where they are at most `MOST_LEVELS`, else so many equal parts of the scale.
    """
    levels = ratings.unique()
    if len(levels) <= MOST_LEVELS:
        return levels
    return torch.linspace(scale[0], scale[1], MOST_LEVELS + 1)[1:]

"""Ratings as ordered classes: a score becomes the likelihood of each rating, and from that one number is read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.errors import DataError, unknown_name

READINGS = ("mean", "median")


class OrdinalError(nn.Module):
    """Negative log-likelihood of ratings under a proportional-odds model of a score f: P(r <= v_k) = s(a (t_k - f)).

    s is the logistic function; the slope a and the thresholds t_1 < ... < t_(K-1) are learned with the model, and
    begin where a score that is the mean rating everywhere gives each rating its share of the training split.  All
    parameters are 0 there, so that weight decay pulls back to that beginning.

    levels: the different ratings v_1 < ... < v_K, `[K]`, or representatives of classes of them.
    upper: the upper end of each class, `[K]`: a rating belongs to the first class whose end is not below it.
    reading: what `read` gives by default: "mean" (least squared error) or "median" (least absolute error).

    Source: McCullagh (1980), the model; Koren and Sill (OrdRec, 2011), ratings as ordered classes of a recommender's
    score.  Ours: the beginning, and that one slope serves all users.
    """

    def __init__(self, levels: Tensor, upper: Tensor, start: Tensor, slope: float, reading: str) -> None:
        super().__init__()
        self.reading = reading
        # Of the training split, which a model is built from; a checkpoint carries what was learned.
        for name, value in (("levels", levels), ("upper", upper), ("start", start)):
            self.register_buffer(name, value.float(), persistent=False)
        self.levels: Tensor
        self.upper: Tensor
        self.start: Tensor
        self.start_slope = slope
        self.slope = nn.Parameter(torch.zeros(()))
        self.first = nn.Parameter(torch.zeros(()))
        self.gaps = nn.Parameter(torch.zeros(len(levels) - 2))

    @classmethod
    def of(cls, ratings: Tensor, upper: Tensor, reading: Any = "mean") -> OrdinalError:
        """From training ratings `[n]` and the upper ends of their classes `[K]`.

        Raises `DataError` where all ratings are of one class, `UnknownNameError` for an unknown reading.
        """
        if reading not in READINGS:
            raise unknown_name("ordinal_rating", str(reading), READINGS)
        values, upper = ratings.double(), upper.double()
        classes = torch.searchsorted(upper, values)
        counts = torch.bincount(classes, minlength=len(upper))
        upper, kept = upper[counts > 0], counts[counts > 0].double()
        if len(upper) < 2:
            raise DataError(
                f"rating_loss = ordinal: all ratings of the training split are {float(values[0]):g}; "
                f"there is nothing to order"
            )
        classes = torch.searchsorted(upper, values)
        levels = torch.zeros_like(upper).index_add(0, classes, values) / kept
        # As wide as a logistic distribution with the spread of the ratings.
        slope = math.pi / math.sqrt(3) / float(values.std(correction=0))
        start = values.mean() + (kept.cumsum(0) / kept.sum())[:-1].logit() / slope
        return cls(levels, upper, start, slope, str(reading))

    def thresholds(self) -> Tensor:
        """t_1 to t_(K-1), ascending, `[K - 1]`."""
        apart = self.start.diff() * self.gaps.exp()
        return torch.cat([(self.start[0] + self.first).view(1), apart]).cumsum(0)

    def _odds(self, scores: Tensor) -> Tensor:
        """a (t_k - f), `[..., K - 1]`."""
        return self.start_slope * self.slope.exp() * (self.thresholds() - scores.unsqueeze(-1))

    def forward(self, scores: Tensor, ratings: Tensor) -> Tensor:
        """Mean of -log P(rating) over scores `[n]` and ratings `[n]`."""
        ends = ratings.contiguous().to(self.upper.dtype)
        classes = torch.searchsorted(self.upper, ends).clamp(max=len(self.upper) - 1)
        odds = self._odds(scores)
        # s(high) - s(low) = s(high) s(-low) (1 - exp(low - high)): nothing cancels, and the last factor is no score's.
        zero = torch.zeros_like(odds[..., :1])
        below = torch.cat([zero, functional.logsigmoid(-odds)], dim=-1)
        above = torch.cat([functional.logsigmoid(odds), zero], dim=-1)
        wide = self.start_slope * self.slope.exp() * self.thresholds().diff()
        inner = torch.log(-torch.expm1(-wide))
        between = torch.cat([inner.new_zeros(1), inner, inner.new_zeros(1)])
        chances = (below + above).gather(-1, classes.unsqueeze(-1)).squeeze(-1) + between[classes]
        return -chances.mean()

    def chances(self, scores: Tensor) -> Tensor:
        """How likely each class is, `[..., K]`, from scores `[...]`."""
        below = torch.sigmoid(self._odds(scores))
        ends = torch.cat([torch.zeros_like(below[..., :1]), below, torch.ones_like(below[..., :1])], dim=-1)
        return ends.diff(dim=-1)

    def read(self, scores: Tensor, reading: str | None = None) -> Tensor:
        """One rating a score, `[...]`: the mean or the median (the lowest rating that half are not above)."""
        slope, thresholds = self.start_slope * self.slope.exp(), self.thresholds()
        ratings = self.levels[-1].to(scores.dtype).expand_as(scores)
        # Class by class: all users and items with all classes would be many times the memory.
        for step, threshold in zip(self.levels.diff(), thresholds, strict=True):
            above = scores - threshold
            share = torch.sigmoid(-slope * above)
            if (reading or self.reading) == "median":
                share = (above <= 0).to(scores.dtype)
            ratings = ratings - step * share
        return ratings

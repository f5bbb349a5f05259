"""A scale of ratings: clipping, grades on 0 to 5, and what counts as relevant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError, DataError

FloatArray = NDArray[np.float64]

#: The top that ratings of any scale are brought to before 2^r - 1 makes gains of them.
_TOP = 5.0
#: Four of five.
_RELEVANT = 0.8


@dataclass(frozen=True)
class Scale:
    """Lowest and highest rating, and from which rating on an item is relevant.

    threshold: by default four fifths of the highest rating, 4 on a scale up to 5; where ratings below 0 occur, four
        fifths of the way up.
    Raises `ConfigurationError` for a scale that is none.
    """

    low: float
    high: float
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ConfigurationError(
                f"rating scale {self.low} to {self.high}: give the lowest and the highest rating, as in [1, 5]"
            )

    @classmethod
    def observed(cls, ratings: FloatArray, threshold: float | None = None) -> Scale:
        """From the lowest to the highest rating that occurs in `[n]` ratings."""
        if not len(ratings):
            raise DataError("there are no ratings to take a scale from")
        return cls(float(np.min(ratings)), float(np.max(ratings)), threshold)

    def check(self, ratings: FloatArray) -> None:
        """Raise `DataError` for the first of `[n]` ratings that lies outside."""
        outside = (ratings < self.low) | (ratings > self.high)
        if outside.any():
            raise DataError(
                f"rating {ratings[outside][0]:g} lies outside the scale {self.low:g} to {self.high:g} "
                f"({int(outside.sum())} of {len(ratings)} do); widen rating_scale or correct the rows"
            )

    @property
    def _zero(self) -> float:
        return min(0.0, self.low)

    @property
    def relevant_from(self) -> float:
        """The lowest rating of a relevant item."""
        if self.threshold is not None:
            return self.threshold
        return self._zero + _RELEVANT * (self.high - self._zero)

    def clip(self, ratings: FloatArray) -> FloatArray:
        """The ratings, brought to the nearer end of the scale where they lie outside."""
        return np.clip(np.asarray(ratings, dtype=np.float64), self.low, self.high)

    def gains(self, ratings: FloatArray) -> FloatArray:
        """2^r - 1 with r stretched to a top of 5: on a scale up to 5 the rating itself.

        Stretched, because on a scale up to 100 the highest rating alone would count.
        """
        above = np.asarray(ratings, dtype=np.float64) - self._zero
        span = self.high - self._zero
        grades = above if span in (0.0, _TOP) else above * _TOP / span
        return np.exp2(grades) - 1

    def relevant(self, ratings: FloatArray) -> NDArray[np.bool_]:
        """Which items of these ratings are relevant."""
        # 0.8 * 5 is 4 exactly in binary64, 0.8 * 4.5 a little above 3.6.
        return np.asarray(ratings, dtype=np.float64) >= self.relevant_from - 1e-9

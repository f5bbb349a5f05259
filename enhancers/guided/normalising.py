"""Scores on one axis: standardised over items, and users on the items' axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burnish.errors import DataError

FloatArray = NDArray[np.float64]
#: A spread below this is none.
FLAT = 1e-9


@dataclass(frozen=True)
class Axis:
    """What standardises scores: `mean` and `spread` `[m]` over items, and the bound `clip`.

    The normaliser is ours (arXiv 2504.11658 normalises scores; how is not public).
    """

    mean: FloatArray
    spread: FloatArray
    clip: float

    @classmethod
    def of(cls, values: FloatArray, clip: float) -> Axis:
        """The axis of items' scores `[n, m]`; NaN is unknown and does not count.

        Raises `DataError` where no item has a known score.
        """
        known = ~np.isnan(values)
        if not known.any(axis=0).all():
            column = int((~known.any(axis=0)).argmax())
            raise DataError(
                f"guided: no item of the data set has a score on attribute number {column + 1}; are the ids in the "
                f"file of scores those of the data set?"
            )
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # whoever reads scores asks whether they are finite
            mean = np.nanmean(values, axis=0)
            spread = np.nanstd(values, axis=0)
        return cls(mean, spread, clip)

    def standardise(self, values: FloatArray) -> FloatArray:
        """Z-scores `[n, m]` within ±clip; 0 for unknown scores and for an attribute that is the same for all items."""
        flat = self.spread < FLAT
        with np.errstate(over="ignore"):  # what overflows is beyond the clip, too
            z = (values - self.mean) / np.where(flat, 1.0, self.spread)
        z[:, flat] = 0.0
        return np.clip(np.nan_to_num(z, nan=0.0), -self.clip, self.clip)

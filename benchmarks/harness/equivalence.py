"""Differences that are too small to matter: equivalence, and "no worse than by x"."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from burnish.errors import ConfigurationError

from .crossed import Spread


@dataclass(frozen=True)
class Smallest:
    """The smallest difference that matters: in the metric's unit, or as a share of the baseline's mean."""

    value: float
    relative: bool = False

    @classmethod
    def of(cls, given: float | str | None) -> Smallest | None:
        """From 0.002, "0.002" or "1%".  Raises `ConfigurationError` for anything that is no number above 0."""
        if given is None:
            return None
        text = str(given).strip()
        try:
            value = float(text.removesuffix("%"))
        except ValueError:
            value = math.nan
        if isinstance(given, bool) or not (math.isfinite(value) and value > 0):
            raise ConfigurationError(
                f"smallest_difference: {given!r}: give a number above 0, such as 0.002 (in the metric's unit) or 1% "
                f"(of the baseline's mean)"
            )
        return cls(value / 100, True) if text.endswith("%") else cls(value)

    def beside(self, baseline_mean: float) -> float:
        """In the metric's unit.  A share is of the baseline's mean as measured, which is taken as known."""
        return self.value * abs(baseline_mean) if self.relative else self.value

    def __str__(self) -> str:
        return f"{100 * self.value:g}% of the baseline's mean" if self.relative else f"{self.value:g}"


def noted_smallest(note: Mapping[str, Any]) -> Smallest | None:
    """The one that the plan of a comparison says; None where it says none, or what stands there is damaged."""
    try:
        return Smallest.of(note.get("smallest_difference"))
    except ConfigurationError:
        return None


def smallest_remarks(notes: Iterable[Mapping[str, Any]], given: float | str | None) -> list[str]:
    """A sentence on where the smallest difference is from, where plans say one.  given: to the report itself."""
    said = list(dict.fromkeys(str(one) for note in notes if (one := noted_smallest(note)) is not None))
    if not said:
        return []
    if given is None:
        return [f"The smallest difference that matters is the plan's: {', '.join(said)}."]
    return [
        f"The plan's smallest difference, {', '.join(said)}, is not used: {Smallest.of(given)} was asked for."
    ]


@dataclass(frozen=True)
class Margins:
    """p of two questions; each is one-sided, so that they fit the 90% interval.

    no_worse: that the arm is not worse by `smallest` or more.  equivalent: that it is neither worse nor better by as
    much: the larger p of the two one-sided tests (Schuirmann 1987).
    """

    smallest: float
    no_worse: float
    equivalent: float

    @classmethod
    def of(cls, difference: float, spread: Spread, smallest: float, sign: int) -> Margins:
        """sign: 1 where larger values are better, -1 where smaller ones are."""
        gain = sign * difference
        no_worse, no_better = spread.above(gain + smallest), spread.above(smallest - gain)
        return cls(smallest, no_worse, max(no_worse, no_better))

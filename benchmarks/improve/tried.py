"""What a search is made of: trainings that are asked for, what they came to, the clock, and words for all of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from burnish.benchmarks.harness.specs import RunSpec
from burnish.training.result import Epoch


@dataclass(frozen=True)
class Tried:
    """One setting of a way, trained.

    value: on validation, larger is better; None where it failed.  epochs: at most so many were allowed.
    seconds: of training, with what was trained first for it.  ended: whether it stopped by itself before the last of
    these epochs, so that more would change nothing.  rank: as of the `Job`.
    """

    family: str
    settings: Mapping[str, Any]
    value: float | None
    epochs: int
    seconds: float
    error: str | None = None
    refused: bool = False
    ended: bool = False
    rank: tuple[int, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Job:
    """A training that is asked for.

    spec: without the settings.  to: the results that its own is put among.  rank: its place there, by what was asked
    for: whoever ends first, the order is the same, and so is what is taken of equals.
    """

    spec: RunSpec
    family: str
    settings: Mapping[str, Any]
    epochs: int
    to: list[Tried]
    rank: tuple[int, ...] = ()

    @property
    def shown(self) -> str:
        """The way with its settings."""
        return named(self.family, self.settings)


@dataclass(frozen=True)
class News:
    """Something that happened.  kind: what; message: one line for a person; spent: seconds of the budget so far."""

    kind: str
    message: str
    spent: float
    epoch: Epoch | None = None


@dataclass
class Clock:
    """Seconds of the budget that are spent, over all calls that worked at it."""

    budget: float
    spent: float = 0.0
    _since: float = field(default_factory=lambda: time.perf_counter())

    def now(self) -> float:
        """Seconds spent up to now."""
        moment = time.perf_counter()
        self.spent += moment - self._since
        self._since = moment
        return self.spent

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; below 0 where it is overdrawn."""
        return self.budget - self.now()


def best(tries: Iterable[Tried]) -> Tried | None:
    """The one with the largest value; of equal ones that with more epochs, then the first."""
    found = [one for one in tries if one.value is not None]
    return max(found, key=lambda one: (one.value or 0.0, one.epochs), default=None)


def named(way: str, settings: Mapping[str, Any]) -> str:
    """`softmax (temperature 0.2)`: a way with its settings, where it has any."""
    return f"{way} ({in_words(settings)})" if settings else way


def in_words(settings: Mapping[str, Any]) -> str:
    """`temperature 0.2, learning_rate 0.005`: settings without the names of enhancers."""
    return ", ".join(_one(name, value) for name, value in settings.items())


def _one(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inner = [
            each
            for one in value.values()
            for each in (one if isinstance(one, Mapping) else {"": one}).items()
        ]
        inside = dict(inner) if any(key for key, _ in inner) else dict(value)
        return in_words(inside)
    return (
        f"{name.rpartition('.')[2]} {value:g}"
        if isinstance(value, float)
        else f"{name.rpartition('.')[2]} {value}"
    )

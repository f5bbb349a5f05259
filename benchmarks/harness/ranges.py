"""What is tried for an option: a list of values, a range, or either of them only where another option has a value.

In a plan and in JSON a space maps options to

- a list: `[1, 2, 3]`;
- a range: `{low: 0.0001, high: 0.01, log: true}`, of whole numbers where both ends are written as such
  (`{low: 1, high: 4}`) or with `integer: true`;
- either of them under a condition: `{values: [1, 2], when: {optimizer: sgd}}`, `{low: ..., high: ..., when: ...}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from burnish.errors import nearest

#: Options by name, each with what is tried for it, as above.
Space = dict[str, list[Any] | dict[str, Any]]

#: A chosen value in this outermost part of a range, at either end, is at its edge: one in ten lies there by chance.
EDGE = 0.05
#: A space with conditions or whole numbers of no more points than these is gone through point by point.
MOST_POINTS = 10_000
_KEYS = ("low", "high", "log", "integer", "values", "when")


@dataclass(frozen=True)
class Tried:
    """What is tried for one option.  values: listed ones; None for a range.  when: values of others that it needs."""

    values: tuple[Any, ...] | None = None
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Any) -> Tried:
        """From what stands in a plan.  Raises `ValueError` for what cannot be tried, with the cure."""
        if isinstance(given, list | tuple):
            if not given:
                raise ValueError("no values to try")
            return cls(tuple(given))
        if not isinstance(given, Mapping):
            raise ValueError(f"give a list of values, or a range {{low: ..., high: ...}}, not {given!r}")
        for key in given:
            if key not in _KEYS:
                close = nearest(str(key), _KEYS)
                hint = f" Did you mean {close!r}?" if close else ""
                raise ValueError(f"unknown key {key!r}; known: {', '.join(_KEYS)}.{hint}")
        when = _conditions(given.get("when"))
        if "values" in given:
            beside = [key for key in ("low", "high", "log", "integer") if key in given]
            if beside:
                raise ValueError(f"values and {', '.join(beside)} say different things; give one of them")
            return cls(cls.of(_listed(given["values"])).values, when=when)
        return cls._range(given, when)

    @classmethod
    def _range(cls, given: Mapping[str, Any], when: dict[str, tuple[Any, ...]]) -> Tried:
        for key in ("low", "high"):
            if key not in given:
                raise ValueError(f"{key!r} is missing; a range needs low and high")
            if not _is_number(given[key]):
                raise ValueError(f"{key} = {given[key]!r}: give a number")
        for key in ("log", "integer"):
            if not isinstance(given.get(key, False), bool):
                raise ValueError(f"{key} = {given[key]!r}: say true or false")
        low, high, log = given["low"], given["high"], given.get("log", False)
        as_written = isinstance(low, int) and isinstance(high, int)
        whole = given.get("integer", as_written)
        if low >= high:
            raise ValueError(
                f"low = {low!r} is not below high = {high!r}; turn them round, or give a list for one value"
            )
        if log and low <= 0:
            raise ValueError(
                f"log = True needs low > 0, and low = {low!r}; give the smallest value above 0 that makes sense, or "
                f"leave log out"
            )
        if whole and (low != int(low) or high != int(high)):
            raise ValueError(
                f"integer = True, but low = {low!r} and high = {high!r} are not both whole numbers"
            )
        if whole and "integer" not in given and (low, high) == (0, 1):
            raise ValueError(
                "low = 0 and high = 1 are whole numbers, with none between them; write 0.0 and 1.0 for a range, or the "
                "list [0, 1]"
            )
        ends = (int(low), int(high)) if whole else (float(low), float(high))
        return cls(None, ends[0], ends[1], log, whole, when)

    @property
    def size(self) -> float:
        """How many values there are."""
        if self.values is not None:
            return len(self.values)
        return self.high - self.low + 1 if self.whole else math.inf

    @property
    def some(self) -> list[Any]:
        """All listed values; the ends of a range."""
        return [self.low, self.high] if self.values is None else list(self.values)

    def active(self, point: Mapping[str, Any]) -> bool:
        """Whether the option exists beside these settings."""
        return all(
            option in point and any(point[option] == value for value in values)
            for option, values in self.when.items()
        )

    def is_edge(self, value: Any) -> bool:
        """Whether a chosen value lies at an end: of three or more numbers, or within `EDGE` of a range's; 0 is none."""
        if not _is_number(value) or value == 0:
            return False
        if self.values is not None or self.whole:
            listed = {self.low, self.high} if self.values is None else {*filter(_is_number, self.values)}
            count = self.size if self.values is None else len(listed)
            return bool(count >= 3 and value in (min(listed), max(listed)))
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        part = (at - low) / (high - low)
        return part > 1 - EDGE or (part < EDGE and self.low != 0)

    def __str__(self) -> str:
        if self.values is None:
            kind = ", ".join([*(["whole"] if self.whole else []), *(["log"] if self.log else [])])
            text = f"{self.low:g} to {self.high:g}{f' ({kind})' if kind else ''}"
        elif len(self.values) > 5 and all(map(_is_number, self.values)):
            text = f"{min(self.values):g} to {max(self.values):g} ({len(self.values)} values)"
        else:
            text = ", ".join(str(value) for value in self.values)
            text = f"({text})" if len(self.values) > 1 else text
        conditions = [f"{option} = {' or '.join(map(str, values))}" for option, values in self.when.items()]
        return f"{text} where {' and '.join(conditions)}" if conditions else text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _conditions(given: Any) -> dict[str, tuple[Any, ...]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not given:
        raise ValueError(
            f"when = {given!r}: give options with the values that this one needs, as {{optimizer: sgd}}"
        )
    return {str(option): tuple(_listed(values)) for option, values in given.items()}


def tried(space: Mapping[str, Any]) -> dict[str, Tried]:
    """A space, read; options that others depend on come first, those `in_circle` last."""
    known = {option: Tried.of(given) for option, given in space.items()}
    ordered: dict[str, Tried] = {}
    ready = [*known]
    while ready:
        ready = [
            option
            for option, one in known.items()
            if option not in ordered and all(other in ordered or other not in known for other in one.when)
        ]
        ordered |= {option: known[option] for option in ready}
    return ordered | known


def in_circle(space: Mapping[str, Any]) -> list[str]:
    """Options whose conditions depend on themselves, so that they never exist."""
    point: dict[str, Any] = {}
    for option, one in tried(space).items():
        if all(other in point or other not in space for other in one.when):
            point[option] = None
    return sorted(set(space) - set(point))


def possible(space: Space) -> Space:
    """A space without options that depend on one that is not in it, as one of an enhancer that an arm lacks."""
    kept = space
    while True:
        lacking = [
            option
            for option, given in kept.items()
            if isinstance(given, Mapping) and any(other not in kept for other in Tried.of(given).when)
        ]
        if not lacking:
            return kept
        kept = {option: given for option, given in kept.items() if option not in lacking}


def is_grid(space: Mapping[str, Any]) -> bool:
    """Whether a space holds lists alone, without conditions."""
    return all(isinstance(given, list) for given in space.values())


def as_lists(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The listed values of a space, and the ends of its ranges."""
    return {
        option: given if isinstance(given, list) else Tried.of(given).some for option, given in space.items()
    }


def size(space: Mapping[str, Any]) -> float:
    """At most so many points."""
    return math.prod(
        len(given) if isinstance(given, list) else Tried.of(given).size for given in space.values()
    )


def exists(space: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """A point without the options that do not exist beside the others."""
    kept: dict[str, Any] = {}
    for option, one in tried(space).items():
        if option in point and one.active(kept):
            kept[option] = point[option]
    return {option: value for option, value in point.items() if option in kept}


def all_points(space: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All points of a space without continuous ranges, each once."""
    known = tried(space)
    values = [
        list(range(int(one.low), int(one.high) + 1)) if one.values is None else list(one.values)
        for one in known.values()
    ]
    found: dict[str, dict[str, Any]] = {}
    for chosen in product(*values):
        point: dict[str, Any] = {}
        for (option, one), value in zip(known.items(), chosen, strict=True):
            if one.active(point):
                point[option] = value
        found.setdefault(repr(point), {option: point[option] for option in space if option in point})
    return list(found.values())


def at_edge(space: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """Options whose chosen value lies at the end of what was tried (`Tried.is_edge`)."""
    return [option for option, given in space.items() if Tried.of(given).is_edge(chosen.get(option))]


def in_words(space: Mapping[str, Any]) -> str:
    """A space as a sentence has it."""
    return ", ".join(f"{option} {Tried.of(given)}" for option, given in space.items())

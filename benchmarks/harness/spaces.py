"""What options a plan may give to RecBole, and what may be tried for them."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

from burnish.errors import warn
from burnish.strict import KeysError

from .ranges import Space, all_points, as_lists, exists, is_grid

Value = TypeVar("Value")

#: What a plan says elsewhere, by the option that would say it again and be overridden.
_ELSEWHERE = {
    "enhancers": "attach them in `arms`",
    "seed": "say `seeds` beside `options`",
    "dataset": "say `dataset` beside `options`",
    "model": "say it in `backbones`",
    "config_files": "write their options here",
}


#: What trials are judged on: values of these could not be chosen among.
_JUDGES = frozenset({"split", "eval_args", "data_path"})


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options that reach RecBole; `ValueError` for one that the plan itself decides, and so would not count."""
    _raise_if_any(_decided_elsewhere(options))
    return options


def _decided_elsewhere(options: Iterable[str]) -> dict[str, str]:
    return {
        name: f"option {name!r} has no effect here; {_ELSEWHERE[name]}, and leave it out"
        for name in options
        if name in _ELSEWHERE
    }


def _raise_if_any(reasons: Mapping[str, str]) -> None:
    if reasons:
        raise KeysError(reasons)


def recbole_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options that only RecBole reads; `ValueError` for others, as for `plain_options`, and for those of enhancers."""
    reasons = _decided_elsewhere(options)
    for name, value in options.items():
        enhancer, dot, option = name.partition(".")
        if dot:
            reasons[name] = (
                f"option {name!r} has no effect here, where options of RecBole's stand; say it of the enhancer, in the "
                f"arms that attach it: {{{enhancer}: {{{option}: {value!r}}}}}"
            )
    _raise_if_any(reasons)
    return options


def with_parts(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options with more of them, where `walks.hide` is a part of the mapping `walks`."""
    together: dict[str, Any] = {}
    for name, value in (*options.items(), *settings.items()):
        first, dot, part = name.partition(".")
        together[first] = {**(together.get(first) or {}), part: value} if dot else value
    return together


def those_for(enhancers: Collection[str], options: Mapping[str, Value]) -> dict[str, Value]:
    """RecBole's options, and of those of enhancers (`enhancer.option`) the attached ones'."""
    return {
        name: value
        for name, value in options.items()
        if "." not in name or name.partition(".")[0] in enhancers
    }


def checked_space(space: Space) -> Space:
    """A space, each value once; `ValueError` for an option without values, and for one that is no choice of trials.

    That is what the plan itself decides, and what trials are judged on.
    """
    empty = {option: f"no values to try for {option!r}" for option, values in space.items() if not values}
    judges = {
        option: f"option {option!r} has no place here: it decides what trials are judged on, so that their "
        f"values could not be compared; say it in the plan's `options`"
        for option in space
        if option in _JUDGES
    }
    _raise_if_any(_decided_elsewhere(space) | judges | empty)
    return {option: _once(option, values) for option, values in space.items()}


def _once(option: str, values: Any) -> Any:
    """The values of a list, each once, with a warning where one is there again.  True is no 1, and 1.0 is."""
    if not isinstance(values, list):
        return values
    distinct: list[Any] = []
    for value in values:
        if any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in distinct):
            warn(f"tune: {value!r} is there twice among the values of {option!r}, and is tried once")
        else:
            distinct.append(value)
    return distinct


def candidates(space: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """The settings to try: the full grid when it has at most `trials` points, else that many drawn from it.

    Drawn without replacement and depending on `seed` alone.  An empty space gives one candidate: no change.
    space: without continuous ranges.
    """
    if not is_grid(space):
        points = all_points(space)
        return points if len(points) <= trials else random.Random(seed).sample(points, trials)
    size = math.prod(len(values) for values in space.values())
    chosen = range(size) if size <= trials else random.Random(seed).sample(range(size), trials)
    return [_point(space, index) for index in chosen]


def some_points(space: Mapping[str, Any], trials: int, seed: int) -> list[dict[str, Any]]:
    """Points of a space to look at before anything is trained: of ranges the ends."""
    if is_grid(space):
        return candidates(space, trials, seed)
    points = [exists(space, point) for point in candidates(as_lists(space), trials, seed)]
    return [point for place, point in enumerate(points) if point not in points[:place]]


def _point(space: Mapping[str, list[Any]], index: int) -> dict[str, Any]:
    point = {}
    for option, values in space.items():
        index, place = divmod(index, len(values))
        point[option] = values[place]
    return point

"""What options a plan may give to RecBole, and what may be tried for them."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

#: Options by name, each with the values to try.
Space = dict[str, list[Any]]
Value = TypeVar("Value")

#: What a plan says elsewhere, by the option that would say it again and be overridden.
_ELSEWHERE = {
    "enhancers": "attach them in `arms`",
    "seed": "say `seeds` beside `options`",
    "dataset": "say `dataset` beside `options`",
    "model": "say it in `backbones`",
    "config_files": "write their options here",
}


def plain_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options that reach RecBole; `ValueError` for one that the plan itself decides, and so would not count."""
    for name in options:
        if name in _ELSEWHERE:
            raise ValueError(f"option {name!r} has no effect here; {_ELSEWHERE[name]}, and leave it out")
    return options


def recbole_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options that only RecBole reads; `ValueError` for others, as for `plain_options`, and for those of enhancers."""
    for name, value in plain_options(options).items():
        enhancer, dot, option = name.partition(".")
        if dot:
            raise ValueError(
                f"option {name!r} has no effect here, where options of RecBole's stand; say it of the enhancer, in the "
                f"arms that attach it: {{{enhancer}: {{{option}: {value!r}}}}}"
            )
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
    """A space as it is; `ValueError` for an option without values, and for one that the plan itself decides."""
    plain_options(space)
    for option, values in space.items():
        if not values:
            raise ValueError(f"no values to try for {option!r}")
    return space


def candidates(space: Mapping[str, list[Any]], trials: int, seed: int) -> list[dict[str, Any]]:
    """The settings to try: the full grid when it has at most `trials` points, else that many drawn from it.

    Drawn without replacement and depending on `seed` alone.  An empty space gives one candidate: no change.
    """
    size = math.prod(len(values) for values in space.values())
    chosen = range(size) if size <= trials else random.Random(seed).sample(range(size), trials)
    return [_point(space, index) for index in chosen]


def _point(space: Mapping[str, list[Any]], index: int) -> dict[str, Any]:
    point = {}
    for option, values in space.items():
        index, place = divmod(index, len(values))
        point[option] = values[place]
    return point

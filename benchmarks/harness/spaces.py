"""What options a plan may give to RecBole, and what may be tried for them."""

from __future__ import annotations

from typing import Any

#: Options by name, each with the values to try.
Space = dict[str, list[Any]]

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


def checked_space(space: Space) -> Space:
    """A space as it is; `ValueError` for an option without values, and for one that the plan itself decides."""
    plain_options(space)
    for option, values in space.items():
        if not values:
            raise ValueError(f"no values to try for {option!r}")
    return space

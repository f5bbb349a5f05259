"""Settings of a floor that an arm of the plan stands for: they are the arm's, or they would have no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from burnish.errors import BurnishError, ConfigurationError

from .floors import Floor
from .ranges import size
from .spaces import those_for


def check_standing_in(plan: Any, name: str, floor: Floor, label: str) -> None:
    """Raise for settings of a floor that an arm stands for, unless the arm does the same: they would have no effect.

    What is run and tried counts, not how it is written: neither the order of values, nor a limit of trials that is
    none.

    plan: a `Plan`.  name: the floor's.  label: the arm's.
    """
    arm, tune = plan.arms[label], plan.tune
    space = {} if tune is None else {**those_for(arm.enhancers, tune.space), **tune.arms.get(label, {})}

    def has(option: str, value: Any) -> bool:
        """Whether each run of the arm has this value."""
        same = _sameness(option, arm.enhancers.get(name, {}))
        if option in space:
            given = space[option]
            return isinstance(given, list) and all(same(one, value) for one in given)
        if "." in option:
            field = option.partition(".")[2]
            return _as_understood(name, arm.enhancers[name], field) == _as_understood(
                name, {**arm.enhancers[name], field: value}, field
            )
        given = ({**plan.options, **entry.options, **arm.options} for entry in plan.backbones)
        return all(option in options and same(options[option], value) for options in given)

    def tries(option: str, values: Any) -> bool:
        """Whether the arm tries these values and no others."""
        if option not in space:
            return isinstance(values, list) and all(has(option, value) for value in values)
        if not (isinstance(values, list) and isinstance(space[option], list)):
            return bool(space[option] == values)
        same = _sameness(option, arm.enhancers.get(name, {}))
        return _all_among(values, space[option], same) and _all_among(space[option], values, same)

    idle = {
        **{f"options.{option}": f"arms.{label}" for option, v in floor.options.items() if not has(option, v)},
        **{
            f"tune.{option}": f"tune.arms.{label}"
            for option, values in (floor.tune or {}).items()
            if not tries(option, values)
        },
    }
    points = size(space)
    if floor.trials is not None and (tune is None or min(points, floor.trials) != min(points, tune.trials)):
        idle["trials"] = "tune.trials"
    for setting, place in idle.items():
        raise ConfigurationError(
            f"floors.{name}.{setting} has no effect: the arm {label!r} attaches {name} alone and stands as this floor, "
            f"without this setting; say it in {place}, or leave the arm out, as the floor is compared like an arm"
        )


def _all_among(some: Iterable[Any], others: list[Any], same: Callable[[Any, Any], bool]) -> bool:
    return all(any(same(one, other) for other in others) for one in some)


def _sameness(option: str, beside: Mapping[str, Any]) -> Callable[[Any, Any], bool]:
    """Whether two values of an option are one to who reads it.  beside: the enhancer's other options."""
    enhancer, dot, field = option.partition(".")

    def read(value: Any) -> Any:
        from burnish.training.session import literal

        if not dot:
            return literal(value) if isinstance(value, str) else value
        try:
            return _as_understood(enhancer, {**beside, field: value}, field)
        except BurnishError:  # it goes with other values that are tried
            return value

    return lambda one, other: bool(read(one) == read(other))


def _as_understood(name: str, options: Mapping[str, Any], field: str) -> Any:
    """An option of an enhancer, as the enhancer understands it."""
    from burnish.enhancers.registry import find_enhancer

    return getattr(find_enhancer(name).configure(dict(options)), field)

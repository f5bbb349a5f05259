"""Whether every value that a plan lets try can be used, as far as that is known before data are read."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from burnish.errors import BurnishError, UnknownNameError

from .problems import Problems
from .spaces import candidates

#: Options with the values to try.
Listed = Mapping[str, list[Any]]
#: So many points of one enhancer's options are tried beside a value that is refused by itself.
MOST_POINTS = 1000


def check_tried(
    spaces: Mapping[str, Listed],
    enhancers: Mapping[str, Mapping[str, Any]],
    models: Iterable[type],
    problems: Problems,
) -> None:
    """Note the values that no trial could use.

    That of an enhancer's option is refused where the enhancer cannot be made with it, whatever else is tried of its
    options; that of RecBole's where it is refused for each of the models.

    spaces: by where they stand, as in "tune.arms.mine"; later ones replace options of earlier ones, and those of
    `...options` are fixed.  enhancers: what is fixed, by enhancer.  models: backbones.
    Noted is the error of the enhancer or of the option, with the place before and the cure after it.
    """
    asked = list(models)
    places = {option: place for place, space in spaces.items() for option in space}
    space = {option: spaces[place][option] for option, place in places.items()}
    for option, values in space.items():
        enhancer, dot, field = option.partition(".")
        for value in values:
            if dot:
                error = _of_enhancer(enhancer, field, value, space, enhancers.get(enhancer, {}))
            else:
                error = _of_recbole(option, value, asked)
            if error is not None:
                named = isinstance(error, UnknownNameError)
                fixed = places[option].endswith("options")
                cure = "" if named or fixed else f" ({option!r} is to try it; leave it out)"
                problems.note(type(error)(f"{places[option]}: {error}{cure}"))


def check_fixed(place: str, options: Mapping[str, Any], models: Iterable[type]) -> None:
    """Raise for the first of RecBole's options whose value no model could be run with.

    place: where they stand, as in "options".
    """
    asked = list(models)
    for option, value in options.items():
        error = _of_recbole(option, value, asked) if "." not in option else None
        if error is not None:
            raise type(error)(f"{place}: {error}") from error


def check_points(
    place: str,
    points: Iterable[Mapping[str, Any]],
    enhancers: Mapping[str, Mapping[str, Any]],
    models: Iterable[type],
) -> None:
    """Raise for the first point that no run could have.

    That is where an enhancer takes its values singly and not together, or where what an enhancer begins from or learns
    from cannot be trained or read for any of the models.

    points: the settings that runs will have, `{}` for what is fixed alone; place, enhancers, models as for
    `check_tried`.
    """
    known: set[str] = set()
    asked = list(models)
    for point in points:
        for name, fixed in enhancers.items():
            tried = {
                option.partition(".")[2]: v for option, v in point.items() if option.startswith(f"{name}.")
            }
            if not tried or repr((name, tried)) in known:
                continue
            known.add(repr((name, tried)))
            error = _refusal(name, {**fixed, **tried})
            if error is not None:
                together = ", ".join(f"{name}.{option} = {value!r}" for option, value in tried.items())
                raise type(error)(
                    f"{place}: {error} (a trial is to have {together}; leave one of the values out)"
                ) from error
        block = with_point(enhancers, point)
        if repr(block) in known:
            continue
        known.add(repr(block))
        error = _first_refusal(block, asked)
        if error is not None:
            own = ", ".join(f"{option} = {value!r}" for option, value in point.items() if "." in option)
            cure = f" (a trial is to have {own})" if own else ""
            raise type(error)(f"{place}: {error}{cure}") from error


def with_point(
    enhancers: Mapping[str, Mapping[str, Any]], point: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """A block of enhancers with those options of a point that are theirs."""
    block = {name: dict(options) for name, options in enhancers.items()}
    for option, value in point.items():
        name, _, field = option.partition(".")
        if field and name in block:
            block[name][field] = value
    return block


def _first_refusal(block: Mapping[str, Mapping[str, Any]], models: Iterable[type]) -> BurnishError | None:
    """Why what enhancers begin from or learn from cannot be, for any of the models; None where it can for one."""
    from burnish.enhancers.registry import make_enhancers
    from burnish.training.asked_first import check_asked

    first: BurnishError | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        made = make_enhancers(block)
        for model in models:
            try:
                check_asked(made, model)
            except BurnishError as error:
                first = first or error
            else:
                return None
    return first


def _of_enhancer(
    name: str, field: str, value: Any, space: Listed, fixed: Mapping[str, Any]
) -> BurnishError | None:
    """Why an enhancer cannot be made with a value; None where it can, if only beside another value that is tried."""
    beside = {
        option.partition(".")[2]: values
        for option, values in space.items()
        if option.startswith(f"{name}.") and option != f"{name}.{field}"
    }
    first = _refusal(name, {**fixed, field: value})
    if first is None or not beside:
        return first
    for point in candidates(beside, MOST_POINTS, seed=0):
        if _refusal(name, {**fixed, **point, field: value}) is None:
            return None
    return first


def _refusal(name: str, options: dict[str, Any]) -> BurnishError | None:
    from burnish.enhancers.registry import find_enhancer

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the runs say it
            find_enhancer(name).configure(options)
    except BurnishError as error:
        return error
    return None


def _of_recbole(option: str, value: Any, models: Iterable[type]) -> BurnishError | None:
    """Why no model takes a value; None where one does."""
    from burnish.training.values import check_value

    first: BurnishError | None = None
    for model in models:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check_value(option, value, model)
        except BurnishError as error:
            first = first or error
        else:
            return None
    return first

"""What a plan may say of searches: shapes of spaces, names of methods, and whether the parts of it go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from burnish.errors import BurnishError, ConfigurationError, NotInstalledError, unknown_name
from burnish.strict import KeysError, carried

from .problems import Problems
from .ranges import MOST_POINTS, Tried, in_circle, in_words, is_grid, size


def one_of(place: str, names: Sequence[str]) -> Callable[[str], str]:
    """A validator: the value as it is; `UnknownNameError`, with the nearest name, for what is none of these."""

    def check(value: str) -> str:
        with carried():
            if value not in names:
                raise unknown_name(place, value, names)
        return value

    return check


def as_given(space: Any) -> Any:
    """A validator: a space as it is; `ValueError` for options of which nothing can be tried, with the cure."""
    if not isinstance(space, Mapping):
        return space
    reasons = {}
    for option, given in space.items():
        if not (isinstance(given, list) and not given):  # `checked_space` says it
            try:
                Tried.of(given)
            except ValueError as error:
                reasons[str(option)] = f"{option}: {error}"
    if reasons:
        raise KeysError(reasons)
    return space


def note_spaces(plan: Any, problems: Problems) -> None:
    """Note spaces that the plan's way of choosing cannot try, and conditions on what is not tried.

    plan: a `Plan`.
    """
    tune = plan.tune
    method = "grid" if tune is None else tune.method
    if tune is not None:
        every = {**tune.space, **{name: one for space in tune.arms.values() for name, one in space.items()}}
        places = {"tune.space": (tune.space, every)}
        for label, space in tune.arms.items():
            places[f"tune.arms.{label}"] = (space, {**tune.space, **space})
        for place, (space, beside) in places.items():
            _note(place, space, beside, method, problems)
        if tune.metric is None and len(Tried.of(every.get("valid_metric", [None])).values or ()) > 1:
            problems.note(
                ConfigurationError(
                    "tune: valid_metric is to be tried, and trials are judged by it, so that their values could not be "
                    "compared; say `metric`, which judges all of them, or leave it out"
                )
            )
        _note_rules(tune, problems)
    for name, floor in plan.floors.items():
        if floor.tune:
            beside = {**({} if tune is None else tune.space), **floor.tune}
            _note(f"floors.{name}.tune", floor.tune, beside, method, problems)


def _note_rules(tune: Any, problems: Problems) -> None:
    if tune.method != "grid":
        with problems.noted():
            check_installed()
        return
    for field, value in (("pruning", tune.pruning), ("at_once", tune.at_once if tune.at_once != 1 else None)):
        if value is not None:
            problems.note(
                ConfigurationError(
                    f"tune.{field} has no effect with method: grid, whose trials are all asked for at once and trained "
                    f"to their end; say method: tpe or random, or leave it out"
                )
            )


def _note(
    place: str, space: Mapping[str, Any], beside: Mapping[str, Any], method: str, problems: Problems
) -> None:
    if is_grid(space):
        return
    for option, given in space.items():
        one = Tried.of(given)
        if method == "grid" and one.values is None and not one.whole:
            problems.note(
                ConfigurationError(
                    f"{place}: {option} = {one} is a range, of which a grid has no points; say method: tpe (or random) "
                    f"in `tune`, or give a list"
                )
            )
        for other, values in one.when.items():
            _note_condition(place, option, other, values, beside, problems)
    circle = [option for option in in_circle(beside) if option in space]
    if circle:
        problems.note(
            ConfigurationError(
                f"{place}: {', '.join(circle)} depend on each other in a circle, so that none of them is ever tried; "
                f"leave one of the conditions out"
            )
        )
    if method == "grid" and MOST_POINTS < size(space) < float("inf"):
        problems.note(
            ConfigurationError(
                f"{place}: {in_words(space)} are {size(space):,.0f} points, too many to go through; say "
                f"method: tpe (or random) in `tune`"
            )
        )


def _note_condition(
    place: str,
    option: str,
    other: str,
    values: Iterable[Any],
    beside: Mapping[str, Any],
    problems: Problems,
) -> None:
    if other not in beside:
        cure = "An option may depend on one that is tried, too."
        problems.note(unknown_name(f"{place}: {option}: when: option", other, beside, cure=cure))
        return
    parent = Tried.of(beside[other])
    if parent.values is None:
        problems.note(
            ConfigurationError(
                f"{place}: {option}: when: {other} is a range, which has no values to name; an option may depend on "
                f"one with a list"
            )
        )
        return
    for value in values:
        if value not in parent.values:
            listed = ", ".join(map(str, parent.values))
            problems.note(
                ConfigurationError(
                    f"{place}: {option}: when: {other} is never {value!r} (it is one of {listed}), so {option} would "
                    f"never be tried; give one of these"
                )
            )


def check_installed() -> None:
    """Raise `NotInstalledError` without optuna."""
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise NotInstalledError(
            "tune.method: tpe and random need optuna: pip install 'burnish[tune]'; or say method: grid, and lists"
        )


def note_unread(place: str, space: Iterable[str], models: Sequence[type], problems: Problems) -> None:
    """Note options of RecBole's that are to be tried and that none of the models reads."""
    from burnish.training.options import unknown_options

    names = [name for name in space if "." not in name]
    unread = [unknown_options(names, model) for model in models]
    for name in names:
        told = any(f"option {name!r} is read by neither" in str(error) for error in problems.errors)
        if unread and not told and all(name in found for found in unread):
            who = ", ".join(dict.fromkeys(model.__name__ for model in models))
            error: BurnishError = ConfigurationError(
                f"{place}: option {name!r} is read by neither RecBole nor {who}, so all of its trials would be the "
                f"same; leave it out"
            )
            problems.note(error)


def note_other_cases(plan: Any, label: str, arm: Any, problems: Problems) -> None:
    """Note an arm that would be tested on other cases than the rest, so that nothing could be compared with it.

    plan, arm: a `Plan`, and an `Arm` of it.
    """
    beside = [plan.options, *(one.options for one in plan.backbones)]
    for name in ("split", "eval_args"):
        value = arm.options.get(name)
        if value is None or any(options.get(name) == value for options in beside):
            continue
        if name == "eval_args" and not _other_cases(value, beside):
            continue
        problems.note(
            ConfigurationError(
                f"arm {label!r}: options: {name} = {value!r}: arms are compared on the same test cases, and this one "
                f"would have others; say it in the plan's `options`, or list the data set again in `datasets`, with "
                f"another `label`"
            )
        )


#: RecBole's, of general and of sequential models.
_EVAL_ARGS: tuple[dict[str, Any], ...] = (
    {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "full"},
    {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
)


def _other_cases(args: Any, beside: Iterable[Mapping[str, Any]]) -> bool:
    """Whether `eval_args` say something that neither the plan nor RecBole's defaults do."""
    said = [options["eval_args"] for options in beside if isinstance(options.get("eval_args"), Mapping)]
    known = [*said, *_EVAL_ARGS]
    return isinstance(args, Mapping) and any(
        all(one.get(key) != value for one in known if key in one) for key, value in args.items()
    )

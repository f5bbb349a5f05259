"""Plans from files and mappings, with all that is wrong with them in one message."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, placed, unknown_name
from burnish.files.yamls import read_yaml
from burnish.own.classes import is_place, named_by

from .floors import arm_that_is, check_floors
from .labels import FIRST_SEED, PLAIN, checked_label, distinct_seeds, listed_seeds
from .problems import Problems
from .salvage import salvaged
from .schema import Arm, BackboneEntry, Plan, Tune, check_consistent
from .spaces import Space, candidates, those_for
from .standing_in import check_standing_in
from .tried_values import check_fixed, check_points, check_tried

__all__ = [
    "FIRST_SEED",
    "PLAIN",
    "Arm",
    "BackboneEntry",
    "Plan",
    "Space",
    "Tune",
    "check_backbones",
    "check_names",
    "checked_label",
    "distinct_seeds",
    "listed_seeds",
    "load_plan",
    "make_plan",
    "plan_content",
]


def make_plan(content: Mapping[str, Any], *, origin: str = "plan") -> Plan:
    """A plan from a mapping as its YAML file holds it.

    Where something is wrong, what can be seen of the data and files is looked at, too, so that all is told at once.

    origin: what messages call the source.  Raises `UnknownNameError` for a key, backbone, arm or enhancer
    that does not exist, `ConfigurationError` for a value that cannot be used, both with the field; and, for several
    things, a `ConfigurationError` with all of them.
    """
    from burnish.enhancers.registry import looked_up_once

    problems = Problems()
    with looked_up_once():
        found = salvaged(content, problems)
        if found.plan is not None:
            check_consistent(found.plan, problems, arms=found.arms, backbones=found.backbones)
            sound = _note_all(noted_parts(found.plan, problems), problems)
            if problems.errors and found.dataset:
                from .first_look import note_runs  # reading a plan costs neither torch nor RecBole

                for part in sound:
                    note_runs(part, problems)
    problems.raise_if_any(origin)
    assert found.plan is not None
    return found.plan


def load_plan(path: Path | str, *, runs: Path | str | None = None) -> Plan:
    """The plan in a YAML file.  runs: the folder of the runs, instead of the plan's own.

    Classes of one's own that it names are imported, and this is told.  Raises as `make_plan` does, and
    `ConfigurationError` for a file that cannot be read.
    """
    with named_by(path):
        return make_plan(plan_content(path, runs), origin=str(path))


def plan_content(path: Path | str, runs: Path | str | None) -> dict[str, Any]:
    """What a plan's YAML file holds.  runs: the folder of the runs, instead of the plan's own."""
    return read_yaml(path) | ({} if runs is None else {"runs": str(runs)})


def check_names(plan: Plan) -> None:
    """Raise now for what would fail every run later: names of backbones, enhancers and their options; values to try.

    All that is wrong is told at once (`Problems`).
    """
    from burnish.enhancers.registry import looked_up_once

    problems = Problems()
    with looked_up_once():
        _note_all(noted_parts(plan, problems), problems)
    problems.raise_if_any()


def noted_parts(plan: Plan, problems: Problems) -> list[Plan]:
    """A plan of each data set that can be put together; what is wrong with others is noted."""
    if not plan.datasets:
        return [plan]
    parts = []
    for one in plan.datasets:
        with problems.noted():
            parts += plan.model_copy(update={"datasets": [one]}).parts()
    return parts


def _note_all(parts: Sequence[Plan], problems: Problems) -> list[Plan]:
    """`_note_names` of each; what is wrong on some data sets only is told with theirs."""
    if len(parts) == 1:
        return [_note_names(parts[0], problems)]
    sound, found = [], []
    for part in parts:
        own = Problems({text: [*places] for text, places in problems.places.items()}, [*problems.errors])
        sound.append(_note_names(part, own))
        found.append({str(error): error for error in own.errors[len(problems.errors) :]})
    for part, errors in zip(parts, found, strict=True):
        for text, error in errors.items():
            common = all(text in others for others in found)
            problems.note(error, "" if common else f"data set {part.home!r}")
    return sound


def _note_names(plan: Plan, problems: Problems) -> Plan:
    """Note what is wrong by `check_names` in a plan of one data set; gives it without that, to look at its runs."""
    models = _models(plan, problems)
    every = list(models.values())
    sound = {label: arm for label, arm in plan.arms.items() if _makes(label, arm, problems)}
    options = _sound_options("options", plan.options, every, problems)
    backbones = [
        entry.model_copy(
            update={
                "options": _sound_options(
                    f"backbone {entry.label!r}", entry.options, [models[entry.label]], problems
                )
            }
        )
        for entry in plan.backbones
        if entry.label in models
    ]
    if plan.tune is not None:
        _sound_options("tune.options", plan.tune.options, every, problems)
    arms: dict[str, Arm] = {}
    for label, arm in plan.arms.items():
        trained = [models[one.label] for one in backbones if label in plan.arms_of(one)]
        own = _sound_options(f"arm {label!r}", arm.options, trained or every, problems)
        if label not in sound:
            continue
        known = len(problems.errors)
        if plan.tune is None:
            with problems.noted():
                check_points(f"arm {label!r}", [{}], arm.enhancers, trained)
        else:
            _note_tried_of(plan.tune, label, arm, trained, problems)
        if len(problems.errors) == known or plan.tune is not None:
            arms[label] = arm.model_copy(update={"options": own})
    check_floors(plan.floors, every, problems)
    for name, floor in plan.floors.items():
        standing_in = arm_that_is(name, plan.arms)
        if standing_in is not None and standing_in in sound:
            with problems.noted():
                check_standing_in(plan, name, floor, standing_in)
    if plan.tune is not None and plan.tune.metric is not None:
        _note_metric(plan, plan.tune.metric, models, problems)
    tune = plan.tune
    if tune is not None and problems.errors:
        # What a trial would be is not known where values to try may be wrong; nor are runs that lack what is tried.
        arms = {label: arm for label, arm in arms.items() if not _tried_of(tune, label, arm)}
        tune = None
    changes = {"options": options, "backbones": backbones, "arms": arms, "tune": tune}
    return plan.model_copy(update=changes)


def _models(plan: Plan, problems: Problems) -> dict[str, type]:
    """The classes of the backbones that there are, by label."""
    from burnish.enhancers.zoo import find_backbone

    models: dict[str, type] = {}
    for entry in plan.backbones:
        with problems.noted():
            check_backbones([entry.name])
            models[entry.label] = find_backbone(entry.name)
    return models


def _makes(label: str, arm: Arm, problems: Problems) -> bool:
    """Whether an arm's enhancers can be made; what is wrong with each of them is noted."""
    from burnish.enhancers.registry import make_enhancers

    before = len(problems.errors)
    for name, options in arm.enhancers.items():
        try:
            make_enhancers({name: options})
        except BurnishError as error:
            problems.note(placed(f"arm {label!r}", error))
    if len(problems.errors) > before:
        return False
    with problems.noted():
        make_enhancers(arm.enhancers)
    return len(problems.errors) == before


def _sound_options(
    place: str, options: Mapping[str, Any], models: list[type], problems: Problems
) -> dict[str, Any]:
    """RecBole's options that can be used; the others are noted.

    Where no model is known, those are judged that RecBole reads whatever the model.
    """
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.options import common_options

    asked = models or [find_backbone("BPR")]
    fit = {}
    for name, value in options.items():
        before = len(problems.errors)
        if name != "seed" and (models or name in common_options()):
            with problems.noted():
                check_fixed(place, {name: value}, asked)
        if len(problems.errors) == before:
            fit[name] = value
    return fit


def _tried_of(tune: Tune, label: str, arm: Arm) -> bool:
    """Whether options of an arm's enhancers are chosen by tuning."""
    space = {**those_for(arm.enhancers, tune.space), **tune.arms.get(label, {})}
    return any("." in option for option in space)


def _note_tried_of(tune: Tune, label: str, arm: Arm, models: list[type], problems: Problems) -> None:
    """Note what an arm's trials could not have, and what its runs could not be given by them."""
    fixed = those_for(arm.enhancers, tune.options)
    spaces = {
        "tune.options": {option: [value] for option, value in fixed.items()},
        "tune.space": those_for(arm.enhancers, tune.space),
        f"tune.arms.{label}": {
            option: values
            for option, values in tune.arms.get(label, {}).items()
            if "." not in option or option.partition(".")[0] in arm.enhancers
        },
    }
    before = len(problems.errors)
    check_tried(spaces, arm.enhancers, models, problems)
    if len(problems.errors) > before:
        return
    space = {**spaces["tune.space"], **spaces[f"tune.arms.{label}"]}
    points = candidates(space, tune.trials, tune.seed)
    place = f"tune: arm {label!r}" if space else f"arm {label!r}"
    with problems.noted():
        check_points(place, [*points, *({**fixed, **point} for point in points)], arm.enhancers, models)


def _note_metric(plan: Plan, metric: str, models: Mapping[str, type], problems: Problems) -> None:
    """Note a `tune.metric` that no metric is called, or that the trials of a backbone and arm would not compute."""
    from burnish.training.inputs.evaluation import check_computed, check_metric_name

    assert plan.tune is not None
    before = len(problems.errors)
    with problems.noted():
        check_metric_name("tune.metric", metric)
    for entry in plan.backbones if len(problems.errors) == before else ():
        for label, arm in plan.arms_of(entry).items() if entry.label in models else ():
            options = {**plan.options, **entry.options, **arm.options, **plan.tune.options}
            computed = _computed(models[entry.label], plan.dataset, options)
            if computed is not None:
                with problems.noted(f"{entry.label} / {label}"):
                    check_computed("tune.metric", metric, *computed)


def _computed(model: type, dataset: str, options: Mapping[str, Any]) -> tuple[list[str], list[int]] | None:
    """`metrics` and `topk` of a run; None where its options cannot be used, which is told elsewhere."""
    from burnish.training.request import make_config

    told = {
        name: options[name] for name in ("metrics", "topk", "eval_args", "valid_metric") if name in options
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        try:
            config = make_config(model, dataset, {}, told, files=False)
        except BurnishError:
            return None
    return config["metrics"], config["topk"]


def check_backbones(names: Iterable[str], kind: str = "backbone") -> None:
    """Raise `UnknownNameError` for the first name that no backbone has.  kind: what the message calls it."""
    from burnish.enhancers.zoo import list_backbones

    known = list_backbones()
    for name in names:
        if name not in known and not is_place(name):  # that was imported already
            raise unknown_name(kind, name, known, cure="`burnish models` lists all of them.")

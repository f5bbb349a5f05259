"""What can be seen to be wrong with a plan's runs before the first of them is trained: all of it, in one message."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, ConfigurationError
from burnish.files.data_names import data_set_in
from burnish.splits.protocols import OPTION as SPLIT
from burnish.splits.protocols import Dates, named

from .problems import Problems
from .schema import BackboneEntry, Plan
from .space_checks import note_unread
from .spaces import some_points
from .specs import RunSpec, is_done, spec_of, with_settings
from .tuning import space_of, trial_spec


def look_at_runs(plan: Plan) -> None:
    """Raise for what would fail runs that are not finished: files, columns, what a backbone needs of the data.

    Of every backbone and arm a run's configuration is made, the first lines of the data's files are read, and enhancers
    look at their files.  Nothing is trained, and no file is read whole but those of scores; and, where a split has
    dates, which may be none of the data's, the interactions.

    Raises
    ------
    BurnishError
        With everything that is wrong; see `Problems`.
    """
    problems = Problems()
    for part in plan.parts():
        note_runs(part, problems)
    problems.raise_if_any()


def note_runs(plan: Plan, problems: Problems) -> None:
    """Note what `look_at_runs` raises.  plan: of one data set."""
    new = not any(is_done(folder) for folder in _folders(plan))
    file = data_set_in(plan.runs / plan.home)
    if new and file is not None:
        text = f"runs = {str(plan.runs)!r}: {plan.runs / plan.home} holds a data set ({file}); give another folder"
        problems.note(ConfigurationError(f"{text}, as in runs"))
    if new:  # finished runs are known by their options: these go on, with a warning
        places = _places(plan)
        note_misspelt(places, problems)
        for place, options, models in places:
            if place == "tune.space" or place.startswith("tune.arms."):
                note_unread(place, options, models, problems)
    open_: list[RunSpec] = []
    for entry in plan.backbones:
        for arm in plan.arms_of(entry):
            spec = _unfinished(plan, entry, arm)
            if spec is not None:
                _look(spec, spec.place, problems)
                open_.append(spec)
    if not problems.errors:  # else the data may not even be there
        _look_at_dates(open_, problems)


#: Where options stand, in words, their names, and the models that they are for.
Place = tuple[str, Iterable[str], list[type]]


def note_misspelt(places: Iterable[Place], problems: Problems) -> None:
    """Note options of RecBole's that nobody reads and that are almost the name of one.

    places: an option of an enhancer, which has a dot, is left alone.
    """
    from burnish.training.options import refuse_misspelt

    for place, options, models in places:
        for name in options:
            if "." not in name:
                with problems.noted():
                    refuse_misspelt([name], models, place=place)


def _places(plan: Plan) -> list[Place]:
    """Where options of RecBole's stand in a plan."""
    from burnish.enhancers.zoo import find_backbone

    models = {entry.label: find_backbone(entry.name) for entry in plan.backbones}
    every = list(models.values())
    places: list[Place] = [("options", plan.options, every)]
    places += [(f"backbone {one.label!r}", one.options, [models[one.label]]) for one in plan.backbones]
    for label, arm in plan.arms.items():
        trained = [models[one.label] for one in plan.backbones if label in plan.arms_of(one)]
        places.append((f"arm {label!r}", arm.options, trained))
    if plan.tune is not None:
        places += [("tune.options", plan.tune.options, every), ("tune.space", plan.tune.space, every)]
        places += [(f"tune.arms.{label}", space, every) for label, space in plan.tune.arms.items()]
    return places


def _folders(plan: Plan) -> Iterator[Path]:
    """Of the runs and trials of a plan."""
    for entry in plan.backbones:
        for arm in plan.arms_of(entry):
            for spec in _specs(plan, entry, arm):
                yield spec.folder(plan.runs)


def _unfinished(plan: Plan, entry: BackboneEntry, arm: str) -> RunSpec | None:
    """A run of an arm that is to be carried out; None where all are there.

    Of an arm that is tuned the trials are looked at: which settings its runs have is known only after them.
    """
    return next((one for one in _specs(plan, entry, arm) if not is_done(one.folder(plan.runs))), None)


def _specs(plan: Plan, entry: BackboneEntry, arm: str) -> list[RunSpec]:
    """The runs of an arm, as far as they are known; else its trials."""
    specs = [spec_of(plan, entry, arm, seed) for seed in plan.seeds_of(entry)]
    if plan.tune is None:
        return specs
    tried = some_points(space_of(plan, arm), plan.tune.trials, plan.tune.seed)
    if len(tried) == 1:
        return [with_settings(spec, tried[0]) for spec in specs]
    return [trial_spec(specs[0], plan.tune, number, settings) for number, settings in enumerate(tried)]


def _look(spec: RunSpec, place: str, problems: Problems) -> None:
    """Note what would fail a run.  place: what messages call it."""
    from burnish.enhancers.registry import make_enhancers
    from burnish.training.inputs.sizes import check_packages

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        elsewhere: str | None = None
        try:
            config = _config(spec)
            check_packages(config)
        except BurnishError as error:
            problems.note(error, place)
            try:  # the files of enhancers are looked at all the same
                config = _config(spec, files=False)
            except BurnishError:
                return
            elsewhere = str(config["data_path"])
        for enhancer in make_enhancers(spec.enhancers):
            try:
                enhancer.check_files(config)
            except BurnishError as error:
                # What is not in a folder that is wrong itself is told with that.
                if elsewhere is None or elsewhere not in str(error):
                    problems.note(error, place)


def _look_at_dates(specs: Iterable[RunSpec], problems: Problems) -> None:
    """Note dates of splits that leave a part of the data empty: every run would fail.  Data are read once a split."""
    from burnish.training.cases import case_digest_of

    known = set()
    for spec in specs:
        value = spec.options.get(SPLIT)
        if value is None or repr(value) in known or not isinstance(named(value).settings, Dates):
            continue
        known.add(repr(value))
        with warnings.catch_warnings(), problems.noted(spec.place):
            warnings.simplefilter("ignore")  # the runs say it
            case_digest_of(spec.backbone, spec.dataset, {**spec.options, "seed": spec.seed})


def _config(spec: RunSpec, *, files: bool = True) -> Any:
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.request import make_config

    options: Mapping[str, Any] = {**spec.options, "seed": spec.seed}
    return make_config(find_backbone(spec.backbone), spec.dataset, spec.enhancers, options, files=files)

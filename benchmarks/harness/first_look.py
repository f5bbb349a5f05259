"""What can be seen to be wrong with a plan's runs before the first of them is trained: all of it, in one message."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from .plan import BackboneEntry, Plan
from .problems import Problems
from .spaces import candidates
from .specs import RunSpec, is_done, spec_of, with_settings
from .tuning import space_of, trial_spec


def look_at_runs(plan: Plan) -> None:
    """Raise for what would fail runs that are not finished: files, columns, what a backbone needs of the data.

    Of every backbone and arm a run's configuration is made, the first lines of the data's files are read, and enhancers
    look at their files.  Nothing is trained, and no file is read whole but those of scores.

    Raises
    ------
    BurnishError
        With everything that is wrong; see `Problems`.
    """
    problems = Problems()
    for entry in plan.backbones:
        for arm in plan.arms_of(entry):
            spec = _unfinished(plan, entry, arm)
            if spec is not None:
                _look(spec, f"{entry.label} / {arm}", problems)
    problems.raise_if_any()


def _unfinished(plan: Plan, entry: BackboneEntry, arm: str) -> RunSpec | None:
    """A run of an arm that is to be carried out; None where all are there.

    Of an arm that is tuned the trials are looked at: which settings its runs have is known only after them.
    """
    specs: Iterable[RunSpec] = [spec_of(plan, entry, arm, seed) for seed in plan.seeds_of(entry)]
    if plan.tune is not None:
        tried = candidates(space_of(plan, arm), plan.tune.trials, plan.tune.seed)
        first = next(iter(specs))
        if len(tried) == 1:
            specs = [with_settings(spec, tried[0]) for spec in specs]
        else:
            specs = [trial_spec(first, plan.tune, number, settings) for number, settings in enumerate(tried)]
    return next((spec for spec in specs if not is_done(spec.folder(plan.runs))), None)


def _look(spec: RunSpec, place: str, problems: Problems) -> None:
    from burnish.enhancers.registry import make_enhancers
    from burnish.enhancers.zoo import find_backbone
    from burnish.training.request import make_config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs say it
        options = {**spec.options, "seed": spec.seed}
        made = make_enhancers(spec.enhancers)
        config = None
        with problems.noted(place):
            config = make_config(find_backbone(spec.backbone), spec.dataset, spec.enhancers, options)
        for enhancer in made:
            with problems.noted(place):
                enhancer.check_named_files() if config is None else enhancer.check_files(config)

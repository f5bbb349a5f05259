"""Choosing options on the validation set: as many trials for every arm, from its own space."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, unknown_name
from burnish.files.whole import write_json
from burnish.training.identity import digest

from .metrics import sign
from .runs import RunRecord
from .schema import Plan, Tune
from .spaces import Space, candidates, those_for
from .specs import RunSpec, with_settings

#: Carries out one trial and tells what became of it.
CarryOut = Callable[[RunSpec], RunRecord]
#: Asks for runs, is sent their records, and ends with what was chosen and all records.
Tuning = Generator[list[RunSpec], list[RunRecord], tuple[dict[str, Any], list[RunRecord]]]


class TuningError(BurnishError):
    """Every trial of an arm failed, so there is nothing to choose from."""


def space_of(plan: Plan, arm: str) -> Space:
    """What is tuned for one arm: the common space, without options of enhancers it lacks, and its own."""
    tune = plan.tune
    if tune is None:
        return {}
    return {**those_for(plan.arms[arm].enhancers, tune.space), **tune.arms.get(arm, {})}


def tune_arm(spec: RunSpec, plan: Plan, carry_out: CarryOut) -> tuple[dict[str, Any], list[RunRecord]]:
    """What `tuning` comes to for one backbone and arm of a plan, in the plan's own way, one trial after another.

    spec: any run of that backbone and arm.
    """
    assert plan.tune is not None
    steps = tuning(spec, plan.tune, space_of(plan, spec.arm), plan.runs)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send([carry_out(one) for one in wanted])
    except StopIteration as end:
        return end.value


def tuning(
    spec: RunSpec, tune: Tune, space: Space, runs: Path, *, first_alone: bool = False, keep: bool = True
) -> Tuning:
    """The settings with the best validation value in a space, and the records of the trials.

    A generator: it asks for runs and is sent their records, whoever carries them out.

    spec: any run that they are meant for.  tune: the rules; its own spaces are not read.  first_alone: ask for the
    first trial before the others, which its error may make needless.  keep: write the choice to `chosen-<hash>.json` in
    the arm's folder, too.  Ties go to the candidate tried first; a single candidate needs no trial.
    Raises `TuningError` when every trial failed, `UnknownNameError` for a metric that is not computed.
    """
    tried = candidates(space, tune.trials, tune.seed)
    records: list[RunRecord] = []
    if len(tried) == 1:
        if keep:
            _write_choice(spec, tune, space, runs, tune.metric, tried, records, tried[0])
        return tried[0], records
    trials = [trial_spec(spec, tune, number, settings) for number, settings in enumerate(tried)]
    begin = 1 if first_alone else len(trials)
    for some in (trials[:begin], trials[begin:]):
        records += (yield some) if some else []
    values = [_value(record, tune.metric) for record in records]
    finite = [place for place, value in enumerate(values) if value is not None and math.isfinite(value[1])]
    if not finite:
        raise TuningError(f"all {len(records)} tuning trials failed; the first: {records[0].error}")
    best = max(finite, key=lambda place: (values[place][1], -place))  # type: ignore[index]
    metric = values[best][0]  # type: ignore[index]
    if keep:
        _write_choice(spec, tune, space, runs, metric, tried, records, tried[best])
    return tried[best], records


def _write_choice(
    spec: RunSpec,
    tune: Tune,
    space: Space,
    runs: Path,
    metric: str | None,
    tried: list[dict[str, Any]],
    records: list[RunRecord],
    chosen: dict[str, Any],
) -> None:
    content: dict[str, Any] = {
        "metric": metric,
        "set": "validation",
        "seed": tune.seed,
        "trials_allowed": tune.trials,
        "trials_made": len(records),
        "space": space,
        "chosen": chosen,
        "trials": [
            {"settings": settings, "value": record.valid.get(metric or ""), "error": record.error}
            for settings, record in zip(tried, records, strict=False)
        ],
    }
    write_json(chosen_path(spec, tune, space, runs), content)


def chosen_path(spec: RunSpec, tune: Tune, space: Space, runs: Path) -> Path:
    """Where it is noted what was chosen for an arm.  spec: any run of it, before tuning."""
    name = digest([space, tune.as_first(), spec.options, spec.enhancers])
    return spec.arm_folder(runs) / f"chosen-{name}.json"


def trial_spec(spec: RunSpec, tune: Tune, number: int, settings: Mapping[str, Any]) -> RunSpec:
    """The run of one trial: the same seed for every arm, and no look at the test set."""
    shared = those_for(spec.enhancers, tune.options)
    return replace(with_settings(spec, {**shared, **settings}), seed=tune.seed, trial=number)


def _value(record: RunRecord, metric: str | None) -> tuple[str, float] | None:
    """The metric's name, and its validation value, signed so that larger is better; None after a failure."""
    if record.status == "failed":
        return None
    name = (metric or record.valid_metric or "").lower()
    if name not in record.valid:
        raise unknown_name("tune.metric", name, record.valid, cure="It is computed on the validation set.")
    return name, sign(name) * record.valid[name]

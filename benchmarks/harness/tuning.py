"""Choosing options on the validation set: as many trials for every arm, from its own space."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from burnish.errors import BurnishError, DataError, unknown_name
from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder
from burnish.files.whole import read_json, write_json
from burnish.training.identity import digest

from .journal import Journal
from .metrics import sign
from .ranges import MOST_POINTS, Space, all_points, is_grid, possible
from .ranges import size as size_of
from .runs import RunRecord
from .schema import Plan, Tune
from .search import Outcome, Stop, batches
from .spaces import candidates, those_for
from .specs import RunSpec, stopped_by, with_settings

#: Epochs of a run where nothing says (RecBole's own).
_EPOCHS = 300

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
    return possible({**those_for(plan.arms[arm].enhancers, tune.space), **tune.arms.get(arm, {})})


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
    if is_searched(tune, space):
        return (yield from _searched(spec, tune, space, runs, first_alone=first_alone, keep=keep))
    tried = candidates(space, tune.trials, tune.seed)
    records: list[RunRecord] = []
    if len(tried) == 1:
        if keep:
            _write_choice(spec, tune, space, runs, tune.metric, tried[0], [])
        return tried[0], records
    trials = [trial_spec(spec, tune, number, settings) for number, settings in enumerate(tried)]
    if keep:
        note_asked(spec, tune, space, runs, trials)
    for some in _first_alone(trials, first_alone):
        records += yield some
    metric, best = _best(records, [_value(record, tune.metric) for record in records])
    if keep:
        told = [
            {"settings": settings, "value": record.valid.get(metric), "error": record.error}
            for settings, record in zip(tried, records, strict=False)
        ]
        _write_choice(spec, tune, space, runs, metric, tried[best], told)
    return tried[best], records


def _searched(
    spec: RunSpec, tune: Tune, space: Space, runs: Path, *, first_alone: bool, keep: bool
) -> Tuning:
    """`tuning` by optuna: in batches, each of which is decided by the outcomes of those before."""
    path = chosen_path(spec, tune, space, runs)
    journal = Journal(
        path.with_name(f"journal-{path.stem.removeprefix('chosen-')}.log"), tune, space, keep=keep
    )
    known: list[Outcome] = []
    records: list[RunRecord] = []
    trials: list[RunSpec] = []
    for size in batches(tune):
        points = journal.points(known, size)
        batch = []
        for number, settings in enumerate(points, len(known)):
            trial = trial_spec(spec, tune, number, settings)
            if tune.pruning is not None:
                epochs = {**trial.settled, **trial.options}.get("epochs", _EPOCHS)
                turn = sign(stopped_by(trial))
                stop = Stop(tune.pruning, space, known, number, epochs=int(epochs), sign=turn)
                trial = replace(trial, stop=stop)
            batch.append(trial)
        trials += batch
        if keep:
            note_asked(spec, tune, space, runs, trials)
        of_batch: list[RunRecord] = []
        for some in _first_alone(batch, first_alone and not known):
            of_batch += yield some
        records += of_batch
        known = known + [
            _outcome(settings, trial, record, tune.metric)
            for settings, trial, record in zip(points, batch, of_batch, strict=True)
        ]
    journal.close(known)
    values = [
        _value(record, tune.metric) if one.state == "done" else None
        for one, record in zip(known, records, strict=True)
    ]
    metric, best = _best(records, values)
    chosen = dict(known[best].settings)
    if keep:
        told = [
            {
                "settings": dict(one.settings),
                "value": record.valid.get(metric) if one.state == "done" else None,
                "error": record.error,
                "state": one.state,
                **({"epochs": len(one.curve) and one.curve[-1][0]} if one.state == "pruned" else {}),
            }
            for one, record in zip(known, records, strict=True)
        ]
        _write_choice(spec, tune, space, runs, metric, chosen, told)
    return chosen, records


def _outcome(settings: Mapping[str, Any], trial: RunSpec, record: RunRecord, metric: str | None) -> Outcome:
    """What a search is told of a trial; one that would have ended early, and did not, is taken for one that did."""
    if record.status == "failed":
        return Outcome(settings, "failed")
    turn = sign(stopped_by(trial))
    curve = [(epoch, turn * score) for epoch, score in record.curve]
    ended = None if trial.stop is None else trial.stop.ends(record.curve)
    marks = {} if trial.stop is None else trial.stop.marks(record.curve[:ended])
    if ended is not None:
        return Outcome(settings, "pruned", curve=curve[:ended], marks=marks)
    value = _value(record, metric)
    if value is None or not math.isfinite(value[1]):
        return Outcome(settings, "failed")
    return Outcome(settings, "done", value[1], curve, marks)


def _first_alone(trials: list[RunSpec], alone: bool) -> list[list[RunSpec]]:
    """The trials as they are asked for."""
    parts = [trials[:1], trials[1:]] if alone else [trials]
    return [part for part in parts if part]


def _best(records: list[RunRecord], values: list[tuple[str, float] | None]) -> tuple[str, int]:
    """The metric, and which record has the best value; the first of several.  `TuningError` where none has any."""
    finite = [place for place, value in enumerate(values) if value is not None and math.isfinite(value[1])]
    if not finite:
        what = "failed" if all(record.status == "failed" for record in records) else "failed or were pruned"
        first = next((record.error for record in records if record.error), None)
        raise TuningError(f"all {len(records)} tuning trials {what}; the first: {first}")
    best = max(finite, key=lambda place: (values[place][1], -place))  # type: ignore[index]
    return values[best][0], best  # type: ignore[index]


def is_searched(tune: Tune, space: Space) -> bool:
    """Whether optuna asks for the trials; a space of no more points than trials is tried whole, whatever the method."""
    points = size_of(space)
    if tune.method == "grid" or points <= tune.trials:
        return False
    return is_grid(space) or points > MOST_POINTS or len(all_points(space)) > tune.trials


def n_trials(tune: Tune, space: Space) -> int:
    """How many trials there are; 0 where there is nothing to choose."""
    tried = tune.trials if is_searched(tune, space) else len(candidates(space, tune.trials, tune.seed))
    return 0 if tried == 1 and not is_searched(tune, space) else tried


def note_asked(spec: RunSpec, tune: Tune, space: Space, runs: Path, trials: list[RunSpec]) -> None:
    """Note which trials were asked for so far, for reports meanwhile; not where it is chosen already.

    Other processes write it as well: the one that is farther stays.
    """
    chosen = chosen_path(spec, tune, space, runs)
    path = asked_path(chosen)
    if chosen.is_file():
        return
    content = {
        "dataset": spec.home or spec.dataset,
        "label": spec.label,
        "arm": spec.arm,
        "metric": tune.metric or stopped_by(spec),
        "method": tune.method if is_searched(tune, space) else "grid",
        "space": space,
        "trials": n_trials(tune, space),
        "asked": [trial.folder(runs).name for trial in trials],
    }
    make_folder(path.parent)
    with locked(lock_of(path)):
        try:
            before = len(read_json(path, "")["asked"]) if path.is_file() else 0
        except (DataError, KeyError, TypeError):
            before = 0
        if before < len(trials):
            write_json(path, content)


def _write_choice(
    spec: RunSpec,
    tune: Tune,
    space: Space,
    runs: Path,
    metric: str | None,
    chosen: dict[str, Any],
    trials: list[dict[str, Any]],
) -> None:
    searched = {"method": tune.method} if is_searched(tune, space) else {}
    if searched and tune.pruning is not None:
        searched["pruning"] = tune.pruning.method
    content: dict[str, Any] = {
        "metric": metric,
        "set": "validation",
        "seed": tune.seed,
        "trials_allowed": tune.trials,
        "trials_made": len(trials),
        **searched,
        "space": space,
        "chosen": chosen,
        "trials": trials,
    }
    path = chosen_path(spec, tune, space, runs)
    write_json(path, content)
    asked_path(path).unlink(missing_ok=True)


def asked_path(chosen: Path) -> Path:
    """Where it is noted, beside what will be chosen, which trials were asked for so far."""
    return chosen.with_name(f"asked-{chosen.stem.removeprefix('chosen-')}.json")


def chosen_path(spec: RunSpec, tune: Tune, space: Space, runs: Path) -> Path:
    """Where it is noted what was chosen for an arm.  spec: any run of it, before tuning."""
    name = digest([space, tune.as_first(), spec.options, spec.enhancers])
    return spec.arm_folder(runs) / f"chosen-{name}.json"


def trial_spec(spec: RunSpec, tune: Tune, number: int, settings: Mapping[str, Any]) -> RunSpec:
    """The run of one trial: the same seed for every arm, and no look at the test set."""
    shared = those_for(spec.enhancers, tune.options)
    return replace(with_settings(spec, {**shared, **settings}), seed=tune.seed, trial=number)


def _value(record: RunRecord, metric: str | None) -> tuple[str, float] | None:
    """The metric's name, and its validation value, signed so that larger is better; None without one."""
    if record.status in ("failed", "pruned"):
        return None
    name = (metric or record.valid_metric or "").lower()
    if name not in record.valid:
        raise unknown_name("tune.metric", name, record.valid, cure="It is computed on the validation set.")
    return name, sign(name) * record.valid[name]

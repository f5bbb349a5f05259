"""Running a plan: floors, then tune every arm, then train every backbone, seed and arm; failures do not stop it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from burnish.errors import DataError
from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder
from burnish.files.whole import write_json
from burnish.training.by_name import settled_beforehand
from burnish.training.identity import computing, digest
from burnish.training.options import shared_options
from burnish.training.result import Epoch

from .first_look import look_at_runs
from .floor_runs import Floors, LeftOutError, Standing, noted, refusal
from .notes import DAMAGED, read_note
from .plan import PLAIN, BackboneEntry, Plan, check_names, load_plan, make_plan
from .progress import Display, Event, EventKind
from .runs import RunRecord, carry_out, failed_record, remove_stale
from .spaces import candidates
from .specs import PROTOCOL, RunSpec, spec_of, with_settings
from .tuning import TuningError, space_of, tune_arm


def run_plan(
    plan: Plan | Mapping[str, Any] | Path | str,
    *,
    quiet: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> list[RunRecord]:
    """Carry out a plan and return a record of every run, tuning trials included.

    Runs that finished earlier are kept.  A run that fails is recorded with its error and the others go on.
    Floors come first, and seeds before arms, so that an interrupted plan leaves complete pairs.  A floor that does not
    go with a backbone or the data is left out, with an event that says why, and no record of it is made.

    plan: or the path of its YAML file, or what such a file holds.
    quiet: show no progress display.  on_event: called at every step.
    Ctrl-C removes the unfinished run and is passed on.  Raises what `check_names` and `look_at_runs` raise, before
    anything is trained.
    """
    plan = as_plan(plan)
    check_names(plan)
    look_at_runs(plan)
    remove_stale(plan.runs)
    with ExitStack() as stack:
        stack.enter_context(_shared(plan))
        listeners = [on_event] if on_event is not None else []
        if not quiet:
            listeners.append(stack.enter_context(Display(_n_steps(plan))).show)
        return _Grid(plan, listeners).run()


def as_plan(given: Plan | Mapping[str, Any] | Path | str) -> Plan:
    """A plan, however it is given."""
    if isinstance(given, Plan):
        return given
    return make_plan(given) if isinstance(given, Mapping) else load_plan(given)


def _shared(plan: Plan) -> AbstractContextManager[None]:
    """Options that all backbones of a plan get, which some of them may not read."""
    from burnish.enhancers.zoo import find_backbone

    options = set(plan.options).union(*(arm.options for arm in plan.arms.values()))
    if plan.tune is not None:
        spaces = (plan.tune.space, *plan.tune.arms.values())
        options |= set(plan.tune.options) | {name for space in spaces for name in space if "." not in name}
    return shared_options(sorted(options), (find_backbone(entry.name) for entry in plan.backbones))


def exit_status(records: Iterable[RunRecord]) -> int:
    """0 when no run failed, else 1."""
    return int(any(record.status == "failed" for record in records))


def n_floor_runs(plan: Plan) -> int:
    """Runs of a plan's floors, without tuning trials, if none of them is left out."""
    return _floors_only(plan).count()[0]


def _floors_only(plan: Plan) -> Floors:
    def never(spec: RunSpec) -> RunRecord:
        raise AssertionError(f"{spec.key} is only counted")

    return Floors(plan, never)


def _n_steps(plan: Plan) -> int:
    total = plan.n_runs + sum(_floors_only(plan).count())
    if plan.tune is None:
        return total
    tune = plan.tune
    tried = {arm: len(candidates(space_of(plan, arm), tune.trials, tune.seed)) for arm in plan.arms}
    return total + sum(
        tried[arm] for entry in plan.backbones for arm in plan.arms_of(entry) if tried[arm] > 1
    )


class _Grid:
    def __init__(self, plan: Plan, listeners: list[Callable[[Event], None]]) -> None:
        self.plan = plan
        self.listeners = listeners
        self.records: list[RunRecord] = []

    def run(self) -> list[RunRecord]:
        floors = Floors(self.plan, self._carry_out_floor, self._tell_tuned)
        for entry in self.plan.backbones:
            self._run_backbone(entry, floors)
        return self.records

    def _run_backbone(self, entry: BackboneEntry, floors: Floors) -> None:
        plan, seeds = self.plan, self.plan.seeds_of(entry)
        for line in settled_beforehand(entry.name, plan.dataset, {**plan.options, **entry.options}):
            self._tell("settled", entry.label, f"{entry.label}: {line}")
        standings, remarks = floors.prepare(entry)
        said: set[str] = set()
        self._tell_left_out(entry, standings, said)
        specs = {arm: [spec_of(plan, entry, arm, seed) for seed in seeds] for arm in plan.arms_of(entry)}
        if plan.tune is not None:
            specs = {arm: self._tuned(specs[arm]) for arm in specs}
        _write_comparison(plan, entry, specs, standings, remarks)
        for place in range(len(seeds)):
            for standing in standings:
                floors.run(standing, place)
            for arm in specs:
                if specs[arm]:
                    self._carry_out(specs[arm][place])
        if self._tell_left_out(entry, standings, said):
            _write_comparison(plan, entry, specs, standings, remarks)

    def _tell_left_out(self, entry: BackboneEntry, standings: list[Standing], said: set[str]) -> bool:
        """A line for each reason why floors were left out since the last call; whether there was any."""
        new = [one for one in standings if one.left_out is not None and one.name not in said]
        for reason in dict.fromkeys(one.left_out for one in new):
            names = ", ".join(one.name for one in new if one.left_out == reason)
            key = f"{entry.label} / {names}"
            self._tell("left out", key, f"{key}: {reason}")
        said.update(one.name for one in new)
        return bool(new)

    def _tuned(self, specs: list[RunSpec]) -> list[RunSpec]:
        """The runs with the settings that tuning chose; none when no trial succeeded."""
        key = f"{specs[0].label} / {specs[0].arm}"
        try:
            chosen, _ = tune_arm(specs[0], self.plan, self._carry_out)
        except TuningError as error:
            for spec in specs:
                self._record(failed_record(spec, self.plan.runs, error), spec)
            return []
        self._tell_tuned(key, chosen)
        return [with_settings(spec, chosen) for spec in specs]

    def _tell_tuned(self, key: str, chosen: Mapping[str, Any]) -> None:
        settings = ", ".join(f"{name} = {value}" for name, value in chosen.items()) or "nothing to choose"
        self._tell("tuned", key, f"{key}: {settings}")

    def _carry_out_floor(self, spec: RunSpec) -> RunRecord:
        """`_carry_out`; raises `LeftOutError` where the floor refuses."""
        try:
            return self._carry_out(spec, refusals=True)
        except Exception as error:
            if isinstance(error, LeftOutError) or not refusal(error):
                raise
            raise LeftOutError(str(error) or type(error).__name__) from error

    def _carry_out(self, spec: RunSpec, *, refusals: bool = False) -> RunRecord:
        """One run, and its record.  refusals: raise them instead of recording a failure."""
        self._tell("start", spec.key, spec.key)
        try:
            record = carry_out(
                spec,
                self.plan.runs,
                threads=self.plan.threads,
                keep_checkpoint=self.plan.keep_checkpoints,
                on_epoch=lambda epoch: self._tell("epoch", spec.key, _epoch_line(spec, epoch), epoch),
            )
        except Exception as error:  # whatever a model raises; the traceback is in the run's failed-*.json
            if refusals and refusal(error):
                raise
            record = failed_record(spec, self.plan.runs, error)
        self._record(record, spec)
        return record

    def _record(self, record: RunRecord, spec: RunSpec) -> None:
        self.records.append(record)
        self._tell(record.status, spec.key, _end_line(spec, record))

    def _tell(self, kind: EventKind, key: str, message: str, epoch: Epoch | None = None) -> None:
        event = Event(kind, key, message, epoch)
        for listener in self.listeners:
            listener(event)


def _epoch_line(spec: RunSpec, epoch: Epoch) -> str:
    score = "" if epoch.valid_score is None else f", validation {epoch.valid_score:.4f}"
    return f"{spec.key}: {epoch.of} {epoch.number} of {epoch.total}{score}"


def _end_line(spec: RunSpec, record: RunRecord) -> str:
    if record.status == "failed":
        return f"{spec.key}: {record.error}"
    shown = record.test or record.valid
    values = ", ".join(f"{name} {value:.4f}" for name, value in list(shown.items())[:3])
    phase = "test" if record.test else "validation"
    return f"{spec.key}: {phase} {values} ({record.seconds or 0:.1f} s)"


def _write_comparison(
    plan: Plan,
    entry: BackboneEntry,
    specs: dict[str, list[RunSpec]],
    standings: list[Standing],
    remarks: list[str],
) -> Path:
    """Note which runs belong together: same data, common options and tuning.  The report pairs only these.

    Arms and floors of an earlier plan with the same settings stay in the note, and two plans may write into it at once;
    not those of a backbone that reads files beside the interactions which were others then, or whose source was.
    A damaged one is set aside (`.damaged`), with a warning.
    """
    options = computing(plan.options | entry.options)
    tune = plan.tune.model_dump(exclude={"arms"}) if plan.tune is not None else None
    settings = {"protocol": PROTOCOL, "backbone": entry.name, "options": options, "tune": tune}
    name = digest({**settings, "dataset": plan.dataset})
    path = plan.runs / plan.dataset / entry.label / f"comparison-{name}.json"
    own = {
        arm: {str(run.seed): run.folder(plan.runs).relative_to(path.parent).as_posix() for run in runs}
        for arm, runs in specs.items()
    }
    floors = noted(standings, remarks, plan, path.parent)
    # Of the backbone itself: arms on another graph are no pairs of its plain runs.
    plain = RunSpec(plan.dataset, entry.name, entry.label, PLAIN, 0, {}, plan.options | entry.options)
    beside, source = plain.beside, plain.source
    make_folder(path.parent)
    with locked(lock_of(path)):
        before = _noted_before(path)
        now = {**({"beside": beside} if beside else {}), **source}
        if any(before.get(name, value) != value for name, value in now.items()):
            before = {"arms": {}}
        content = {**settings, "dataset": plan.dataset, "label": entry.label, "comparison": name}
        content |= now
        content["arms"] = {**before["arms"], **own}
        if floors["floors"] or before.get("floors"):
            content["floors"] = _with_runs(before.get("floors") or {}, floors["floors"])
            content["floor_remarks"] = floors["floor_remarks"] or before.get("floor_remarks") or []
        write_json(path, content)
    return path


def _with_runs(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The floors of both; one that is left out now keeps the runs that it had."""
    kept = {
        name: {**before[name], **one} for name, one in now.items() if name in before and "runs" not in one
    }
    return {**before, **now, **kept}


def _noted_before(path: Path) -> dict[str, Any]:
    """A note that is there; an empty one where there is none, or a damaged one, which is set aside."""
    if path.exists():
        try:
            return read_note(path)
        except DataError as error:
            aside = path.with_name(f"{path.name}{DAMAGED}")
            os.replace(path, aside)
            warnings.warn(
                f"{error} It was renamed to {aside.name}, and a new one lists this plan's arms.", stacklevel=2
            )
    return {"arms": {}}

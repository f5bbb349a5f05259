"""Running a plan: floors, then tune every arm, then train every backbone, seed and arm; failures do not stop it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from burnish.checks import whole_number
from burnish.files.lock import held
from burnish.telling import stages_told_to
from burnish.training.by_name import settled_beforehand
from burnish.training.first import InHandError
from burnish.training.options import shared_options
from burnish.training.result import Epoch

from .comparison_note import write_comparison
from .first_look import look_at_runs
from .floor_runs import Floors, LeftOutError, Standing
from .outlook import Outlook, outlook
from .plan import BackboneEntry, Plan, check_names, load_plan, make_plan
from .progress import Display, Event, EventKind
from .runs import RunRecord, carried_out, failed_record, refusal, remove_stale
from .schedule import Rank, Schedule, Steps, Wanted
from .specs import RunSpec, spec_of, with_settings
from .tuning import TuningError, chosen_path, n_trials, space_of, tuning
from .tuning_notes import shown
from .workers import Workers, on_dask

Result = TypeVar("Result")


def run_plan(
    plan: Plan | Mapping[str, Any] | Path | str,
    *,
    quiet: bool = False,
    on_event: Callable[[Event], None] | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    share: tuple[int, int] = (0, 1),
    since: float | None = None,
) -> list[RunRecord]:
    """Carry out a plan and return a record of every run, tuning trials included.

    Runs that finished earlier are kept.  A run that fails is recorded with its error and the others go on.
    Floors come first, and seeds before arms, so that an interrupted plan leaves complete pairs.  A floor that does not
    go with a backbone or the data is left out, with an event that says why, and no record of it is made.

    Parameters
    ----------
    plan
        Or the path of its YAML file, or what such a file holds.
    quiet
        Show no progress display.
    on_event
        Called at every step.
    workers
        Processes on this machine, no more than there are runs, which divide the cores where the plan has no `threads`.
        Figures do not depend on it, as long as the number of threads of each run is the same.
    scheduler
        The address of a dask scheduler, whose workers do the runs; this process only looks.
    share
        The number of this process, from 0, and of how many that work at the plan in the same folder of runs.  Any
        number may, at any time, and each does what no other has in hand; where they begin differs.
    since
        Failures of other processes are not tried again when they are younger (seconds since 1970; by default now).

    Returns
    -------
    list of RunRecord

    Raises
    ------
    BurnishError
        What `check_names` and `look_at_runs` raise, before anything is trained.  Ctrl-C removes the unfinished runs and
        is passed on.
    """
    plan = as_plan(plan)
    check_names(plan)
    look_at_runs(plan)
    # More processes than there are runs have nothing to do.
    workers = min(whole_number("workers", workers, least=1), max(1, _n_steps(plan)))
    since = time.time() if since is None else since
    remove_stale(plan.runs)
    with ExitStack() as stack:
        stack.enter_context(_shared(plan))
        listeners = [on_event] if on_event is not None else []
        if not quiet:
            listeners.append(stack.enter_context(Display(_n_steps(plan))).show)
        grid = _Grid(plan, listeners, share, since, only_look=scheduler is not None)
        if scheduler is not None:
            grid.look = stack.enter_context(on_dask(plan, scheduler, since))
        elif workers > 1:
            if plan.threads is None:
                grid.plan = plan = plan.model_copy(
                    update={"threads": max(1, (os.cpu_count() or 1) // workers)}
                )
            grid.look = stack.enter_context(Workers(plan, workers, since, grid.tell)).look
        return grid.run()


def divided_threads(workers: int) -> int:
    """Threads of each run where so many processes share this machine and the plan does not say."""
    return max(1, (os.cpu_count() or 1) // workers)


def as_plan(given: Plan | Mapping[str, Any] | Path | str) -> Plan:
    """A plan, however it is given."""
    if isinstance(given, Plan):
        return given
    return make_plan(given) if isinstance(given, Mapping) else load_plan(given)


def _shared(plan: Plan) -> AbstractContextManager[None]:
    """Options that all backbones of a plan get, which some of them may not read."""
    from burnish.enhancers.zoo import find_backbone

    options: set[str] = set()
    for part in plan.parts():
        options = options.union(part.options, *(arm.options for arm in part.arms.values()))
        if part.tune is not None:
            spaces = (part.tune.space, *part.tune.arms.values())
            options |= set(part.tune.options) | {
                name for space in spaces for name in space if "." not in name
            }
    return shared_options(sorted(options), (find_backbone(entry.name) for entry in plan.backbones))


def look_ahead(plan: Plan | Mapping[str, Any] | Path | str) -> list[Outlook]:
    """What a plan has yet to do, by arm and floor, with the time expected from runs that are there; trains nothing.

    Raises what `run_plan` raises for a plan that cannot be carried out.
    """
    plan = as_plan(plan)
    check_names(plan)
    look_at_runs(plan)
    with _shared(plan):
        grid = _Grid(plan, [], (0, 1), time.time(), only_look=True)
        grid.look = grid.schedule.stop
        records = grid.run()
    lines = []
    for part in plan.parts():
        arms = [
            (entry.label, arm, _n_trials(part, arm), len(part.seeds_of(entry)))
            for entry in part.backbones
            for arm in part.arms_of(entry)
        ]
        own = [record for record in records if record.dataset == part.home]
        lines += outlook(part.home, [*Floors(part).expected(), *arms], own)
    return lines


def _n_trials(plan: Plan, arm: str) -> int:
    return 0 if plan.tune is None else n_trials(plan.tune, space_of(plan, arm))


def exit_status(records: Iterable[RunRecord]) -> int:
    """0 when no run failed, else 1."""
    return int(any(record.status == "failed" for record in records))


def n_floor_runs(plan: Plan) -> int:
    """Runs of a plan's floors, without tuning trials, if none of them is left out."""
    return sum(Floors(part).count()[0] for part in plan.parts())


def _n_steps(plan: Plan) -> int:
    parts = plan.parts()
    trials = sum(
        _n_trials(part, arm) for part in parts for entry in part.backbones for arm in part.arms_of(entry)
    )
    return plan.n_runs + sum(sum(Floors(part).count()) for part in parts) + trials


class _Backbone:
    """What is known of one backbone on one data set: its floors and arms, as they come to be tuned.

    plan: of the one data set.
    """

    def __init__(self, number: int, entry: BackboneEntry, plan: Plan, floors: Floors) -> None:
        self.number = number
        self.entry = entry
        self.plan, self.floors = plan, floors
        #: What messages call it.
        self.name = f"{f'{plan.dataset_label} / ' if plan.dataset_label else ''}{entry.label}"
        self.specs = {
            arm: [spec_of(plan, entry, arm, seed) for seed in plan.seeds_of(entry)]
            for arm in plan.arms_of(entry)
        }
        self.prepared: dict[str, tuple[Standing, list[str]]] = {}
        #: Of tuned arms, where it is noted what was chosen.
        self.chosen: dict[str, Path] = {}
        self.to_prepare, self.to_tune = set(floors.floors), set(self.specs)
        #: Floors whose reason for being left out was told.
        self.said: set[str] = set()
        self._order = list(floors.floors)

    @property
    def standings(self) -> list[Standing]:
        """Of the floors that are prepared, in the plan's order."""
        return [self.prepared[name][0] for name in self._order if name in self.prepared]

    @property
    def remarks(self) -> list[str]:
        """On the comparison with the floors, each once."""
        said = [text for name in self._order if name in self.prepared for text in self.prepared[name][1]]
        return list(dict.fromkeys(said))


class _Grid:
    def __init__(
        self,
        plan: Plan,
        listeners: list[Callable[[Event], None]],
        share: tuple[int, int],
        since: float,
        *,
        only_look: bool = False,
    ) -> None:
        """share, since: see `run_plan`.  only_look: carry out nothing, and take note of what others did."""
        self.plan = plan
        self.only_look = only_look
        #: Called now and then: how the other processes are.
        self.look: Callable[[], None] = lambda: None
        self.listeners = listeners
        self.since = since
        self.records: list[RunRecord] = []
        self.schedule = Schedule(self._perform, share=share, idle=lambda: self.look())
        self._seen_open: set[Path] = set()
        #: Of runs that are asked for, by identity (and kept, so that none takes another's): files beside the data need
        #: not be read at each look.
        self._folders: dict[int, tuple[RunSpec, Path]] = {}
        #: By folder, the lock of what its run waits for.
        self._waiting: dict[Path, Path] = {}

    def run(self) -> list[RunRecord]:
        """In one process: data sets and backbones in turn; floors, then trials of the arms, then seed by seed."""
        number = 0
        for part in self.plan.parts():
            floors = Floors(part, self._tell_tuned, keep=not self.only_look)
            for entry in part.backbones:
                self.schedule.add(self._begin(_Backbone(number, entry, part, floors)), (number,))
                number += 1
        self.schedule.run()
        return self.records

    def _begin(self, one: _Backbone) -> Steps:
        entry, plan = one.entry, one.plan
        for line in settled_beforehand(entry.name, plan.dataset, {**plan.options, **entry.options}):
            self._tell("settled", one.name, f"{one.name}: {line}")
        for order, name in enumerate(one.floors.floors):
            self.schedule.add(self._floor(one, order, name), (one.number, 0, order))
        for order, arm in enumerate(one.specs):
            self.schedule.add(self._arm(one, order, arm), (one.number, 1, order))
        yield from ()

    def _floor(self, one: _Backbone, order: int, name: str) -> Steps:
        asking = one.floors.prepare(one.entry, name)
        standing, remarks = yield from _of_floor(asking, lambda runs: [(one.number, 0, order)] * len(runs))
        one.prepared[name] = standing, remarks
        one.to_prepare.discard(name)
        if not one.to_prepare:
            self._tell_left_out(one)
        self._note(one)
        places = {run.seed: place for place, run in enumerate(standing.runs)}
        yield from _of_floor(
            one.floors.run(standing),
            lambda runs: [(one.number, 2, places[run.seed], 0, order) for run in runs],
        )
        if not one.to_prepare and self._tell_left_out(one):
            self._note(one)

    def _arm(self, one: _Backbone, order: int, arm: str) -> Steps:
        specs = one.specs[arm]
        if one.plan.tune is not None:
            space = space_of(one.plan, arm)
            # A metric that is not computed is told by the first trial of all.
            steps = tuning(
                specs[0],
                one.plan.tune,
                space,
                self.plan.runs,
                first_alone=order == 0,
                keep=not self.only_look,
            )
            try:
                wanted = next(steps)
                while True:
                    wanted = steps.send((yield Wanted([(one.number, 1, order)] * len(wanted), wanted)))
            except StopIteration as end:
                chosen, _ = end.value
                one.chosen[arm] = chosen_path(specs[0], one.plan.tune, space, one.plan.runs)
                self._tell_tuned(specs[0].place, chosen)
                specs = [with_settings(spec, chosen) for spec in specs]
            except TuningError as error:
                for spec in specs:
                    self._record(failed_record(spec, self.plan.runs, error), spec)
                specs = []
        one.specs[arm] = specs
        one.to_tune.discard(arm)
        self._note(one)
        if specs:
            yield Wanted([(one.number, 2, place, 1, order) for place in range(len(specs))], specs)

    def _note(self, one: _Backbone) -> None:
        """Write which runs belong together, as soon as all of them are known."""
        if not one.to_prepare and not one.to_tune and not self.only_look:
            write_comparison(one.plan, one.entry, one.specs, one.standings, one.remarks, one.chosen)

    def _tell_left_out(self, one: _Backbone) -> bool:
        """A line for each reason why floors were left out since the last call; whether there was any."""
        new = [each for each in one.standings if each.left_out is not None and each.name not in one.said]
        for reason in dict.fromkeys(each.left_out for each in new):
            names = ", ".join(each.name for each in new if each.left_out == reason)
            key = f"{one.name} / {names}"
            self._tell("left out", key, f"{key}: {reason}")
        one.said.update(each.name for each in new)
        return bool(new)

    def _tell_tuned(self, key: str, chosen: Mapping[str, Any]) -> None:
        settings = (
            ", ".join(f"{name} = {shown(value)}" for name, value in chosen.items()) or "nothing to choose"
        )
        self._tell("tuned", key, f"{key}: {settings}")

    def _perform(self, spec: RunSpec, floor: bool) -> RunRecord | LeftOutError | None:
        """One run, and its record; None where another process has it in hand.

        floor: what refuses it is given back as `LeftOutError`, and no record is made.
        """
        if id(spec) not in self._folders:
            self._folders[id(spec)] = spec, spec.folder(self.plan.runs)
        folder = self._folders[id(spec)][1]
        if folder in self._waiting and held(self._waiting[folder]):
            return None
        told = False

        def begun() -> None:
            nonlocal told
            told = True
            self._tell("start", spec.key, spec.key)

        try:
            with stages_told_to(lambda line: self._tell("stage", spec.key, f"{spec.key}: {line}")):
                record = carried_out(
                    spec,
                    self.plan.runs,
                    folder=folder,
                    since=self.since,
                    only_look=self.only_look,
                    begun=begun,
                    wait=False,
                    threads=self.plan.threads,
                    keep_checkpoint=self.plan.keep_checkpoints,
                    on_epoch=lambda epoch: self._tell("epoch", spec.key, _epoch_line(spec, epoch), epoch),
                )
        except InHandError as other:
            # Another process trains what this run begins from: until that is done, something else is.
            self._waiting[folder] = other.lock
            record = None
        except Exception as error:  # whatever a model raises; the traceback is in the run's failed-*.json
            if floor and refusal(error):
                return LeftOutError(str(error) or type(error).__name__)
            record = failed_record(spec, self.plan.runs, error)
        if record is None:
            self._seen_open.add(folder)
            return None
        if not told:
            self._tell("start", spec.key, spec.key)
        if record.status == "kept" and folder in self._seen_open:
            record = replace(record, status="done")  # by another process, since this one began
        self._record(record, spec)
        return record

    def _record(self, record: RunRecord, spec: RunSpec) -> None:
        self.records.append(record)
        self._tell(record.status, spec.key, _end_line(spec, record))

    def _tell(self, kind: EventKind, key: str, message: str, epoch: Epoch | None = None) -> None:
        self.tell(Event(kind, key, message, epoch))
        self.look()

    def tell(self, event: Event) -> None:
        """Let all listeners know."""
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
    if record.status == "pruned" and record.curve:
        phase = f"ended early, at epoch {record.curve[-1][0]}, {phase}"
    return f"{spec.key}: {phase} {values} ({record.seconds or 0:.1f} s)"


def _of_floor(
    asking: Generator[list[RunSpec] | None, list[Any], Result], ranks: Callable[[list[RunSpec]], list[Rank]]
) -> Generator[Wanted | None, list[Any], Result]:
    """What a floor asks for, with ranks."""
    sent: list[Any] | None = None
    while True:
        try:
            runs = next(asking) if sent is None else asking.send(sent)
        except StopIteration as end:
            return end.value
        sent = yield None if runs is None else Wanted(ranks(runs), runs, floor=True)

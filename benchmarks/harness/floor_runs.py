"""Tuning and running the floors of a plan; one that cannot be run is left out, with the reason."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from burnish.errors import BurnishError
from burnish.training.identity import computing, digest
from burnish.training.request import make_config

from .floors import FOLDER, SHARED, Floor, all_floors, arm_that_is, is_shared, label_of, own_space
from .plan import PLAIN, BackboneEntry, Plan, Tune
from .ranges import Space, all_points, at_edge, is_grid, possible, size
from .runs import RunRecord, failed_record
from .same_cases import check_ranked, comparable_options, floor_options, training_length
from .specs import RunSpec, with_settings
from .tuning import chosen_path, n_trials, tuning

Result = TypeVar("Result")


class LeftOutError(BurnishError):
    """A floor that cannot be run; the message says why."""


#: What carrying out one run of a floor comes to.
Outcome = RunRecord | LeftOutError
#: Asks for runs and is sent what they came to; None asks for nothing but to be called again later.
Asking = Generator[list[RunSpec] | None, list[Outcome], Result]


@dataclass
class Standing:
    """What a comparison knows of one floor.

    runs: one a seed.  arm: the plan's own arm that is this floor.  left_out: why there are no runs.
    tuning: the file that says what was chosen.
    """

    name: str
    runs: list[RunSpec] = field(default_factory=list)
    arm: str | None = None
    trials: int = 0
    chosen: dict[str, Any] = field(default_factory=dict)
    edge: list[str] = field(default_factory=list)
    left_out: str | None = None
    tuning: Path | None = None

    @property
    def shared(self) -> bool:
        return is_shared(self.name)


class Floors:
    """The floors on one data set, backbone by backbone; those without a backbone are run once for all of them.

    plan: of that data set.

    What needs runs is a generator that asks for them: whoever carries them out may do so in any order.
    """

    def __init__(
        self,
        plan: Plan,
        tell: Callable[[str, Mapping[str, Any]], None] | None = None,
        *,
        keep: bool = True,
    ) -> None:
        """tell: called with a floor and what was chosen for it, as `BPR / softmax`.  keep: write that down."""
        self.plan = plan
        self.keep = keep
        self.tell = tell
        self.floors = all_floors(plan.floors)
        self._tuned: dict[str, Standing] = {}
        self._under_way: set[str] = set()
        self._ran: dict[str, str | None] = {}
        self._options: dict[tuple[str, str | None], tuple[dict[str, Any], list[str]] | BurnishError] = {}

    def prepare(self, entry: BackboneEntry, name: str) -> Asking[tuple[Standing, list[str]]]:
        """One floor of a backbone, tuned, and run where it needs no backbone; and remarks on the comparison with it."""
        arms = self.plan.arms_of(entry)
        label = arm_that_is(name, arms)
        if label is not None:
            return Standing(name, arm=label), []
        try:
            if label_of(name) in arms:
                raise LeftOutError(
                    f"the plan has another arm called {label_of(name)}; give that one another label"
                )
            if is_shared(name):
                return (yield from self._shared(name, self.floors[name], entry))
            return (yield from self._of_backbone(name, self.floors[name], entry)), []
        except Exception as error:
            # Whatever reading the data raises: the arms go on, and say it themselves.
            why = str(error) if isinstance(error, BurnishError) else f"{type(error).__name__}: {error}"
            return Standing(label_of(name), left_out=why), []

    def _shared(self, name: str, floor: Floor, entry: BackboneEntry) -> Asking[tuple[Standing, list[str]]]:
        options, remarks = self._beside(name, entry)
        seeds = self.plan.seeds_of(entry)
        label = label_of(name)
        base = self._spec(name, FOLDER, label, seeds[0], {}, options)
        key = f"{name} {digest(computing(options))}"
        while key in self._under_way:  # another backbone's, whose runs these are as well
            yield None
        self._under_way.add(key)
        try:
            if key not in self._tuned:
                spec = with_settings(base, floor.options)
                self._tuned[key] = yield from self._choose(spec, floor, own_space(name, floor))
            tuned = self._tuned[key]
            if tuned.left_out is not None:
                raise LeftOutError(tuned.left_out)
            standing = Standing(
                label, trials=tuned.trials, chosen=tuned.chosen, edge=tuned.edge, tuning=tuned.tuning
            )
            settings = {**floor.options, **tuned.chosen}
            runs = [self._spec(name, FOLDER, label, seed, {}, options) for seed in seeds]
            standing.runs = [with_settings(run, settings) for run in runs]
            missing = [run for run in standing.runs if run.digest not in self._ran]
            for run, outcome in zip(missing, (yield missing) if missing else [], strict=True):
                self._ran[run.digest] = str(outcome) if isinstance(outcome, LeftOutError) else None
        finally:
            self._under_way.discard(key)
        refused = [why for why in (self._ran[run.digest] for run in standing.runs) if why is not None]
        standing.left_out = refused[-1] if refused else None
        return standing, remarks

    def _spec(
        self,
        model: str,
        label: str,
        arm: str,
        seed: int,
        enhancers: Mapping[str, Mapping[str, Any]],
        options: Mapping[str, Any],
    ) -> RunSpec:
        """A run on the plan's data."""
        home = self.plan.dataset_label
        return RunSpec(self.plan.dataset, model, label, arm, seed, enhancers, options, home=home)

    def _beside(self, name: str, entry: BackboneEntry) -> tuple[dict[str, Any], list[str]]:
        """`comparable_options`, asked once a backbone, and once a floor that is not one of the default ones."""
        key = entry.label, None if name in SHARED else name
        if key not in self._options:
            try:
                self._options[key] = comparable_options(self.plan, entry, key[1])
            except BurnishError as error:
                self._options[key] = error
        known = self._options[key]
        if isinstance(known, BurnishError):
            raise known
        return known

    def run(self, standing: Standing) -> Asking[None]:
        """Carry out the runs of a floor of a backbone; where it refuses one, note why."""
        if standing.shared or standing.arm is not None or standing.left_out is not None:
            return
        # The first seed alone: what refuses it will refuse the others.
        for some in (standing.runs[:1], standing.runs[1:]):
            if some and standing.left_out is None:
                refused = [one for one in (yield some) if isinstance(one, LeftOutError)]
                standing.left_out = str(refused[0]) if refused else None

    def _of_backbone(self, name: str, floor: Floor, entry: BackboneEntry) -> Asking[Standing]:
        self._check_ranked(entry)
        plan = self.plan
        options = {**plan.options, **entry.options}
        specs = [
            with_settings(self._spec(entry.name, entry.label, name, seed, {name: {}}, options), floor.options)
            for seed in plan.seeds_of(entry)
        ]
        standing = yield from self._choose(specs[0], floor, self._space(name, floor))
        if standing.left_out is None:
            standing.runs = [with_settings(spec, standing.chosen) for spec in specs]
        return standing

    def _check_ranked(self, entry: BackboneEntry) -> None:
        from burnish.enhancers.zoo import find_backbone

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {**self.plan.options, **entry.options}
            check_ranked(make_config(find_backbone(entry.name), self.plan.dataset, {}, options))

    def _space(self, name: str, floor: Floor) -> Space:
        """What is tuned for a floor of a backbone: what the plain backbone is, and the floor's own."""
        tune = self.plan.tune
        if tune is None:
            return floor.tune or {}
        common = {
            option: values
            for option, values in tune.space.items()
            if "." not in option or option.startswith(f"{name}.")
        }
        beside = {**common, **tune.arms.get(PLAIN, {})}
        free = {option: values for option, values in beside.items() if option not in floor.options}
        return possible({**free, **own_space(name, floor)})

    def _rules(self, name: str, floor: Floor, space: Space) -> Tune | None:
        """How a floor's options are chosen: as an arm's; but all of its own grid where no backbone is needed."""
        tune = self.plan.tune
        if is_shared(name):
            rules: dict[str, Any] = {} if tune is None else {"metric": tune.metric, "seed": tune.seed}
            if tune is not None and name not in SHARED:
                rules["options"] = training_length(tune.options)
            if tune is not None and math.isinf(size(space)):  # a range has no grid: as many trials as an arm
                searched = {one: getattr(tune, one) for one in ("method", "at_once", "pruning")}
                return Tune(trials=floor.trials or tune.trials, **rules, **searched)
            return Tune(trials=floor.trials or _points(space), **rules)
        if tune is None:
            return Tune(trials=floor.trials or _points(space)) if floor.tune else None
        # As many as an arm has, but no fewer than its own values: a draw could leave out the one that works.
        own = own_space(name, floor)
        fewest = tune.trials if math.isinf(size(own)) else max(tune.trials, _points(own))
        return tune.model_copy(update={"trials": floor.trials or fewest})

    def _choose(self, spec: RunSpec, floor: Floor, space: Space) -> Asking[Standing]:
        rules = self._rules(spec.arm, floor, space)
        standing = Standing(spec.arm)
        if rules is None:
            return standing
        succeeded = False

        def recorded(one: RunSpec, outcome: Outcome) -> RunRecord:
            """What refuses at first will go on to; what worked may still be refused an option (too much memory)."""
            nonlocal succeeded
            if isinstance(outcome, LeftOutError):
                if not succeeded:
                    raise outcome
                return failed_record(one, self.plan.runs, str(outcome))
            succeeded = succeeded or outcome.status != "failed"
            return outcome

        steps = tuning(spec, rules, space, self.plan.runs, first_alone=True, keep=self.keep)
        try:
            wanted = next(steps)
            while True:
                outcomes = yield wanted
                wanted = steps.send([recorded(*pair) for pair in zip(wanted, outcomes, strict=True)])
        except StopIteration as end:
            chosen, records = end.value
        except BurnishError as error:
            standing.left_out = str(error)
            return standing
        standing.trials, standing.chosen, standing.edge = len(records), chosen, at_edge(space, chosen)
        standing.tuning = chosen_path(spec, rules, space, self.plan.runs)
        if space and self.tell is not None:
            self.tell(spec.place, chosen)
        return standing

    def count(self) -> tuple[int, int]:
        """Runs of floors, and tuning trials besides, if none is left out."""
        expected = self.expected()
        return sum(runs for *_, runs in expected), sum(trials for *_, trials, _ in expected)

    def expected(self) -> list[tuple[str, str, int, int]]:
        """Of each floor: the label of its backbone or `FOLDER`, its name, trials, and runs, if none is left out."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        seen: set[str] = set()
        for entry in self.plan.backbones:
            key = digest(computing(floor_options(self.plan, entry)))
            arms = self.plan.arms_of(entry)
            for name, floor in self.floors.items():
                if arm_that_is(name, arms) is not None or label_of(name) in arms:
                    continue
                seeds = [f"{name} {key} {seed}" for seed in self.plan.seeds_of(entry)]
                fresh = [one for one in seeds if not is_shared(name) or one not in seen]
                tuned = is_shared(name) and f"{name} {key}" in seen
                place = FOLDER if is_shared(name) else entry.label, label_of(name)
                trials, runs = found.get(place, (0, 0))
                found[place] = trials + (0 if tuned else self._n_trials(name, floor)), runs + len(fresh)
                seen.update(seeds, [f"{name} {key}"])
        return [(*place, *numbers) for place, numbers in found.items()]

    def _n_trials(self, name: str, floor: Floor) -> int:
        space = own_space(name, floor) if is_shared(name) else self._space(name, floor)
        rules = self._rules(name, floor, space)
        return 0 if rules is None else n_trials(rules, space)


def _points(space: Space) -> int:
    """How many points there are in a space without ranges."""
    return int(size(space)) if is_grid(space) else len(all_points(space))


def noted(standings: list[Standing], remarks: list[str], plan: Plan, place: Path) -> dict[str, Any]:
    """The floors as a comparison's note holds them.  place: the folder that names of runs are meant from."""
    floors: dict[str, Any] = {}
    for one in standings:
        if one.arm is not None:
            floors[one.name] = {"arm": one.arm}
            continue
        entry: dict[str, Any] = {}
        if one.runs:
            entry["runs"] = {
                str(run.seed): os.path.relpath(run.folder(plan.runs), place).replace(os.sep, "/")
                for run in one.runs
            }
            entry |= {"trials": one.trials, "chosen": one.chosen, "edge": one.edge}
            if one.tuning is not None:
                entry["tuning"] = os.path.relpath(one.tuning, place).replace(os.sep, "/")
        if one.left_out is not None:
            entry["left_out"] = one.left_out
        floors[one.name] = entry
    return {"floors": floors, "floor_remarks": remarks}

"""What a search knows of the ways to train a backbone, its runs, several at once, and the decisions that it keeps.

The rungs of the search are in `rungs`, who carries out runs in `crew`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.benchmarks.harness.floors import SHARED
from burnish.benchmarks.harness.metrics import sign
from burnish.benchmarks.harness.runs import RunRecord
from burnish.benchmarks.harness.spaces import candidates
from burnish.benchmarks.harness.specs import RunSpec, is_done, with_settings
from burnish.errors import DataError
from burnish.files.lock import held
from burnish.files.whole import read_json, write_json
from burnish.training.result import Epoch

from .crew import Hands, Outcome, attempt
from .families import PLAIN, PRIOR, Family
from .tried import Clock, Job, News, Tried, best

#: Of the budget: what floors may take.
FLOORS_SHARE = 0.15
#: Of the budget: what is left for the test of a winner at most; less where so many seeds of the test take less.
RESERVE, MOST_SEEDS = 0.35, 5
#: By how much a rung's epochs grow.
GROWTH = 3
#: Settings whose choice a second seed confirms.
FINALISTS = 3


@dataclass
class Search:
    """What is known of a backbone on a data set.

    base: the plain run, with the seed of the search.  hands: who carries out runs.  most: epochs of a run at most.
    state: the file that decisions are kept in, which depend on the clock, so that a search that goes on takes them
    again.  reserve: the share of the budget that is left for the test of a winner, at most.
    """

    base: RunSpec
    families: list[Family]
    hands: Hands
    clock: Clock
    metric: str
    most: int
    state: Path
    tell: Callable[[News], None] = lambda news: None
    reserve: float = RESERVE
    tried: list[Tried] = field(default_factory=list)
    floors: dict[str, list[Tried]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    #: Ways of which no setting was tried, for want of time.
    no_time: list[str] = field(default_factory=list)
    #: How many ways a rung began with, for the report.
    rungs: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decided: dict[str, Any] = {}
        if self.state.is_file():
            anew = "remove the folder to begin anew"
            kept = read_json(self.state, anew)
            try:
                self._decided = dict(kept["decided"])
                self.clock.spent = float(kept["spent"])
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{self.state} is damaged ({error!r}); {anew}") from error
        self._number = 0
        self._under_way: dict[int, tuple[Job, RunSpec]] = {}
        #: Begun and given up, as another run trains first what they need; with its lock.
        self._passed: list[tuple[Job, Path]] = []
        self._at: dict[int, str] = {}

    # ------------------------------------------------------------------ decisions

    def decide(self, name: str, make: Callable[[], Any]) -> Any:
        """What was decided under this name before; else what `make` gives, which is kept."""
        if name not in self._decided:
            self._decided[name] = make()
            self.keep()
        return self._decided[name]

    def lengthen(self, budget: float) -> None:
        """Forget what was decided for want of time, where the budget is larger than it was."""
        if budget > self.decide("budget", lambda: budget):
            kept = {name: one for name, one in self._decided.items() if not name.startswith("time:")}
            self._decided = {**kept, "budget": budget}
            self.keep()

    def keep(self) -> None:
        """Write what was decided, and the time that is spent."""
        write_json(self.state, {"decided": self._decided, "spent": self.clock.now()})

    def say(self, kind: str, message: str) -> None:
        """Tell whoever listens."""
        self.tell(News(kind, message, self.clock.now()))

    # ------------------------------------------------------------------ runs

    def carry_out(self, lanes: Iterable[Iterator[Job | None]]) -> None:
        """Carry out what lanes ask for, as many runs at once as there are hands; what fails is told and noted.

        A free hand takes the next job of the first lane that has one.  A lane is asked only then, so that it knows what
        is known by then; it gives None where it has to wait for a run that is under way.
        """
        open_ = list(lanes)
        while True:
            while len(self._under_way) < self.hands.n:
                job = self._next(open_)
                if job is None:
                    break
                self._begin(job)
            if not self._under_way:
                return
            number, outcome = self.hands.next(self._told, self._lost)
            job, spec = self._under_way.pop(number)
            self._at.pop(number, None)
            if outcome.lock is not None:
                self._passed.append((job, outcome.lock))
            else:
                self._end(job, spec, outcome, kept=False)

    def results(self, jobs: Sequence[Job]) -> list[Tried]:
        """What these jobs come to, in their order; they share one list of results."""
        self.carry_out([iter(jobs)])
        return jobs[0].to

    def _next(self, lanes: list[Iterator[Job | None]]) -> Job | None:
        for place, (job, lock) in enumerate(self._passed):
            if not self._under_way or not held(lock):
                del self._passed[place]
                return job
        for lane in list(lanes):
            try:
                job_or_none = next(lane)
            except StopIteration:
                lanes.remove(lane)
                continue
            if job_or_none is not None:
                return job_or_none
        return None

    def _begin(self, job: Job) -> None:
        self._number += 1
        spec = replace(with_settings(job.spec, job.settings), trial=self._number)
        if is_done(spec.folder(self.hands.runs)):
            self._end(job, spec, attempt(spec, self.hands.runs, self.hands.threads), kept=True)
            return
        self.say("start", job.shown)
        wait = not self._under_way
        self._under_way[self._number] = job, spec
        self.hands.begin(self._number, spec, wait=wait)

    def _end(self, job: Job, spec: RunSpec, outcome: Outcome, *, kept: bool) -> None:
        if outcome.error is None and outcome.record is None:  # of another process
            read = attempt(spec, self.hands.runs, self.hands.threads)
            outcome = replace(read, seconds=outcome.seconds)
        record = outcome.record
        value = None if record is None else self._value(record)
        took = outcome.seconds if not kept or record is None else record.seconds or 0.0
        step = int(spec.options.get("eval_step") or 1)
        ended = record is not None and bool(record.curve) and record.curve[-1][0] + step <= job.epochs
        error, refused = outcome.error, outcome.refused
        done = Tried(job.family, dict(job.settings), value, job.epochs, took, error, refused, ended, job.rank)
        job.to.append(done)
        job.to.sort(key=lambda one: one.rank)
        self.keep()
        if error is not None:
            self.say("left out" if refused else "failed", f"{job.shown}: {error}")
        elif kept:
            self.say("kept", f"{job.shown}: {self._shown(value)}")
        else:
            self.say("done", f"{job.shown}: {self._shown(value)}, {took:.0f} s")

    def _told(self, number: int, epoch: Epoch) -> None:
        job, _ = self._under_way[number]
        message = f"{job.shown}: {epoch.of} {epoch.number} of {epoch.total}"
        self._at[number] = f"{epoch.number}/{epoch.total}"
        if self.hands.n > 1:  # one line for all
            message = ", ".join(
                f"{one.family} {self._at.get(each, '')}".rstrip()
                for each, (one, _) in self._under_way.items()
            )
        self.tell(News("epoch", message, self.clock.now(), epoch))

    def _lost(self, number: int, message: str) -> None:
        self._at.pop(number, None)
        self.say("lost", f"{self._under_way[number][0].shown}: {message}")

    def _value(self, record: RunRecord) -> float | None:
        value = record.valid.get(self.metric)
        return None if value is None or not math.isfinite(value) else sign(self.metric) * value

    def _shown(self, value: float | None) -> str:
        return "no value" if value is None else f"validation {self.metric} {abs(value):.4f}"

    # ------------------------------------------------------------------ floors

    def look_at_floors(self, options: Mapping[str, Any]) -> None:
        """Pop, ItemKNN and EASE, as far as their share of the budget goes, each with its first setting at least.

        options: RecBole's, of data and evaluation.
        """
        until = self.clock.now() + FLOORS_SHARE * self.clock.budget
        lanes = []
        for place, (name, space) in enumerate(SHARED.items()):
            self.floors[name] = []
            spec = RunSpec(self.base.dataset, name, "floors", name, self.base.seed, {}, options)
            points = _from_the_middle(candidates(space, 10**6, seed=0))
            lanes.append(self._floor(spec, points, until, len(SHARED) - place))
        self.carry_out(lanes)

    def _floor(
        self, spec: RunSpec, points: list[dict[str, Any]], until: float, to_come: int
    ) -> Iterator[Job | None]:
        """The settings of a floor, as far as the time goes.

        until: by the search's clock.  to_come: floors that share the time, with this one; what one leaves over is for
        those after it.
        """
        own = self.clock.now() + (until - self.clock.now()) / to_come
        done = self.floors[spec.arm]

        def fits() -> bool:
            return self.clock.now() + max((one.seconds for one in done), default=0.0) < own

        for number, settings in enumerate(points):
            while self.unsure(spec.arm):
                yield None
            if any(one.refused for one in done):
                break
            if number and not self.decide(f"time: {spec.arm} {number}", fits):
                self.say("stop", f"{spec.arm}: {number} of {len(points)} settings, for want of time")
                break
            yield Job(spec, spec.arm, settings, 1, done, (number,))

    def best_floor(self) -> Tried | None:
        """The setting of a floor that is best on validation: of those without a backbone, and of the prior on it."""
        shared = [one for tries in self.floors.values() for one in tries]
        return best([*shared, *(one for one in self.tried if one.family == PRIOR)])

    # ------------------------------------------------------------------ what is known of ways

    def spec_of(self, family: Family, epochs: int) -> RunSpec:
        """The run of a way, before settings."""
        options = {**self.base.options, "epochs": epochs}
        return replace(self.base, arm=family.name, enhancers=family.enhancers, options=options)

    def best_of(self, name: str) -> Tried | None:
        """The best setting of a way on validation."""
        return best(one for one in self.tried if one.family == name)

    def score(self, name: str) -> float:
        """That of its best setting; minus infinity for none."""
        found = self.best_of(name)
        return -math.inf if found is None or found.value is None else found.value

    def unsure(self, name: str | None) -> bool:
        """Whether it is not known yet if a way, or a floor, goes at all: its first run is under way."""
        open_ = [job for job, _ in (*self._under_way.values(), *self._passed)]
        known = (*self.tried, *self.floors.get(name or "", ()))
        return any(job.family == name for job in open_) and not any(
            one.family == name and one.error is None for one in known
        )

    def refused(self, name: str) -> bool:
        """Whether all runs of a way failed; it is left out then."""
        own = [one for one in self.tried if one.family == name]
        if own and all(one.error is not None for one in own):
            self.left_out.setdefault(name, own[-1].error or "")
            return True
        return False

    def needed(self, family: Family) -> bool:
        """Whether a way is worth a look: what it goes together with goes, and what it would stand in for does not."""
        if family.as_well_as is not None and self.refused(family.as_well_as):
            return False
        return family.instead_of is None or self.refused(family.instead_of)

    # ------------------------------------------------------------------ time

    def together(self, seconds: Iterable[float]) -> float:
        """How long runs of so many seconds take, with all hands at work."""
        each = list(seconds)
        return max(sum(each) / self.hands.n, max(each, default=0.0))

    def cost(self, name: str, cap: int) -> float:
        """Seconds that a run of a way takes with so many epochs, by those that were seen; at most thrice as many."""
        seen = [one for one in self.tried if one.family == name and one.error is None]
        if not seen:
            return 0.0
        return max(
            one.seconds * (1.0 if one.ended or one.epochs >= cap else min(cap / one.epochs, GROWTH))
            for one in seen
        )

    def left_for_runs(self) -> float:
        """Seconds that are left beside those for the test; none are for it as long as nothing is above plain.

        The test takes as long as a winner, plain and a floor with all their epochs on the most seeds, or all of its
        share where that is not known to be less.
        """
        enhanced = best(one for one in self.tried if not self._held(one.family))
        if enhanced is None or (enhanced.value or 0.0) <= self.score(PLAIN):
            return self.clock.left
        sides = (enhanced, self.best_of(PLAIN), self.best_floor())
        test = self.together([self._to_the_end(one) for one in sides if one is not None] * MOST_SEEDS)
        return self.clock.left - min(self.reserve * self.clock.budget, test)

    def _to_the_end(self, one: Tried) -> float:
        """Seconds of a run with all epochs, at most."""
        family = next((family for family in self.families if family.name == one.family), None)
        trained = family is not None and bool(family.space) and not one.ended
        return one.seconds * self.most / one.epochs if trained else one.seconds

    # ------------------------------------------------------------------ the winner

    def winner(self) -> Tried | None:
        """The best setting of all enhancements; among the best few, where time allows, the mean with a second seed."""
        enhanced = [one for one in self.tried if not self._held(one.family) and one.value is not None]
        ranked = sorted(enhanced, key=lambda one: (-(one.value or 0.0), -one.epochs))
        finalists: list[Tried] = []
        for one in ranked:
            if not any(one.family == other.family and one.settings == other.settings for other in finalists):
                finalists.append(one)
        finalists = finalists[:FINALISTS]
        if not finalists:
            return None
        price = self.together(one.seconds for one in finalists)
        enough = self.decide("time: second seed", lambda: price < self.left_for_runs())
        if len(finalists) == 1 or not enough:
            return finalists[0]
        self.say("rung", f"a second seed for the best {len(finalists)} settings")
        others: list[Tried] = []
        jobs = []
        for place, one in enumerate(finalists):
            family = next(each for each in self.families if each.name == one.family)
            spec = replace(self.spec_of(family, one.epochs), seed=self.base.seed + 1)
            jobs.append(Job(spec, one.family, one.settings, one.epochs, others, (place,)))
        means = [
            -math.inf if other.value is None else (one.value or 0.0) + other.value
            for one, other in zip(finalists, self.results(jobs), strict=True)
        ]
        return finalists[max(range(len(means)), key=means.__getitem__)]

    def _held(self, name: str) -> bool:
        return next(family.held_against for family in self.families if family.name == name)


def _from_the_middle(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points from the middle of their grid outwards: the ends are the least likely."""
    return [points[place] for place in sorted(range(len(points)), key=lambda at: abs(at - len(points) // 2))]

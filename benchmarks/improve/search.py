"""Successive halving over ways to train a backbone, on validation, within a budget of time.

A rung trains the most promising setting of every way that is left, and some more of each, with at most so many epochs;
the better half of the ways goes on to the next rung, with three times the epochs.  Plain stays to the end, with as many
settings as any other: what is compared with has had the same chances.  After Karnin, Koren and Somekh (ICML 2013) and
Jamieson and Talwalkar (AISTATS 2016); what is halved, ways instead of single settings, is ours.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from burnish.benchmarks.harness.floors import SHARED
from burnish.benchmarks.harness.metrics import sign
from burnish.benchmarks.harness.runs import RunRecord, carry_out, failed_record, refusal
from burnish.benchmarks.harness.spaces import candidates
from burnish.benchmarks.harness.specs import RunSpec, is_done, with_settings
from burnish.errors import BurnishError, DataError
from burnish.files.whole import read_json, write_json
from burnish.training.result import Epoch

from .families import PLAIN, PRIOR, Family

#: Of the budget: what floors may take, and a first look at all ways.
FLOORS_SHARE, FIRST_SHARE = 0.15, 0.2
#: How much longer than plain an enhanced epoch is taken to be before it is measured.
DEARER = 2.0
#: Epochs of a first measurement; by how much a rung's epochs grow; fewest epochs that say anything.
MEASURED, GROWTH, FEWEST = 3, 3, 10
#: New settings of a way in a rung, at most.
MOST_NEW = 6
#: Settings whose choice a second seed confirms.
FINALISTS = 3


@dataclass(frozen=True)
class Tried:
    """One setting of a way, trained.

    value: on validation, larger is better; None where it failed.  epochs: at most so many were allowed.
    seconds: of training, with what was trained first for it.  ended: whether it stopped by itself before the last of
    these epochs, so that more would change nothing.
    """

    family: str
    settings: Mapping[str, Any]
    value: float | None
    epochs: int
    seconds: float
    error: str | None = None
    refused: bool = False
    ended: bool = False


@dataclass(frozen=True)
class News:
    """Something that happened.  kind: what; message: one line for a person; spent: seconds of the budget so far."""

    kind: str
    message: str
    spent: float
    epoch: Epoch | None = None


@dataclass
class Clock:
    """Seconds of the budget that are spent, over all calls that worked at it."""

    budget: float
    spent: float = 0.0
    _since: float = field(default_factory=lambda: time.perf_counter())

    def now(self) -> float:
        """Seconds spent up to now."""
        moment = time.perf_counter()
        self.spent += moment - self._since
        self._since = moment
        return self.spent

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; below 0 where it is overdrawn."""
        return self.budget - self.now()


@dataclass
class Search:
    """What is known of a backbone on a data set.

    base: the plain run, with the seed of the search.  most: epochs of a run at most.  state: the file that decisions
    are kept in, which depend on the clock, so that a search that goes on takes them again.
    """

    base: RunSpec
    families: list[Family]
    runs: Path
    clock: Clock
    metric: str
    most: int
    state: Path
    threads: int | None = None
    tell: Callable[[News], None] = lambda news: None
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

    # ------------------------------------------------------------------ decisions and single runs

    def decide(self, name: str, make: Callable[[], Any]) -> Any:
        """What was decided under this name before; else what `make` gives, which is kept."""
        if name not in self._decided:
            self._decided[name] = make()
            self._keep()
        return self._decided[name]

    def lengthen(self, budget: float) -> None:
        """Forget what was decided for want of time, where the budget is larger than it was."""
        if budget > self.decide("budget", lambda: budget):
            kept = {name: one for name, one in self._decided.items() if not name.startswith("time:")}
            self._decided = {**kept, "budget": budget}
            self._keep()

    def _keep(self) -> None:
        write_json(self.state, {"decided": self._decided, "spent": self.clock.now()})

    def say(self, kind: str, message: str) -> None:
        """Tell whoever listens."""
        self.tell(News(kind, message, self.clock.now()))

    def run(self, spec: RunSpec, name: str, settings: Mapping[str, Any], epochs: int) -> Tried:
        """One training, or its result where it is there; what fails is told and noted."""
        self._number += 1
        spec = replace(with_settings(spec, settings), trial=self._number)
        shown = named(name, settings)
        kept = is_done(spec.folder(self.runs))
        if not kept:
            self.say("start", shown)
        began = time.perf_counter()

        def told(epoch: Epoch) -> None:
            at = f"{epoch.of} {epoch.number} of {epoch.total}"
            self.tell(News("epoch", f"{shown}: {at}", self.clock.now(), epoch))

        refused, error = False, None
        try:
            record = carry_out(spec, self.runs, threads=self.threads, on_epoch=told)
        except Exception as problem:  # whatever a model raises: the others go on
            refused = refusal(problem)
            error = (
                str(problem) if isinstance(problem, BurnishError) else f"{type(problem).__name__}: {problem}"
            )
            record = failed_record(spec, self.runs, problem)
        took = time.perf_counter() - began if not kept else record.seconds or 0.0
        value = self._value(record)
        step = int(spec.options.get("eval_step") or 1)
        ended = bool(record.curve) and record.curve[-1][0] + step <= epochs
        done = Tried(name, dict(settings), value, epochs, took, error, refused, ended)
        self._keep()
        if kept:
            self.say("kept", f"{shown}: {self._shown(value)}")
        elif error is None:
            self.say("done", f"{shown}: {self._shown(value)}, {took:.0f} s")
        else:
            self.say("left out" if refused else "failed", f"{shown}: {error}")
        return done

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
        for place, (name, space) in enumerate(SHARED.items()):
            # What one leaves over is for those after it.
            own = self.clock.now() + (until - self.clock.now()) / (len(SHARED) - place)
            spec = RunSpec(self.base.dataset, name, "floors", name, self.base.seed, {}, options)
            self.floors[name] = self._floor(spec, _from_the_middle(candidates(space, 10**6, seed=0)), own)

    def _floor(self, spec: RunSpec, points: list[dict[str, Any]], until: float) -> list[Tried]:
        """The settings of a floor, one after the other, as far as the time goes.  until: by the search's clock."""
        done: list[Tried] = []

        def fits() -> bool:
            return self.clock.now() + max((one.seconds for one in done), default=0.0) < until

        for number, settings in enumerate(points):
            if number and not self.decide(f"time: {spec.arm} {number}", fits):
                self.say("stop", f"{spec.arm}: {number} of {len(points)} settings, for want of time")
                break
            done.append(self.run(spec, spec.arm, settings, 1))
            if done[-1].refused:
                break
        return done

    def best_floor(self) -> Tried | None:
        """The setting of a floor that is best on validation: of those without a backbone, and of the prior on it."""
        shared = [one for tries in self.floors.values() for one in tries]
        return _best([*shared, *(one for one in self.tried if one.family == PRIOR)])

    # ------------------------------------------------------------------ halving

    def halve(self, reserve: float) -> None:
        """The rungs.  reserve: the share of the budget that is left for the test of a winner."""
        alive = list(self.families)
        after = {family.name: 0 for family in alive}  # settings tried of each
        cap = self._first_epochs([one for one in alive if one.instead_of is None])
        rung = 0
        while True:
            more = 1
            if rung:
                coming = self._next(rung, alive, after, cap, reserve)
                if coming is None:
                    return
                cap, more = coming
            sure = [one for one in alive if rung or one.instead_of is None]
            self.rungs.append({"ways": len(sure), "new": more, "epochs": cap})
            if rung:
                self.say(
                    "rung",
                    f"{len(alive)} ways go on: up to {cap} epochs, {more} more setting{'s' if more != 1 else ''} each",
                )
            for family in alive:
                if not self.needed(family):
                    self._leave_out_with(family)
                    continue
                self._again(family, cap)
                points = family.settings(self.base.seed)
                for settings in points[after[family.name] : after[family.name] + more]:
                    if self._refused(family.name) or not self._fits(rung, family, after, cap, reserve):
                        break
                    self.tried.append(self.run(self._spec(family, cap), family.name, settings, cap))
                    after[family.name] += 1
                    self.no_time = [name for name in self.no_time if name != family.name]
            alive = self._better_half(
                [one for one in alive if not self._refused(one.name) and self.needed(one)]
            )
            if all(family.held_against for family in alive):
                return
            rung += 1

    def _first_epochs(self, alive: list[Family]) -> int:
        """Epochs of the first rung: so that a look at every way takes its share of the budget."""
        spec = self._spec(alive[0], MEASURED)
        look = self.run(spec, PLAIN, alive[0].settings(self.base.seed)[0], MEASURED)
        if look.error is not None:
            raise BurnishError(f"the backbone cannot be trained: {look.error}")

        def epochs() -> int:
            seconds = max(look.seconds / MEASURED, 1e-3)
            share = FIRST_SHARE * self.clock.budget / (len(alive) * seconds * DEARER)
            return int(min(self.most, max(FEWEST, share)))

        return int(self.decide("epochs", epochs))

    def _next(
        self, rung: int, alive: list[Family], after: Mapping[str, int], cap: int, reserve: float
    ) -> tuple[int, int] | None:
        """Epochs and number of new settings of each way in the next rung, by the time; None where it is over.

        More epochs come first, as long as the time for them leaves as much for each rung to come, each with half as
        many ways; then new settings with the epochs that there are; and what is left in the end is for one rung more.
        """

        def choose() -> list[int] | None:
            left = self.clock.left - self._kept_for_the_test(reserve)
            to_come = max(1, math.ceil(math.log2(max(2, len(alive)))))
            for rungs, epochs in itertools.product(
                dict.fromkeys((to_come, 1)), dict.fromkeys((min(self.most, cap * GROWTH), cap))
            ):
                again = sum(self.cost(one.name, epochs) for one in alive if self._wants_more(one, epochs))
                open_ = {one.name: len(one.settings(0)) - after[one.name] for one in alive}
                each = sum(self.cost(name, epochs) for name, number in open_.items() if number)
                room = left / rungs - again
                new = int(min(MOST_NEW, max(open_.values()), room / max(each, 1e-9))) if room >= 0 else -1
                if new > 0 or (new == 0 and again > 0):
                    return [epochs, new]
            return None

        decided = self.decide(f"time: coming, {rung}", choose)  # another name than that of a number once
        return None if decided is None else (int(decided[0]), int(decided[1]))

    def _fits(self, rung: int, family: Family, after: Mapping[str, int], cap: int, reserve: float) -> bool:
        """Whether the time is enough for one more setting of a way; plain is always looked at once."""
        tried = after[family.name]
        if family.name == PLAIN and not tried:
            return True
        price = self.cost(family.name, cap) or self.cost(PLAIN, cap) * DEARER

        def enough() -> bool:
            return price <= self.clock.left - self._kept_for_the_test(reserve)

        fits = bool(self.decide(f"time: rung {rung}, {family.name} {tried}", enough))
        if not fits and family.name not in self.no_time:
            self.say("no time", f"{family.name}: a run takes about {price:.0f} s, longer than there is time")
            if not tried:
                self.no_time.append(family.name)
        return fits

    def _kept_for_the_test(self, reserve: float) -> float:
        """Seconds that the search leaves alone; none as long as nothing is above plain, and so nothing to be tested."""
        plain = self._score(PLAIN)
        above = any(self._score(family.name) > plain for family in self.families if not family.held_against)
        return reserve * self.clock.budget if above else 0.0

    def cost(self, name: str, cap: int) -> float:
        """Seconds that a run of a way takes with so many epochs, by those that were seen; at most thrice as many."""
        seen = [one for one in self.tried if one.family == name and one.error is None]
        if not seen:
            return 0.0
        return max(
            one.seconds * (1.0 if one.ended or one.epochs >= cap else min(cap / one.epochs, GROWTH))
            for one in seen
        )

    def _wants_more(self, family: Family, cap: int) -> bool:
        """Whether the best setting of a way had fewer epochs than that, and was still at it."""
        best = self.best_of(family.name)
        # Without a space there is nothing that is trained.
        return best is not None and best.epochs < cap and not best.ended and bool(family.space)

    def _again(self, family: Family, cap: int) -> None:
        """Train the best setting of a way with more epochs, where it had fewer."""
        best = self.best_of(family.name)
        if best is not None and self._wants_more(family, cap):
            self.tried.append(self.run(self._spec(family, cap), family.name, best.settings, cap))

    def _spec(self, family: Family, epochs: int) -> RunSpec:
        options = {**self.base.options, "epochs": epochs}
        return replace(self.base, arm=family.name, enhancers=family.enhancers, options=options)

    def _refused(self, name: str) -> bool:
        own = [one for one in self.tried if one.family == name]
        if own and all(one.error is not None for one in own):
            self.left_out.setdefault(name, own[-1].error or "")
            return True
        return False

    def needed(self, family: Family) -> bool:
        """Whether a way is worth a look: what it goes together with goes, and what it would stand in for does not."""
        if family.as_well_as is not None and self._refused(family.as_well_as):
            return False
        return family.instead_of is None or self._refused(family.instead_of)

    def _leave_out_with(self, family: Family) -> None:
        """Say that a way is left out for the same reason as another."""
        if family.as_well_as in self.left_out and family.name not in self.left_out:
            self.left_out[family.name] = self.left_out[family.as_well_as]
            self.say("left out", f"{family.name}: as {family.as_well_as}")

    def _better_half(self, alive: list[Family]) -> list[Family]:
        """Ways that go on: what is held against, and the better half of the others, by their best setting."""
        others = [family for family in alive if not family.held_against]
        others.sort(key=lambda family: -self._score(family.name))
        keep = {family.name for family in others[: math.ceil(len(others) / 2)]}
        return [family for family in alive if family.name == PLAIN or family.name in keep]

    def _score(self, name: str) -> float:
        best = self.best_of(name)
        return -math.inf if best is None or best.value is None else best.value

    def best_of(self, name: str) -> Tried | None:
        """The best setting of a way on validation."""
        return _best(one for one in self.tried if one.family == name)

    # ------------------------------------------------------------------ the winner

    def winner(self, reserve: float) -> Tried | None:
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
        price = sum(one.seconds for one in finalists)
        enough = self.decide(
            "time: second seed", lambda: price < self.clock.left - self._kept_for_the_test(reserve)
        )
        if len(finalists) == 1 or not enough:
            return finalists[0]
        self.say("rung", f"a second seed for the best {len(finalists)} settings")
        again = replace(self.base, seed=self.base.seed + 1)
        means = []
        for one in finalists:
            family = next(each for each in self.families if each.name == one.family)
            spec = replace(
                again,
                arm=one.family,
                enhancers=family.enhancers,
                options={**again.options, "epochs": one.epochs},
            )
            other = self.run(spec, one.family, one.settings, one.epochs)
            means.append(-math.inf if other.value is None else (one.value or 0.0) + other.value)
        return finalists[max(range(len(means)), key=means.__getitem__)]

    def _held(self, name: str) -> bool:
        return next(family.held_against for family in self.families if family.name == name)


def _from_the_middle(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points from the middle of their grid outwards: the ends are the least likely."""
    return [points[place] for place in sorted(range(len(points)), key=lambda at: abs(at - len(points) // 2))]


def _best(tries: Iterable[Tried]) -> Tried | None:
    """The one with the largest value; of equal ones that with more epochs, then the first."""
    found = [one for one in tries if one.value is not None]
    return max(found, key=lambda one: (one.value or 0.0, one.epochs), default=None)


def named(way: str, settings: Mapping[str, Any]) -> str:
    """`softmax (temperature 0.2)`: a way with its settings, where it has any."""
    return f"{way} ({in_words(settings)})" if settings else way


def in_words(settings: Mapping[str, Any]) -> str:
    """`temperature 0.2, learning_rate 0.005`: settings without the names of enhancers."""
    return ", ".join(_one(name, value) for name, value in settings.items())


def _one(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        inner = [
            each
            for one in value.values()
            for each in (one if isinstance(one, Mapping) else {"": one}).items()
        ]
        inside = dict(inner) if any(key for key, _ in inner) else dict(value)
        return in_words(inside)
    return (
        f"{name.rpartition('.')[2]} {value:g}"
        if isinstance(value, float)
        else f"{name.rpartition('.')[2]} {value}"
    )

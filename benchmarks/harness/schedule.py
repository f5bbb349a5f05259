"""Which run is next: steps of a plan ask for runs, and each is carried out as soon as nobody else does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .specs import RunSpec

#: Between two looks at runs that other processes carry out.
_PAUSE = 0.2
#: Smaller ones come first.
Rank = tuple[int, ...]


@dataclass
class Wanted:
    """Runs that a step of a plan asks for, each with its rank.  floor: what refuses them is an outcome, no failure."""

    ranks: Sequence[Rank]
    specs: Sequence[RunSpec]
    floor: bool = False


#: Asks for runs and is sent what they came to, in the order asked; None asks for nothing but to be called again.
Steps = Generator[Wanted | None, list[Any], None]
#: Carries out one run; None where another process is at it.
Perform = Callable[[RunSpec, bool], Any]


@dataclass
class _Task:
    """Steps under way.  rank: when they begin; None once they have."""

    steps: Steps
    rank: Rank | None
    wanted: Wanted | None = None
    outcomes: dict[int, Any] = field(default_factory=dict)

    def go_on(self, sent: list[Any] | None) -> bool:
        """Let it ask for the next runs; whether it did not end."""
        try:
            self.wanted = next(self.steps) if sent is None else self.steps.send(sent)
        except StopIteration:
            return False
        self.outcomes = {}
        return True


class Schedule:
    """Carries out what several steps ask for at the same time, one run after another, those of the smallest rank first.

    Other processes may work at the same plan: a run that one of them has in hand is passed over until it is done or
    given up, and something else is done meanwhile.
    """

    def __init__(
        self, perform: Perform, *, share: tuple[int, int] = (0, 1), idle: Callable[[], None] | None = None
    ) -> None:
        """share: the number of this process, from 0, and of how many; each looks for its first run elsewhere.

        idle: called while there is nothing to do but to wait for others.
        """
        self._idle = idle
        self._perform = perform
        self._share = share
        self._tasks: list[_Task] = []
        self._stopped = False

    def stop(self) -> None:
        """Leave it at that, as soon as there is nothing to do but to wait for others."""
        self._stopped = True

    def add(self, steps: Steps, rank: Rank) -> None:
        """Take in steps, which ask for their first runs when it is their turn."""
        self._tasks.append(_Task(steps, rank))

    def run(self) -> None:
        """Until nothing is asked for any more.  Raises what the steps and `perform` raise."""
        try:
            while self._tasks:
                if not (self._one_run() or self._ask_again()):
                    if self._idle is not None:
                        self._idle()
                    if self._stopped:
                        break
                    time.sleep(_PAUSE)
        finally:
            for task in self._tasks:
                task.steps.close()

    def _ask_again(self) -> bool:
        """Call those who wait for others' steps; whether one went on."""
        moved = False
        for task in [task for task in self._tasks if task.wanted is None and task.rank is None]:
            self._go_on(task, [])
            moved = moved or task.wanted is not None or task not in self._tasks
        return moved

    def _one_run(self) -> bool:
        """Carry out the first run that is free, or begin steps before it; False where there is neither."""
        for task, place in self._in_order():
            if task.wanted is None:
                task.rank = None
                self._go_on(task, None)
                return True
            outcome = self._perform(task.wanted.specs[place], task.wanted.floor)
            if outcome is None:
                continue
            task.outcomes[place] = outcome
            if len(task.outcomes) == len(task.wanted.specs):
                self._go_on(task, [task.outcomes[number] for number in range(len(task.outcomes))])
            return True
        return False

    def _go_on(self, task: _Task, sent: list[Any] | None) -> None:
        if not task.go_on(sent):
            self._tasks.remove(task)

    def _in_order(self) -> Iterator[tuple[_Task, int]]:
        open_ = [
            (task.wanted.ranks[place], number, place)
            for number, task in enumerate(self._tasks)
            if task.wanted is not None
            for place in range(len(task.wanted.specs))
            if place not in task.outcomes
        ]
        open_ += [(task.rank, number, 0) for number, task in enumerate(self._tasks) if task.rank is not None]
        open_.sort()
        own, of = self._share
        begin = len(open_) * own // of
        for _, number, place in (*open_[begin:], *open_[:begin]):
            yield self._tasks[number], place

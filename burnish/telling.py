"""What whoever watches a run is told besides its epochs: summaries, and now and then how far a long stage is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Seconds of silence before the first word on a stage; each further one comes after twice as long.
FIRST = 10.0

Say = Callable[[str], None]

_summaries: ContextVar[Say | None] = ContextVar("summaries_told_to", default=None)
_stages: ContextVar[Say | None] = ContextVar("stages_told_to", default=None)
_whose: ContextVar[str] = ContextVar("stages_of", default="")


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 item", "1,200 items".

    many: the plural, where it is not `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


@contextmanager
def summaries_told_to(say: Say) -> Iterator[None]:
    """While this is open, `say` is called with what is told of a run besides its epochs, each line once.

    That is the line that sums up a data set, options that were settled, and how far a long stage is.
    """
    known: set[str] = set()

    def once(line: str) -> None:
        if line not in known:
            known.add(line)
            say(line)

    token = _summaries.set(once)
    try:
        yield
    finally:
        _summaries.reset(token)


@contextmanager
def stages_told_to(say: Say) -> Iterator[None]:
    """While this is open, `say` is called with how far a long stage is, and with nothing else."""
    token = _stages.set(say)
    try:
        yield
    finally:
        _stages.reset(token)


@contextmanager
def stages_of(whose: str) -> Iterator[None]:
    """While this is open, stages are those of a run that is trained first, such as "the base"; empty for none."""
    before = _whose.get()
    token = _whose.set(" of ".join(name for name in (whose, before) if name))
    try:
        yield
    finally:
        _whose.reset(token)


def teller() -> Say | None:
    """What `summaries_told_to` gave; None where nobody watches."""
    return _summaries.get()


class Steps:
    """Counts what a stage has done, and says so after 10, 20, 40, ... seconds."""

    def __init__(self, what: str, total: int, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now.

        what: the stage, in words, such as "testing: batch".  total: how many steps it has; 0 where that is not known.
        """
        self._what = what
        self._total = total
        self._say = say
        self._clock = clock
        self._began = clock()
        self._wait = FIRST
        self._done = 0

    def step(self, number: int = 1) -> None:
        """So many more are done."""
        self._done += number
        spent = self._clock() - self._began
        if spent < self._wait or self._done == self._total:
            return
        while self._wait <= spent:
            self._wait *= 2
        of = f" of {self._total}" if self._total >= self._done else ""
        self._say(f"{self._what} {self._done}{of} ({spent:.0f} s so far)")


def stage(what: str, total: int = 0) -> Steps | None:
    """The steps of a stage that begins now, told to whoever watches; None where nobody does.

    what, total: as of `Steps`.
    """
    say = _stages.get() or _summaries.get()
    if say is None:
        return None
    whose = _whose.get()
    return Steps(f"{whose}, {what}" if whose else what, total, say)

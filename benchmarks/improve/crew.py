"""Who carries out runs: this process, one after another, or several processes, each with a run of its own.

A process of a crew (`worker`) is told its runs one by one and leaves the results in their folders, where they are read
from; it ends when its standard input does, and so with the process that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol

from burnish.benchmarks.harness.runs import RunRecord, carry_out, refusal, remove_stale
from burnish.benchmarks.harness.specs import RunSpec
from burnish.benchmarks.harness.workers import not_elsewhere, process_of
from burnish.errors import BurnishError, warn
from burnish.training.first import InHandError
from burnish.training.identity import computing
from burnish.training.result import Epoch

#: How often a run whose process was killed is done again.
_AGAIN = 3
#: Seconds that a process has to leave its run.
_PATIENCE = 30.0

OnEpoch = Callable[[int, Epoch], None]
OnLost = Callable[[int, str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    seconds: that it took, with what was trained first for it.  error: in a line; refused: whether it says that the run
    does not go with backbone, options or data.  lock: of what another process trains first for it; it was not begun
    then.  record: None where it failed, or where it is to be read from its folder.
    """

    seconds: float = 0.0
    error: str | None = None
    refused: bool = False
    lock: Path | None = None
    record: RunRecord | None = None


def attempt(
    spec: RunSpec,
    runs: Path,
    threads: int | None,
    on_epoch: Callable[[Epoch], None] | None = None,
    *,
    wait: bool = True,
) -> Outcome:
    """A run in this process, or its result where it is there; what it raises is an outcome.  wait: as `carry_out`."""
    began = time.perf_counter()
    try:
        record = carry_out(spec, runs, threads=threads, on_epoch=on_epoch, wait=wait)
    except InHandError as other:
        return Outcome(lock=other.lock)
    except Exception as problem:  # whatever a model raises: the others go on
        text = str(problem) if isinstance(problem, BurnishError) else f"{type(problem).__name__}: {problem}"
        return Outcome(time.perf_counter() - began, text, refusal(problem))
    return Outcome(time.perf_counter() - began, record=record)


class Hands(Protocol):
    """Who carries out runs.  n: how many at once.  runs, threads: as of `carry_out`."""

    n: int
    runs: Path
    threads: int | None

    def begin(self, number: int, spec: RunSpec, *, wait: bool = True) -> None:
        """Take a run in hand, where fewer than n are.  number: of one's own, another each time."""

    def next(self, on_epoch: OnEpoch, on_lost: OnLost) -> tuple[int, Outcome]:
        """What became of the next run that ends.

        on_epoch: told of the epochs of all runs meanwhile.  on_lost: of processes that ended, whose runs are done
        again.
        """


class Alone:
    """This process."""

    n = 1

    def __init__(self, runs: Path, threads: int | None = None) -> None:
        self.runs, self.threads = runs, threads
        self._in_hand: tuple[int, RunSpec] | None = None

    def begin(self, number: int, spec: RunSpec, *, wait: bool = True) -> None:
        """As of `Hands`; nothing happens before `next`."""
        self._in_hand = number, spec

    def next(self, on_epoch: OnEpoch, on_lost: OnLost) -> tuple[int, Outcome]:
        """As of `Hands`."""
        assert self._in_hand is not None
        number, spec = self._in_hand
        return number, attempt(spec, self.runs, self.threads, lambda epoch: on_epoch(number, epoch))


@dataclass
class _Hand:
    """A process of a crew.  number, order: of the run that it has in hand; None for none."""

    process: subprocess.Popen[bytes]
    said: Path
    number: int | None = None
    order: dict[str, Any] | None = None

    def close(self) -> None:
        """Say nothing more to it: it ends."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def give(self, number: int, order: dict[str, Any]) -> None:
        """A run for it to do."""
        self.number, self.order = number, order
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it ended meanwhile: whoever listens to it hears of that
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def ended(self) -> str:
        """Why it ended."""
        self.close()
        code = self.process.wait()
        if code < 0:
            return f"signal {-code}"
        lines = self.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else f"exit status {code}"


class Crew:
    """Processes on this machine, each started when it is needed.  On the way out they leave what is unfinished."""

    def __init__(self, n: int, runs: Path, threads: int | None) -> None:
        self.n, self.runs, self.threads = n, runs, threads
        self._hands: list[_Hand] = []
        self._events: SimpleQueue[tuple[_Hand, dict[str, Any] | None]] = SimpleQueue()
        self._deaths: dict[int, int] = {}
        self._started = 0
        self._said = tempfile.TemporaryDirectory(prefix="burnish-improve-")

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for hand in self._hands:
                hand.close()
            end = time.monotonic() + _PATIENCE
            for hand in self._hands:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    hand.process.wait(max(end - time.monotonic(), 0.0))
        finally:
            for hand in self._hands:
                hand.process.kill()
                hand.process.wait()
            self._hands = []
            remove_stale(self.runs)
            self._said.cleanup()

    def begin(self, number: int, spec: RunSpec, *, wait: bool = True) -> None:
        """As of `Hands`."""
        order = {"spec": as_line(spec), "runs": str(self.runs), "threads": self.threads, "wait": wait}
        self._give(number, order)

    def next(self, on_epoch: OnEpoch, on_lost: OnLost) -> tuple[int, Outcome]:
        """As of `Hands`."""
        while True:
            hand, event = self._events.get()
            number = hand.number
            if event is None:
                self._hands.remove(hand)
                why = hand.ended()
                if number is None or hand.order is None:
                    continue
                remove_stale(self.runs)
                self._deaths[number] = self._deaths.get(number, 0) + 1
                if self._deaths[number] > _AGAIN:
                    return number, Outcome(
                        error=f"its process ended {self._deaths[number]} times, the last time with: {why}"
                    )
                on_lost(number, f"its process ended ({why}); it is done again")
                self._give(number, hand.order)
            elif event["kind"] == "warning":
                warn(event["text"])
            elif number is None:
                continue
            elif event["kind"] == "epoch":
                on_epoch(number, Epoch(**event["epoch"]))
            else:
                hand.number = hand.order = None
                lock = event.get("lock")
                return number, Outcome(
                    event["seconds"],
                    event.get("error"),
                    bool(event.get("refused")),
                    None if lock is None else Path(lock),
                )

    def _give(self, number: int, order: dict[str, Any]) -> None:
        free = next((hand for hand in self._hands if hand.order is None), None)
        (self._start() if free is None else free).give(number, order)

    def _start(self) -> _Hand:
        self._started += 1
        file = Path(self._said.name) / f"{self._started}.txt"
        with file.open("wb") as said:
            process = process_of(f"{__package__}.worker", said, out=subprocess.PIPE)
        hand = _Hand(process, file)
        self._hands.append(hand)
        threading.Thread(target=self._listen, args=(hand,), daemon=True).start()
        return hand

    def _listen(self, hand: _Hand) -> None:
        assert hand.process.stdout is not None
        with hand.process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # the last line of a killed process may be cut
                    self._events.put((hand, json.loads(line)))
        self._events.put((hand, None))


# ---------------------------------------------------------------------- what another process is told


def as_line(spec: RunSpec) -> dict[str, Any]:
    """A run as another process is told of it; `RunSpec(**of it)` is the same run.  `TypeError` for what cannot be."""
    return {
        "dataset": spec.dataset,
        "backbone": spec.backbone,
        "label": spec.label,
        "arm": spec.arm,
        "seed": spec.seed,
        "trial": spec.trial,
        "home": spec.home,
        "enhancers": _in_json(spec.enhancers),
        "options": {name: _in_json(value) for name, value in _written_out(spec.options).items()},
    }


def why_alone(spec: RunSpec) -> str | None:
    """Why no other process can carry out such a run; None where one can."""
    for name, value in _written_out(spec.options).items():
        try:
            _in_json(value)
        except (TypeError, ValueError):
            return (
                f"{name} = {value!r} is of a type that another process cannot be told; give numbers, texts, lists and "
                f"mappings, or do without workers"
            )
    return not_elsewhere(spec.backbone, spec.label)


def _written_out(options: Mapping[str, Any]) -> dict[str, Any]:
    return {**options, **computing(options)}


def _in_json(value: Any) -> Any:
    def as_text(other: Any) -> str:
        if isinstance(other, os.PathLike):
            return os.fspath(other)
        raise TypeError(type(other).__name__)

    return json.loads(json.dumps(value, default=as_text))

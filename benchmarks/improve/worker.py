"""One process of a crew (`crew`): reads runs from standard input, one a line, and writes what becomes of each.

Lines are JSON.  What RecBole and others print goes where errors go, so that nothing mixes with them.
"""

from __future__ import annotations

import _thread
import io
import json
import os
import sys
import threading
import warnings
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from burnish.training.result import Epoch


def main() -> int:
    """Do runs until standard input ends, which also ends the run in hand."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        try:
            warnings.showwarning = _passed_on(channel)
            inbox = _Inbox()
            while (order := inbox.orders.get()) is not None:
                inbox.busy.set()
                _tell(channel, _done(order, channel, inbox))
                inbox.busy.clear()
        except KeyboardInterrupt:
            pass
    return 0


class _Inbox:
    """What the parent says.  busy: a run is in hand.  gone: nothing more will be said."""

    def __init__(self) -> None:
        self.orders: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self.busy, self.gone = threading.Event(), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        # Without a buffer: its lock would be held by this thread while the interpreter ends.
        with open(0, "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self.orders.put(json.loads(line))
        self.gone.set()
        self.orders.put(None)
        if self.busy.is_set():
            _thread.interrupt_main()


def _done(order: dict[str, Any], channel: TextIO, inbox: _Inbox) -> dict[str, Any]:
    # Heavy, and what is printed on import comes after the channel was set aside.
    from burnish.benchmarks.harness.specs import RunSpec

    from .crew import attempt

    parent = os.getppid()

    def told(epoch: Epoch) -> None:
        if (
            inbox.gone.is_set() or os.getppid() != parent
        ):  # an interruption is lost where a finaliser was at work
            raise KeyboardInterrupt
        _tell(channel, {"kind": "epoch", "epoch": asdict(epoch)})

    outcome = attempt(
        RunSpec(**order["spec"]), Path(order["runs"]), order["threads"], told, wait=order["wait"]
    )
    return {
        "kind": "ended",
        "seconds": outcome.seconds,
        "error": outcome.error,
        "refused": outcome.refused,
        "lock": None if outcome.lock is None else str(outcome.lock),
    }


def _tell(channel: TextIO, event: dict[str, Any]) -> None:
    try:
        channel.write(json.dumps(event, default=float) + "\n")
        channel.flush()
    except BrokenPipeError:  # nobody listens any more: no fault of the run
        raise KeyboardInterrupt from None


def _passed_on(channel: TextIO) -> Any:
    """Shows a warning by telling of it, once, where a person at the command line would be shown it."""
    from burnish.notices import Once

    once = Once()

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
    ) -> None:
        text = io.StringIO()
        once.show(message, category, filename, lineno, text)
        if text.getvalue():
            _tell(channel, {"kind": "warning", "text": text.getvalue().strip().removeprefix("warning: ")})

    return show


if __name__ == "__main__":
    sys.exit(main())

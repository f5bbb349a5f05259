"""What the user sees while a plan runs: how many runs are done, and how far the current one is."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from burnish.training.result import Epoch

EventKind = Literal[
    "start", "epoch", "stage", "done", "kept", "pruned", "failed", "tuned", "settled", "left out", "lost"
]


_COLOURS = {
    "failed": "red",
    "kept": "dim",
    "pruned": "dim",
    "tuned": "cyan",
    "settled": "cyan",
    "left out": "yellow",
    "lost": "red",
}


@dataclass(frozen=True)
class Event:
    """Something that happened.  key: which run, in words; message: one line to show.

    "stage" is how far a long epoch, evaluation or encoding of texts is; its line is said after some seconds only.
    """

    kind: EventKind
    key: str
    message: str
    epoch: Epoch | None = None


class Display:
    """A bar for the whole plan, one for the current run, and a line for each run that ended, on stderr."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console or Console(stderr=True, markup=False, emoji=False),
            transient=True,
        )
        self._all = self._progress.add_task("runs", total=total, note="")
        self._current: TaskID = self._progress.add_task("epochs", total=None, note="", visible=False)

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Take one event into account."""
        bar = self._progress
        if event.kind == "start":
            bar.reset(self._current, total=None, description=event.key, note="", visible=True)
        elif event.kind == "epoch" and event.epoch is not None:
            score = event.epoch.valid_score
            note = "" if score is None else f"valid {score:.4f}"
            of = f": {event.epoch.run}" if event.epoch.run else ""
            bar.update(self._current, total=event.epoch.total, completed=event.epoch.number)
            bar.update(self._current, description=f"{event.key}{of}")
            if note:
                bar.update(self._current, note=note)
        elif event.kind == "stage":
            bar.update(self._current, note=event.message.removeprefix(f"{event.key}: "))
        else:
            colour = _COLOURS.get(event.kind, "green")
            bar.console.print(Text.assemble((f"{event.kind:<7} ", colour), event.message))
            if event.kind not in ("tuned", "settled", "left out", "lost"):
                bar.advance(self._all)

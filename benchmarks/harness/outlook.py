"""What a plan has yet to do, and how long that takes by the runs that are there; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.table import Table

from .runs import RunRecord


@dataclass(frozen=True)
class Outlook:
    """One arm or floor of one backbone.  seconds: of what is missing, None where no run says."""

    dataset: str
    backbone: str
    arm: str
    trials: int
    trials_done: int
    runs: int
    runs_done: int
    seconds: float | None


def seconds_left(lines: Sequence[Outlook]) -> float | None:
    """Of all lines; None where one of them is not known."""
    known = [line.seconds for line in lines]
    return None if any(one is None for one in known) else float(sum(one or 0.0 for one in known))


def outlook(
    dataset: str, expected: Iterable[tuple[str, str, int, int]], records: Sequence[RunRecord]
) -> list[Outlook]:
    """A line for each arm and floor.

    expected: labels of backbone and arm, numbers of trials and runs.  records: of the runs that are done.
    The seconds of a missing run are the mean of the finished ones of its arm (trials and runs of the comparison apart
    where both are there), else of its backbone, else of all.
    """
    lines = []
    for backbone, arm, trials, runs in expected:
        own = [one for one in records if (one.backbone, one.arm) == (backbone, arm)]
        near = [one for one in records if one.backbone == backbone]
        seconds: float | None = 0.0
        done = {}
        for is_trial, wanted in ((True, trials), (False, runs)):
            alike = [one for one in own if (one.trial is not None) is is_trial]
            done[is_trial] = min(len(alike), wanted)
            missing = wanted - done[is_trial]
            means = [mean for some in (alike, own, near, records) if (mean := _mean(some)) is not None]
            if missing:
                seconds = None if seconds is None or not means else seconds + missing * means[0]
        lines.append(Outlook(dataset, backbone, arm, trials, done[True], runs, done[False], seconds))
    return lines


def _mean(records: Iterable[RunRecord]) -> float | None:
    known = [one.seconds for one in records if one.seconds is not None]
    return fmean(known) if known else None


def to_table(lines: Sequence[Outlook]) -> Table:
    """For a person: what is done of what, and the time that the rest takes."""
    table = Table(box=None, pad_edge=False)
    for heading in ("backbone", "arm", "trials", "runs", "left"):
        table.add_column(heading, justify="left" if heading in ("backbone", "arm") else "right")
    for one in lines:
        trials = f"{one.trials_done} of {one.trials}" if one.trials else ""
        table.add_row(one.backbone, one.arm, trials, f"{one.runs_done} of {one.runs}", in_words(one.seconds))
    return table


def in_words(seconds: float | None) -> str:
    """A time as one says it: `2 h 5 min`, `40 s`, `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds else "-"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

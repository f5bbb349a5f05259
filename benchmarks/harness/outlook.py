"""What a plan has yet to do, and how long that takes by the runs that are there; nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.table import Table

from .floors import FOLDER
from .runs import RunRecord


@dataclass(frozen=True)
class Outlook:
    """One arm or floor of one backbone on one data set.

    seconds: of what is missing, None where no run says.  guessed: whether only runs of other arms say.
    """

    dataset: str
    backbone: str
    arm: str
    trials: int
    trials_done: int
    runs: int
    runs_done: int
    seconds: float | None
    guessed: bool = False


@dataclass(frozen=True)
class Left:
    """The time that all lines take.  seconds: of those that are known.  unknown: how many are not."""

    seconds: float
    unknown: int
    guessed: bool

    def in_words(self, among: int = 1) -> str:
        """`3 min`, `about 3 min`, `at least 3 min`, `unknown`.  among: so many that share it."""
        if self.unknown:
            return f"at least {in_words(self.seconds / among)}" if self.seconds else "unknown"
        return f"{'about ' if self.guessed else ''}{in_words(self.seconds / among)}"


def time_left(lines: Iterable[Outlook]) -> Left:
    """Of all lines together."""
    lines = list(lines)
    known = [line.seconds for line in lines if line.seconds is not None]
    return Left(float(sum(known)), len(lines) - len(known), any(line.guessed for line in lines))


def outlook(
    dataset: str, expected: Iterable[tuple[str, str, int, int]], records: Sequence[RunRecord]
) -> list[Outlook]:
    """A line for each arm and floor.

    expected: labels of backbone and arm, numbers of trials and runs.  records: of the runs that are done, on this data.
    The seconds of a missing run are the mean of the finished ones of its arm: trials and runs of the comparison apart
    where both are there.  Where none is there, other arms of the backbone say it, as a guess: they are trained, too.
    Floors without a backbone, in closed form or not, say nothing of each other nor of arms.
    """
    lines = []
    for backbone, arm, trials, runs in expected:
        own = [one for one in records if (one.backbone, one.arm) == (backbone, arm)]
        others = [one for one in records if one.backbone == backbone != FOLDER and one.arm != arm]
        seconds: float | None = 0.0
        guessed = False
        done = {}
        for is_trial, wanted in ((True, trials), (False, runs)):
            alike, alike_others = (
                [one for one in some if (one.trial is not None) is is_trial] for some in (own, others)
            )
            done[is_trial] = min(len(alike), wanted)
            missing = wanted - done[is_trial]
            if not missing:
                continue
            known = [mean for some in (alike, own) if (mean := _mean(some)) is not None]
            guesses = [mean for some in (alike_others, others) if (mean := _mean(some)) is not None]
            each = next(iter((*known, *guesses)), None)
            guessed = guessed or (not known and bool(guesses))
            seconds = None if seconds is None or each is None else seconds + missing * each
        guessed = guessed and seconds is not None
        lines.append(Outlook(dataset, backbone, arm, trials, done[True], runs, done[False], seconds, guessed))
    return lines


def _mean(records: Iterable[RunRecord]) -> float | None:
    known = [one.seconds for one in records if one.seconds is not None]
    return fmean(known) if known else None


def to_table(lines: Sequence[Outlook]) -> Table:
    """For a person: what is done of what, and the time that the rest takes."""
    table = Table(box=None, pad_edge=False)
    several = len({one.dataset for one in lines}) > 1
    for heading in (*(["data set"] if several else []), "backbone", "arm", "trials", "runs", "left"):
        table.add_column(heading, justify="right" if heading in ("trials", "runs", "left") else "left")
    for one in lines:
        trials = f"{one.trials_done} of {one.trials}" if one.trials else ""
        left = time_left([one]).in_words()
        place = [*([one.dataset] if several else []), one.backbone, one.arm]
        table.add_row(*place, trials, f"{one.runs_done} of {one.runs}", left)
    return table


def in_words(seconds: float | None) -> str:
    """A time as one says it: `2 h 5 min`, `40 s`, `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds else "-"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

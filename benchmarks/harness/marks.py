"""The flags and the tuning of every arm and floor of a report: on its rows, and in lines below its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .absences import labels_of
from .flags import SAYS, Finding, Side, findings, lines
from .floor_rows import NoteFloors
from .floors import is_shared
from .rows import Row
from .tuning_notes import TuningNote, tuning_of

#: The floor that arms are flagged for being below.
_POPULARITY = "Pop"


@dataclass(frozen=True)
class Marks:
    """What is known of the arms and floors of one comparison, by name.

    label: what the comparison is called.  names: what the arms and floors are called; floors of the data, which several
    backbones share, have the same name in all of them.
    """

    label: str
    names: dict[str, str]
    shared: str
    found: dict[str, list[Finding]]
    tuning: dict[str, TuningNote]

    @classmethod
    def of(cls, known: NoteFloors, label: str, data: str) -> Marks:
        """Of a comparison whose runs are read.  data: what its data set is called; empty where there is but one."""
        sides, tuned, names = {}, {}, {}
        shared = f"{data}: floors" if data else "floors"
        for name, runs in {**known.floors, **known.arms}.items():
            tuning = tuning_of(known.note, name, runs.config)
            if tuning is not None:
                tuned[name] = tuning
            of_data = name not in known.arms and is_shared(name)
            names[name] = f"{shared if of_data else label}, {name}"
            sides[name] = Side(runs.facts, runs.tests, runs.cases, tuning)
        return cls(
            label, names, shared, findings(sides, _POPULARITY if _POPULARITY in known.floors else None), tuned
        )

    def onto(self, row: Row) -> Row:
        """The row with what is known of its two sides."""
        flags = [
            (one.letter, f"{name}: {SAYS[one.letter]}")
            for name in (row.baseline, row.arm)
            for one in self.found.get(name, [])
        ]
        tuning, of_baseline = self.tuning.get(row.arm), self.tuning.get(row.baseline)
        return replace(
            row,
            marks=_in_order(letter for letter, _ in flags),
            arm_marks=_in_order(one.letter for one in self.found.get(row.arm, [])),
            baseline_marks=_in_order(one.letter for one in self.found.get(row.baseline, [])),
            flags=tuple(words for _, words in flags),
            trials=None if tuning is None else tuning.trials,
            baseline_trials=None if of_baseline is None else of_baseline.trials,
            tuning="" if tuning is None else str(tuning),
            baseline_tuning="" if of_baseline is None else str(of_baseline),
        )


def _in_order(letters: Iterable[str]) -> str:
    """Letters of flags, each once, the gravest first."""
    there = set(letters)
    return "".join(letter for letter in SAYS if letter in there)


def marks_of(floors: Sequence[NoteFloors]) -> list[Marks]:
    """Of each comparison of a report."""
    several = len({known.note["dataset"] for known in floors}) > 1
    return [
        Marks.of(known, label, known.note["dataset"] if several else "")
        for known, label in zip(floors, labels_of(floors), strict=True)
    ]


def flag_lines(marks: Sequence[Marks]) -> list[str]:
    """A line for each kind of flag, with the cure."""
    return lines((one.names[name], flags) for one in marks for name, flags in one.found.items())


def tuning_lines(marks: Sequence[Marks]) -> list[str]:
    """A line for each comparison: how many trials each arm had, over what, and what was chosen; floors first."""
    tuned: dict[str, dict[str, TuningNote]] = {}
    for place in (*(one.shared for one in marks), *(one.label for one in marks)):
        tuned[place] = {}
    for one in marks:
        for name, tuning in one.tuning.items():
            place = one.names[name].removesuffix(f", {name}")
            if tuning.space:
                tuned[place][name] = tuning
    return [f"Tuning of {place}, by validation. {_tuned(known)}" for place, known in tuned.items() if known]


def _tuned(known: dict[str, TuningNote]) -> str:
    """Arms with as many trials over the same space together."""
    alike: dict[tuple[str, str], list[str]] = {}
    parts = [f"{name}: {tuning.taken}, as given." for name, tuning in known.items() if not tuning.trials]
    for name, tuning in known.items():
        if not tuning.trials:  # a single point is no choice
            continue
        alike.setdefault((tuning.counted, tuning.over), []).append(name)
    for (counted, over), names in alike.items():
        several = len(names) > 1
        chosen = "; ".join(f"{name} {known[name].taken}" if several else known[name].taken for name in names)
        parts.append(
            f"{', '.join(names)}: {counted}{' each' if several else ''} over {over}; chosen: {chosen}."
        )
    return " ".join(parts)

"""The floors of a comparison in its report: against the baseline, and the arms against the strongest of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from burnish.errors import DataError

from .floors import NAMES, is_shared
from .metrics import sign
from .notes import ArmRuns, load_arm
from .plan import PLAIN
from .rows import Row, Terms, make_row


@dataclass
class NoteFloors:
    """One comparison with its arms and floors.

    floors: those with runs of their own.  standing_in: floors that are arms of the plan, by the arm's label.
    left_out: reasons by floor; those that show when runs are paired are added then.
    """

    note: Mapping[str, Any]
    arms: dict[str, ArmRuns]
    floors: dict[str, ArmRuns] = field(default_factory=dict)
    standing_in: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, note: dict[str, Any], arms: dict[str, ArmRuns]) -> NoteFloors:
        """Read the floors of a note, whose arms are read already."""
        known = cls(note, arms)
        for name, floor in _in_order(note):
            if "arm" in floor:
                known.standing_in[floor["arm"]] = name
            elif floor.get("runs"):
                known.floors[name] = load_arm(note["path"].parent, floor["runs"])
            if floor.get("left_out"):
                known.left_out[name] = str(floor["left_out"])
        return known

    def side(self, name: str) -> ArmRuns | None:
        """The runs of an arm, or of a floor."""
        return self.arms.get(name, self.floors.get(name))

    def paired(self, baseline: str, name: str) -> tuple[ArmRuns, ArmRuns]:
        """The runs of both, as they can be paired.

        A floor without a backbone may list its test rows in another order than the backbone, so rows are numbered
        within a user then.
        """
        base, other = self.side(baseline), self.side(name)
        assert base is not None
        assert other is not None
        of_data = [one for one in self.floors if is_shared(one) and one not in self.arms]
        if baseline not in of_data and name not in of_data:
            return base, other
        return _numbered(base), _numbered(other)

    def rows(self, metric: str, baseline: str, terms: Terms) -> list[Row]:
        """Each floor against the baseline, not yet corrected."""
        if self.side(baseline) is None:
            return []
        found = []
        for name in self.floors:
            if name == baseline:
                continue
            try:
                sides = self.paired(baseline, name)
                row = make_row(self.note, (baseline, name), sides, metric, "floor", terms)
            except DataError as error:
                self.left_out[name] = str(error)
                continue
            if row is not None:
                found.append(row)
        return found


def strongest(known: NoteFloors, rows: Iterable[Row], baseline: str) -> str | None:
    """The floor with the best mean on the test set, of those with the most seeds; None where there is none.

    rows: of one metric, the floors and the arms of a comparison against the baseline.
    Chosen on the test set, so that the arms meet the hardest one: that can only count against them.
    """
    means: dict[str, tuple[int, float]] = {}
    for row in rows:
        turn = sign(row.metric)
        if row.kind == "floor" or row.arm in known.standing_in:
            means[row.arm] = row.n_seeds, turn * row.mean
        of_floor = baseline in known.floors or baseline in known.standing_in
        # Of the seeds that it shares with most: each row has it on those of its arm.
        if of_floor and row.n_seeds > means.get(baseline, (0, 0.0))[0]:
            means[baseline] = row.n_seeds, turn * row.baseline_mean
    return max(means, key=lambda name: means[name]) if means else None


def held_against(known: NoteFloors, floor: str) -> list[str]:
    """The arms that are compared with a floor: all but the plain one, and those that are floors themselves."""
    return [label for label in known.arms if label not in (PLAIN, floor) and label not in known.standing_in]


def against(known: NoteFloors, floor: str, metric: str, terms: Terms) -> list[Row]:
    """Each arm that is held against a floor, not corrected."""
    rows = []
    for label in held_against(known, floor):
        try:
            row = make_row(known.note, (floor, label), known.paired(floor, label), metric, "over", terms)
        except DataError:
            continue  # said among what is absent
        if row is not None:
            rows.append(row)
    return rows


def _numbered(side: ArmRuns) -> ArmRuns:
    """The runs with test rows numbered within each user."""
    users = {seed: table.assign(row=table.groupby("user").cumcount()) for seed, table in side.users.items()}
    return replace(side, users=users)


def _in_order(note: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The floors of a note, in one order whichever plan noted them first."""
    noted = note.get("floors", {})
    places = {name: place for place, name in enumerate(NAMES)}
    return sorted(noted.items(), key=lambda one: places.get(one[0], len(places)))


def remarks_on(floors: Iterable[NoteFloors]) -> list[str]:
    """What was chosen for the floors and by how many trials, which of them were left out and why, and other remarks."""
    remarks: list[str] = []
    for known in floors:
        for name, floor in _in_order(known.note):
            who = name if is_shared(name) else f"{known.note['label']}, {name}"
            if "arm" in floor:
                remarks.append(f"Floor {who}: the arm {floor['arm']} of the plan stands as this one.")
            if floor.get("trials") and not floor.get("tuning"):  # else it is among the lines on tuning
                chosen = ", ".join(f"{option} = {value}" for option, value in floor["chosen"].items())
                edge = floor.get("edge") or []
                at = f", at the edge of what was tried: {', '.join(edge)}" if edge else ""
                remarks.append(f"Floor {who}: {chosen}, by validation in {floor['trials']} trials{at}.")
        for reason in dict.fromkeys(known.left_out.values()):
            names = ", ".join(name for name, why in known.left_out.items() if why == reason)
            remarks.append(f"Left out for {known.note['label']}: {names}: {reason.rstrip('.')}.")
        remarks += [f"{remark.rstrip('.')}." for remark in known.note.get("floor_remarks", [])]
    return list(dict.fromkeys(remarks))

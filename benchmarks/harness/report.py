"""The comparison in a folder of runs: a row for each backbone, arm and metric, against the plain backbone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from burnish.errors import DataError, unknown_name
from burnish.training.beyond import NAMES as BEYOND

from .absences import absences
from .equivalence import Smallest, noted_smallest, smallest_remarks
from .faithful import Study, find_studies
from .floor_rows import NoteFloors, against, remarks_on, strongest
from .marks import flag_lines, marks_of, tuning_lines
from .notes import ArmRuns, find_notes, load_arm, name_other_damage
from .plan import PLAIN
from .rows import Row, Terms, judged, make_row
from .split_notes import noise_remarks, split_remarks
from .under_way import under_way

DEFAULT_METRICS = ("ndcg@10", "recall@10", "mrr@10")


class Comparison(list[Row]):
    """The rows of a report: by metric, floors before arms; at the end arms against arms, and against a floor.

    remarks: sentences on the floors (what was chosen, which of them were left out, and why), then `absences`: one on
    each comparison, arm and floor of which a row is missing.  sources: the comparisons that they are of, with all runs.
    flags: a line for each kind of flag (`flags`), with the cure.  tuning: a line for each comparison whose arms were
    tuned, and for each arm that still is.  faithfulness: what `explain-eval` found of the reasons of their models.
    """

    def __init__(
        self,
        rows: Iterable[Row] = (),
        remarks: Iterable[str] = (),
        absences: Iterable[str] = (),
        sources: Iterable[NoteFloors] = (),
        flags: Iterable[str] = (),
        tuning: Iterable[str] = (),
        faithfulness: Iterable[Study] = (),
    ) -> None:
        super().__init__(rows)
        self.flags, self.tuning = tuple(flags), tuple(tuning)
        self.absences = tuple(absences)
        self.remarks = (*remarks, *self.absences)
        self.sources = tuple(sources)
        self.faithfulness = tuple(faithfulness)

    def _repr_html_(self) -> str:
        from .tables import to_html

        return to_html(self)


def summarise(
    runs_folder: Path | str,
    *,
    metrics: Sequence[str] | str | None = None,
    baseline: str = PLAIN,
    pairs: bool = False,
    seeds_random: bool = True,
    smallest_difference: float | str | None = None,
    faithfulness: Sequence[Path | str] = (),
) -> Comparison:
    """Compare every arm and every floor with the baseline, from the files in `runs_folder` alone.

    metrics: such as "ndcg@10", or several with commas or as a list; None takes ndcg@10, recall@10 and mrr@10 as far as
        the runs have them, else whatever they have.  baseline: the arm, or the floor, to compare with.
    pairs: also compare all other arms with each other.
    seeds_random: intervals and p are over users and seeds, both drawn at random (`crossed.over_both`); if false, over
        users, for the trained models that there are.
    smallest_difference: the smallest one that matters, such as 0.002, or "1%" of the baseline's mean; by default what
        the plan says.  Verdicts then say which differences are smaller or larger, which arms are equal within it, and
        which are not worse by it.

    faithfulness: folders that `burnish explain-eval` wrote to (`--output`), beside those called `faithfulness` in
        `runs_folder`.

    p values are corrected within families of a metric: all arms against the baseline; all floors against it; all arms
    against the strongest floor of their backbone; with `pairs` all pairs of arms, those with the baseline too.  So
    floors and pairs change nothing of the first.  A damaged file is named in a warning, and what it belongs to is left
    out; of tuning trials, too.  Where a row is missing, as in a data set without that baseline or metric, one of the
    remarks says so.

    Raises `DataError` when there is nothing to compare, `UnknownNameError` for a metric or baseline that no
    run has, `ConfigurationError` for a smallest difference that is no number above 0.
    """
    asked = Smallest.of(smallest_difference)
    folder = Path(runs_folder)
    notes = find_notes(folder)
    if not any(baseline in _names_in(note) for note in notes):
        raise unknown_name("baseline arm", baseline, {name for note in notes for name in _names_in(note)})
    loaded = [
        (note, {arm: load_arm(note["path"].parent, runs, arm) for arm, runs in note["arms"].items()})
        for note in notes
    ]
    given = [name.strip() for name in metrics.split(",")] if isinstance(metrics, str) else metrics
    chosen = _choose_metrics(given, (arm for _, arms in loaded for arm in arms.values()))
    floors = [NoteFloors.of(note, arms) for note, arms in loaded]
    name_other_damage(folder, notes)
    marks = marks_of(floors)
    further = [f"Not tuned to the end: {one}" for one in under_way(folder)]
    rows: list[Row] = []
    beyond: list[Row] = []
    for metric in chosen:
        families: tuple[list[Row], ...] = ([], [], [], [])
        for known, marked in zip(floors, marks, strict=True):
            terms = Terms(seeds_random, asked or noted_smallest(known.note))
            own, arms = known.rows(metric, baseline, terms), _rows(known, metric, baseline, terms)
            floor = strongest(known, [*own, *arms], baseline)
            beside = [] if floor is None else against(known, floor, metric, terms)
            among = _pairs(known, metric, baseline, terms) if pairs else []
            for family, part in zip(families, (own, arms, among, beside), strict=True):
                family.extend(marked.onto(replace(row, strongest_floor=floor or "")) for row in part)
        rows += [*judged(families[0]), *judged(families[1])]
        beyond += [*judged(families[2], families[1]), *judged(families[3])]
    if not rows:
        names = [
            f"{note['label']}, {label}" for note, arms in loaded for label, arm in arms.items() if arm.damaged
        ]
        damaged = f", and runs are damaged ({'; '.join(names)})" if names else ""
        raise DataError(
            f"{folder} holds no finished run of an arm besides {baseline!r} on a seed that {baseline!r} "
            f"finished too{damaged}; run `burnish bench` again to complete the plan"
        )
    rows += beyond
    lacking = absences(floors, [row for row in rows if row.kind != "pair"], chosen, baseline)
    remarks = [
        *split_remarks(notes),
        *noise_remarks(notes),
        *smallest_remarks(notes, smallest_difference),
        *remarks_on(floors),
    ]
    tuned = [*tuning_lines(marks), *further]
    studies = find_studies(folder, faithfulness)
    return Comparison(rows, remarks, lacking, floors, flag_lines(marks), tuned, studies)


def _names_in(note: dict[str, Any]) -> list[str]:
    return [*note["arms"], *(name for name, floor in note.get("floors", {}).items() if floor.get("runs"))]


def _choose_metrics(chosen: Sequence[str] | None, arms: Iterable[ArmRuns]) -> list[str]:
    arms = list(arms)
    known = list(dict.fromkeys(name for arm in arms for test in arm.tests.values() for name in test))
    if not known:
        damaged = sum(len(arm.damaged) for arm in arms)
        raise DataError(
            f"no run of this folder {'can be read' if damaged else 'has finished'}; run `burnish bench` again"
        )
    if chosen is None:
        accuracy = [name for name in known if name.split("@")[0] not in BEYOND]
        return [name for name in DEFAULT_METRICS if name in known] or accuracy or known
    for name in chosen:
        if name.lower() not in known:
            raise unknown_name("metric", name, known, cure="Add it to `metrics` and `topk` of the plan.")
    return [name.lower() for name in chosen]


def _rows(known: NoteFloors, metric: str, baseline: str, terms: Terms) -> list[Row]:
    base = known.side(baseline)
    if base is None:
        return []
    rows = [
        make_row(known.note, (baseline, label), known.paired(baseline, label), metric, terms=terms)
        for label in known.arms
        if label != baseline
    ]
    return [row for row in rows if row is not None]


def _pairs(known: NoteFloors, metric: str, baseline: str, terms: Terms) -> list[Row]:
    """Each arm but the baseline against each earlier one."""
    rows = [
        make_row(known.note, names, known.paired(*names), metric, "pair", terms)
        for names in combinations([label for label in known.arms if label != baseline], 2)
    ]
    return [row for row in rows if row is not None]

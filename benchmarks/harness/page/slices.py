"""Whom and what an arm serves: users by activity, items by popularity, and what lists are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from burnish.errors import DataError
from burnish.training.beyond import ACTIVITY, NAMES, PARTS, equal_parts

from ..crossed import over_both
from ..metrics import sign, written
from ..statistics import Cells, pair_cells
from .drawings import Series, labelled_lines
from .parts import Cell, Figure, Place, Section, Table, mean, named, number

#: A part of the users has at least so many of them in each seed.
LEAST = 30


@dataclass(frozen=True)
class Part:
    """One arm minus the baseline for one part of the users.  low, high: 95%, over users and seeds, not corrected."""

    baseline_mean: float
    mean: float
    low: float
    high: float
    n_users: int

    @property
    def difference(self) -> float:
        """Arm minus baseline."""
        return self.mean - self.baseline_mean


def activity_parts(place: Place, metric: str) -> list[tuple[str, list[Part]]]:
    """Each arm against the baseline by parts of the users, the least active first.

    Parts are of equal size, by the training interactions that the baseline's run noted; each seed has its own.
    Gives nothing where runs did not note them, or there are too few users for two parts.
    """
    base = place.known.side(place.baseline)
    if base is None or not base.users or not all(ACTIVITY in table for table in base.users.values()):
        return []
    users = {seed: table.drop_duplicates("user") for seed, table in base.users.items()}
    parts = min(PARTS, min(len(table) for table in users.values()) // LEAST)
    if parts < 2:
        return []
    part_of = {
        seed: pd.Series(equal_parts(table[ACTIVITY].to_numpy(), parts), index=table["user"])
        for seed, table in users.items()
    }
    found = []
    for name, kind, _ in place.sides():
        if kind == "baseline":
            continue
        ours, theirs = place.known.paired(place.baseline, name)
        tables = [
            {seed: table for seed, table in side.users.items() if metric in table} for side in (ours, theirs)
        ]
        try:
            cells = pair_cells(tables[0], tables[1], metric)
        except DataError:  # said among what has no row
            continue
        which = np.stack([part_of[seed].reindex(cells.users).to_numpy() for seed in cells.seeds], axis=1)
        found.append((name, [_part(cells, which == part) for part in range(parts)]))
    return found


def _part(cells: Cells, inside: np.ndarray) -> Part:
    """inside: which users belong to it at which seed, `[n_users, n_seeds]`."""
    ours, theirs = (np.where(inside, table, np.nan) for table in (cells.baseline, cells.other))
    there = np.isfinite(ours) & np.isfinite(theirs)
    kept = there.any(axis=1)
    if not kept.any():
        return Part(math.nan, math.nan, math.nan, math.nan, 0)
    there, ours, theirs = there[kept], ours[kept], theirs[kept]
    means = [
        float((np.where(there, one, 0.0).sum(axis=1) / there.sum(axis=1)).mean()) for one in (ours, theirs)
    ]
    low, high = over_both(np.where(there, theirs - ours, np.nan)).interval(means[1] - means[0])
    return Part(means[0], means[1], low, high, int(kept.sum()))


def by_activity(places: list[Place]) -> Section:
    """A drawing a place, and differences to the baseline."""
    metric = places[0].metrics[0]
    figures = []
    by_size: dict[int, list[tuple[Cell, ...]]] = {}
    for place in places:
        found = activity_parts(place, metric)
        if not found:
            continue
        parts = len(found[0][1])
        lines = [Series(place.baseline, _points([one.baseline_mean for one in found[0][1]]), False)]
        kinds = {name: kind for name, kind, _ in place.sides()}
        lines += [
            Series(name, _points([one.mean for one in own]), floor=kinds[name] == "floor")
            for name, own in found
        ]
        figures.append(
            Figure(
                labelled_lines(
                    [one for one in lines if one.points],
                    f"{place.name}: {written(metric)} by activity of users",
                    x_name=f"users, from the least active (1) to the most ({parts})",
                ),
                place.name,
            )
        )
        cells = [
            (
                Cell(place.name),
                named(name, kinds[name]),
                *(_change(one, _clear(one, metric), 4) for one in own),
            )
            for name, own in found
        ]
        by_size.setdefault(parts, []).extend(cells)
    if not figures:
        return Section(
            "activity",
            "Users by activity",
            ("These runs did not note how active users are, or there are too few users to divide them.",),
        )
    return Section(
        "activity",
        "Users by activity",
        (
            "Users in parts of equal size by their training interactions. Coloured changes have an "
            "uncorrected 95% interval over users and seeds without 0: with this many cells, one in twenty "
            "would by chance alone.",
        ),
        tuple(figures),
        tuple(
            Table(
                ("place", "arm", *(str(part + 1) for part in range(parts))),
                tuple(lines_of),
                2,
                f"Change of {written(metric)} to {places[0].baseline}, with half of its 95% interval, by part "
                f"of users, the least active first",
                grouped=True,
            )
            for parts, lines_of in by_size.items()
        ),
    )


def _clear(part: Part, metric: str) -> str:
    """Gain or loss where the interval leaves 0 out."""
    if not (part.low > 0 or part.high < 0):
        return ""
    return "gain" if part.difference * sign(metric) > 0 else "loss"


def _points(values: list[float]) -> tuple[tuple[float, float], ...]:
    return tuple((place + 1.0, value) for place, value in enumerate(values) if math.isfinite(value))


def popularity_parts(place: Place, k: str) -> list[tuple[str, list[Part]]]:
    """Each arm against the baseline by parts of the items: those that training has not, then tenths by popularity.

    A part's mean is the share of its test interactions that are found, of all users and seeds that both arms have; its
    interval is of a mean over interactions, of which a user's belong together.  `n_users` have any in the part.
    Gives nothing where runs did not note them by user.  k: "hits@10".
    """
    columns = [f"{what}.{part}" for what in ("wanted", k) for part in range(PARTS + 1)]
    found = []
    for name, kind, _ in place.sides():
        if kind == "baseline":
            continue
        ours, theirs = place.known.paired(place.baseline, name)
        if not all({*columns} <= {*table} for side in (ours, theirs) for table in side.users.values()):
            continue
        summed = [
            {seed: table.groupby("user")[columns].sum() for seed, table in side.users.items()}
            for side in (ours, theirs)
        ]
        seeds = sorted(summed[0].keys() & summed[1].keys())
        users = pd.Index(sorted({user for seed in seeds for user in summed[0][seed].index}))
        if seeds:
            before, after = (
                {
                    column: np.stack(
                        [side[seed][column].reindex(users).to_numpy(float) for seed in seeds], axis=1
                    )
                    for column in columns
                }
                for side in summed
            )
            found.append((name, [_found(before, after, k, part) for part in range(PARTS + 1)]))
    return found


def _found(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], k: str, part: int) -> Part:
    """Of one part; ours, theirs: by column, `[n_users, n_seeds]`."""
    wanted = ours[f"wanted.{part}"]
    if not np.array_equal(wanted, theirs[f"wanted.{part}"], equal_nan=True):  # not tested on the same items
        return Part(math.nan, math.nan, math.nan, math.nan, 0)
    asked = np.nan_to_num(wanted)
    total = asked.sum()
    if not total:
        return Part(math.nan, math.nan, math.nan, math.nan, 0)
    hits = [np.nan_to_num(side[f"{k}.{part}"]) for side in (ours, theirs)]
    before, after = (float(one.sum() / total) for one in hits)
    with np.errstate(invalid="ignore", divide="ignore"):
        differences = np.where(asked > 0, (hits[1] - hits[0]) / asked, np.nan)
    low, high = over_both(differences, asked).interval(after - before)
    return Part(before, after, low, high, int((asked > 0).any(axis=1).sum()))


def _change(part: Part, tone: str, digits: int = 3) -> Cell:
    """A difference with half the width of its interval."""
    if not math.isfinite(part.difference):
        return Cell("–", None, "muted")
    half = (part.high - part.low) / 2
    spread = f" ± {half:.{digits}f}" if math.isfinite(half) else ""
    return Cell(f"{part.difference:+.{digits}f}{spread}", part.difference, tone)


def _changes_by_popularity(places: list[Place], k: str) -> tuple[Table, ...]:
    """The table of differences; none where runs did not note enough."""
    lines = []
    for place in places:
        kinds = {name: kind for name, kind, _ in place.sides()}
        for name, parts in popularity_parts(place, k):
            cells = (_change(one, _clear(one, k)) for one in parts)
            lines.append((Cell(place.name), named(name, kinds[name]), *cells))
    if not lines:
        return ()
    return (
        Table(
            ("place", "arm", "unseen", *(str(part) for part in range(1, PARTS + 1))),
            tuple(lines),
            2,
            f"Change of that share to {places[0].baseline}, with half of its 95% interval",
            grouped=True,
        ),
    )


def _shortest(places: list[Place]) -> str:
    """The shortest lists that all runs have counted hits in, else that most have; "hits@10", empty for none."""
    noted = [
        one["popularity_deciles"]
        for place in places
        for _, _, side in place.sides()
        for one in side.measured.values()
        if one.get("popularity_deciles")
    ]
    keys = {key for one in noted for key in one if key.startswith("hits@")}
    return min(keys, key=lambda key: (-sum(key in one for one in noted), int(key[5:])), default="")


def by_popularity(places: list[Place]) -> Section:
    """Share of test interactions that are listed, by tenths of the items; cold items beside them."""
    figures, lines = [], []
    k = _shortest(places)
    for place in places:
        drawn = []
        for name, kind, side in place.sides():
            noted = [one.get("popularity_deciles") or {} for one in side.measured.values()]
            known = [one for one in noted if k and k in one]
            if not known:
                continue
            totals = {key: np.sum([one[key] for one in known], axis=0) for key in ("wanted", k)}
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = totals[k] / totals["wanted"]
            drawn.append(
                Series(name, _points(shares[1:].tolist()), kind != "baseline", floor=kind == "floor")
            )
            lines.append(
                (
                    Cell(place.name),
                    named(name, kind),
                    *(number(share, 3) for share in shares),
                )
            )
        if drawn:
            figures.append(
                Figure(
                    labelled_lines(
                        [one for one in drawn if one.points],
                        f"{place.name}: test interactions found, by popularity of items",
                        x_name="items, from the least popular (1) to the most (10)",
                    ),
                    place.name,
                )
            )
    if not lines:
        return Section(
            "popularity", "Items by popularity", ("These runs did not note hits by popularity of items.",)
        )
    heads = ("place", "arm", "unseen", *(str(part) for part in range(1, PARTS + 1)))
    return Section(
        "popularity",
        "Items by popularity",
        (
            f"The share of test interactions whose item is among the first {k[5:]}, by tenths of the items "
            f"ordered by their training interactions; all seeds together. Coloured changes have an uncorrected 95% "
            f"interval over users and seeds without 0.",
        ),
        tuple(figures),
        (
            Table(
                heads,
                tuple(lines),
                2,
                f"Share found ({k[5:]} listed); unseen: items without training interactions",
                grouped=True,
            ),
            *_changes_by_popularity(places, k),
        ),
    )


def beyond(places: list[Place]) -> Section:
    """Coverage, concentration, popularity and novelty of what is listed, and cold items where they were asked for."""
    known = list(
        dict.fromkeys(
            name
            for place in places
            for _, _, side in place.sides()
            for test in side.tests.values()
            for name in test
            if name.split("@")[0] in NAMES or name.startswith("cold.")
        )
    )
    if not known:
        return Section(
            "beyond", "Beyond accuracy", ("These runs did not note what their lists are made of.",)
        )
    smallest = min((int(name.split("@")[1]) for name in known if "@" in name), default=0)
    shown = [name for name in known if name.endswith(f"@{smallest}")] or known
    lines = [
        (
            Cell(place.name),
            named(name, kind),
            *(
                number(
                    mean([test.get(metric) for test in side.tests.values()]),
                    _DIGITS.get(metric.split("@")[0], 3),
                )
                for metric in shown
            ),
        )
        for place in places
        for name, kind, side in place.sides()
        if side.tests
    ]
    return Section(
        "beyond",
        "Beyond accuracy",
        (
            "What the lists are made of; none of it is better or worse by itself, and much of it goes "
            "against accuracy.",
        ),
        tables=(
            Table(
                ("place", "arm", *map(written, shown)),
                tuple(lines),
                2,
                f"The first {smallest} items, means over seeds",
                grouped=True,
            ),
        ),
        notes=(
            "Coverage: the share of the catalogue in anybody's list. Gini: 0 where all items are listed as "
            "often, near 1 where few fill all lists. Popularity: mean training interactions of what is "
            "listed. Novelty: mean of log2(users / training interactions) of what is listed, in bits.",
        ),
    )


_DIGITS = {"averagepopularity": 1, "novelty": 2}

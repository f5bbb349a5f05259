"""How good a run is on its test data, with intervals, and for whom and on which items it is weak."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from burnish.training.beyond import ACTIVITY

from .read import Facts

#: Of a standard normal distribution, for intervals of 95%.
_Z = 1.959963984540054
#: Groups of items by popularity: names, and which of eleven parts (`beyond.popularity_deciles`) they are.
_GROUPS = (
    ("not in training", (0,)),
    ("less popular half", (1, 2, 3, 4, 5)),
    ("next two fifths", (6, 7, 8, 9)),
    ("most popular tenth", (10,)),
)
#: Users that a group must have to be told apart.
FEWEST = 20


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval of 95%; NaN where that is not known.  n: of how many users, or of how many cases."""

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0

    @property
    def interval(self) -> str:
        """`.2817 to .3017`; empty where it is not known."""
        return "" if math.isnan(self.low) else f"{self.low:.4f} to {self.high:.4f}"


def figures(facts: Facts) -> list[tuple[Estimate, float]]:
    """Each metric on the test data, with the interval for other users like these, and its value on validation."""
    valid = facts.result.get("valid_result") or facts.result.get("best_valid_result") or {}
    return [
        (_of_users(name, name, float(value), facts.per_user), float(valid.get(name, math.nan)))
        for name, value in (facts.result.get("test_result") or {}).items()
    ]


def _of_users(name: str, metric: str, value: float, users: pd.DataFrame | None) -> Estimate:
    """Student's interval of a mean over users: rows of one user are one observation."""
    if users is None or metric not in users:
        return Estimate(name, value)
    sums = users.groupby("user")[metric].agg(["sum", "count"])
    n = len(sums)
    if n < 2:
        return Estimate(name, value, n=n)
    # The mean over rows is a ratio of two sums over users; where every user has one row, this is the usual error.
    mean = float(sums["sum"].sum() / sums["count"].sum())
    residuals = (sums["sum"] - mean * sums["count"]) / sums["count"].mean()
    half = _t(n - 1) * float(residuals.std(ddof=1)) / math.sqrt(n)
    return Estimate(name, value, mean - half, mean + half, n)


def _t(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def by_popularity(facts: Facts) -> tuple[int, list[tuple[Estimate, int, float]]]:
    """For groups of items by popularity: the share of wanted items that is found, how many items, their share of lists.

    Gives the length of the lists, 0 where it was not measured, and the groups that anybody wanted something of.  The
    interval is Wilson's, which takes test interactions for independent ones.
    """
    deciles: Mapping[str, Sequence[int]] = facts.result.get("popularity_deciles") or {}
    k = next((int(name.partition("@")[2]) for name in deciles if name.startswith("hits@")), 0)
    if not k:
        return 0, []
    listed = max(1, sum(deciles[f"listed@{k}"]))
    rows = []
    for name, parts in _GROUPS:
        wanted, hits, items, own = (
            sum(deciles[key][part] for part in parts)
            for key in ("wanted", f"hits@{k}", "items", f"listed@{k}")
        )
        if wanted:
            rows.append((wilson(name, hits, wanted), items, own / listed))
    return k, rows


def wilson(name: str, hits: int, n: int) -> Estimate:
    """A share with Wilson's interval of 95% (Wilson 1927)."""
    share, z2 = hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (0.0 if not hits else middle - half), (1.0 if hits == n else middle + half)
    return Estimate(name, share, low, high, n)


def by_activity(facts: Facts) -> tuple[str, list[Estimate]]:
    """The metric that the best epoch is chosen by, for thirds of the users by their training interactions.

    Gives its name, empty where it is not known a user, and the groups, those with the fewest interactions first; users
    without any are a group of their own.
    """
    users, metric = facts.per_user, str(facts.result.get("valid_metric", "")).lower()
    if users is None or ACTIVITY not in users or metric not in users:
        return "", []
    counts = users[ACTIVITY].to_numpy()
    return metric, [
        _of_users(name, metric, float(users[metric][chosen].mean()), users[chosen])
        for name, chosen in _thirds(counts)
        if users["user"][chosen].nunique() >= FEWEST
    ]


def _thirds(counts: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    known = counts[counts > 0]
    if (counts == 0).any():
        yield "no interaction in training", counts == 0
    if not len(known):
        return
    edges = sorted({int(edge) for edge in np.quantile(known, [1 / 3, 2 / 3, 1.0], method="lower")})
    below = 0
    for edge in edges:
        name = f"{below + 1} to {edge}" if edge > below + 1 else f"{edge}"
        yield f"{name} interactions", (counts > below) & (counts <= edge)
        below = edge


def weaknesses(facts: Facts) -> list[str]:
    """Sentences on where it is clearly worse: where two groups' intervals are apart, and what stands in no list."""
    return [*_of_items(facts), *_of_activity(facts), *_of_lists(facts)]


def _of_items(facts: Facts) -> Iterator[str]:
    k, groups = by_popularity(facts)
    if not groups:
        return
    best = max((one for one, _, _ in groups), key=lambda one: one.value)
    for one, items, share in groups:
        if one.name == _GROUPS[0][0] and not share:
            yield (
                f"Items that training does not have ({items:,}) stand in nobody's list; {one.n:,} test interactions "
                f"are with one of them."
            )
        elif one.high < best.low:
            yield (
                f"Items of the {one.name}: {one.value:.1%} of the test interactions with them stand in the first {k} "
                f"places; {best.value:.1%} of those with items of the {best.name}."
            )


def _of_activity(facts: Facts) -> Iterator[str]:
    metric, groups = by_activity(facts)
    if len(groups) < 2:
        return
    best, worst = max(groups, key=lambda one: one.value), min(groups, key=lambda one: one.value)
    if worst.high < best.low:
        yield (
            f"Users with {worst.name}: {metric.upper()} is {worst.value:.4f}, and {best.value:.4f} for users with "
            f"{best.name}. Who has more test items has it easier in some metrics, so that this tells of both."
        )


def _of_lists(facts: Facts) -> Iterator[str]:
    beyond: Mapping[str, Any] = facts.result.get("beyond") or {}
    for name, share in beyond.items():
        if name.startswith("itemcoverage@") and share < 0.5:
            yield f"Lists: {1 - share:.0%} of the catalogue stands in nobody's first {name.partition('@')[2]}."
            return

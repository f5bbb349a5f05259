"""Average ranks of arms over data sets and seeds: Friedman's test, Nemenyi's critical difference, cliques."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from burnish.errors import DataError

from .flags import COLLAPSED
from .floor_rows import NoteFloors
from .marks import flag_lines, marks_of
from .metrics import sign
from .notes import ArmRuns, find_notes, load_arm
from .rows import ALPHA
from .statistics import FloatArray

#: A ranking in a block: the value of every arm.
Block = Mapping[str, float]


@dataclass(frozen=True)
class Ranking:
    """`k` arms ranked in each of `n_blocks` blocks, the best having rank 1, ties the mean of their ranks.

    names, average_ranks: `[k]`, the best first.  chi2, chi2_p: Friedman's test with its correction for ties.
    f, f_df, f_p: as an F (Iman and Davenport 1980), which is less conservative.  critical_difference: what two average
    ranks have to differ by (Nemenyi) to be called different at `alpha`.  p: `[k, k]`, Nemenyi's for each pair.
    cliques: names that differ by less, largest groups only, single names left out.  blocks: what they are.  remarks:
    what was left out.
    """

    metric: str
    names: tuple[str, ...]
    average_ranks: tuple[float, ...]
    n_blocks: int
    chi2: float
    chi2_p: float
    f: float
    f_df: tuple[int, int]
    f_p: float
    alpha: float
    critical_difference: float
    p: tuple[tuple[float, ...], ...]
    cliques: tuple[tuple[str, ...], ...]
    blocks: str = "blocks"
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; an infinite F is null."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return content | {"f": self.f if math.isfinite(self.f) else None}

    def sentence(self) -> str:
        """The ranking in words."""
        ranks = ", ".join(
            f"{name} {rank:.2f}" for name, rank in zip(self.names, self.average_ranks, strict=True)
        )
        p = "p < .0001" if self.f_p < 1e-4 else f"p = {self.f_p:.4f}"
        alike = "; ".join(", ".join(clique) for clique in self.cliques)
        return " ".join(
            [
                f"Average ranks by {self.metric} over {self.n_blocks} {self.blocks}: {ranks}.",
                f"Friedman: F({self.f_df[0]}, {self.f_df[1]}) = {self.f:.2f}, {p}; ranks that differ by less than "
                f"{self.critical_difference:.2f} (Nemenyi, {self.alpha:g}) are not told apart"
                + (f": {alike}." if alike else "; all differ by more."),
                *self.remarks,
            ]
        )


@lru_cache(maxsize=64)
def critical_difference(k: int, n_blocks: int, alpha: float = ALPHA) -> float:
    """What two average ranks of `k` arms over `n_blocks` blocks have to differ by (Nemenyi 1963).

    Demsar (2006, section 3.2.2): q / sqrt 2 * sqrt(k (k + 1) / 6 n), q of the studentised range with infinitely many
    degrees of freedom: 5.2003 for k = 7 and n = 3.  Raises `DataError` for less than two arms or no block.
    """
    if k < 2 or n_blocks < 1:
        raise DataError(f"ranks: at least two arms and one block are needed; got {k} and {n_blocks}")
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf))
    return q / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n_blocks))


def rank_blocks(
    values: FloatArray,
    names: Sequence[str],
    *,
    metric: str = "ndcg@10",
    alpha: float = ALPHA,
    blocks: str = "blocks",
    remarks: Iterable[str] = (),
) -> Ranking:
    """Rank arms in each block and test whether they differ.

    values: `[n_blocks, k]`, finite.  metric: says whether larger values are better.
    Friedman's chi2 is as in Conover (1999, section 5.8) with ties; its F is (n - 1) chi2 / (n (k - 1) - chi2), with
    k - 1 and (k - 1)(n - 1) degrees of freedom (Demsar 2006, equation 6).  Where all blocks agree, F is infinite and p
    is exact: (1 / k!)^(n - 1), of fewer orders than k! where arms share a rank.

    Raises `DataError` for less than two arms or blocks, or a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(names) or not np.isfinite(values).all():
        raise DataError(
            f"ranks: a finite value of each of {len(names)} arms in each block is needed; got {values.shape}"
        )
    n, k = values.shape
    if n < 2 or k < 2:
        raise DataError(
            f"ranks: at least two arms in two blocks are needed; there are {k} arm{'s' if k != 1 else ''} in {n} "
            f"block{'s' if n != 1 else ''} (a data set, backbone and seed in which all of the arms finished)"
        )
    ranks = stats.rankdata(-sign(metric) * values, axis=1)
    chi2, f, f_p = _friedman(ranks)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    averages = ranks.mean(axis=0)[order]
    apart = critical_difference(k, n, alpha)
    gaps = np.abs(averages[:, None] - averages) / math.sqrt(k * (k + 1) / (6 * n))
    known = {gap: float(stats.studentized_range.sf(gap * math.sqrt(2), k, np.inf)) for gap in np.unique(gaps)}
    ordered = tuple(names[place] for place in order)
    return Ranking(
        metric=metric,
        names=ordered,
        average_ranks=tuple(map(float, averages)),
        n_blocks=n,
        chi2=chi2,
        chi2_p=float(stats.chi2.sf(chi2, k - 1)),
        f=f,
        f_df=(k - 1, (k - 1) * (n - 1)),
        f_p=f_p,
        alpha=alpha,
        critical_difference=apart,
        p=tuple(tuple(known[gap] for gap in line) for line in gaps),
        cliques=tuple(ordered[start:end] for start, end in _cliques(averages, apart)),
        blocks=blocks,
        remarks=tuple(remarks),
    )


def _friedman(ranks: NDArray[np.float64]) -> tuple[float, float, float]:
    """Friedman's chi2, and F with its p."""
    n, k = ranks.shape
    spread = float((ranks**2).sum()) - n * k * (k + 1) ** 2 / 4
    if spread <= 1e-9:
        return 0.0, 0.0, 1.0  # nothing but ties
    chi2 = (k - 1) * float(((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2).sum()) / spread
    left = n * (k - 1) - chi2
    if left <= 1e-9 * n * k:
        # The same ranks in every block: what shares a rank can be put in any order.
        alike = math.prod(math.factorial(int(times)) for times in np.unique(ranks[0], return_counts=True)[1])
        return chi2, math.inf, (alike / math.factorial(k)) ** (n - 1)
    f = (n - 1) * chi2 / left
    return chi2, f, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))


def _cliques(averages: Sequence[float] | FloatArray, apart: float) -> list[tuple[int, int]]:
    """Starts and ends of the longest stretches of sorted ranks that span less than the critical difference."""
    found: list[tuple[int, int]] = []
    for start in range(len(averages)):
        end = start + 1
        while end < len(averages) and averages[end] - averages[start] < apart:
            end += 1
        if end - start > 1 and (not found or end > found[-1][1]):
            found.append((start, end))
    return found


def rank_arms(folder: Path | str, *, metric: str = "ndcg@10", per_seed: bool = True) -> Ranking:
    """Rank the arms and floors of a folder of runs, by the mean of a metric on the test set.

    A block is a data set, a backbone and a seed, or without `per_seed` a data set and a backbone, averaged over
    seeds.  Seeds of one data set share most of its data, so with few data sets the ranks of seeds speak of these data.
    Comparisons without the metric are left out, then arms that another comparison lacks, then blocks in which one has
    not finished; all are named, and so are runs that are flagged as collapsed (`flags`).

    Raises `DataError` where less than two arms or blocks remain.
    """
    places: dict[str, dict[str, dict[int, float]]] = {}
    read: list[NoteFloors] = []
    for note in find_notes(Path(folder)):
        arms = {name: load_arm(note["path"].parent, runs) for name, runs in note["arms"].items()}
        read.append(NoteFloors.of(note, arms))
        found = {name: _by_seed(side, metric) for name, side in {**read[-1].floors, **arms}.items()}
        place = f"{note['dataset']}, {note['label']} #{note['comparison']}"
        places[place] = {name: values for name, values in found.items() if values}
    without = [place for place, sides in places.items() if not sides]
    measured = [sides for sides in places.values() if sides]
    everywhere = list(dict.fromkeys(name for sides in measured for name in sides))
    names = [name for name in everywhere if all(name in sides for sides in measured)]
    values: list[list[float]] = []
    short = 0
    for sides in measured:
        seeds = sorted({seed for name in names for seed in sides[name]})
        whole = [seed for seed in seeds if all(seed in sides[name] for name in names)]
        short += len(seeds) - len(whole)
        lines = [[sides[name][seed] for name in names] for seed in whole]
        values += lines if per_seed or not lines else [np.mean(lines, axis=0).tolist()]
    remarks = [f"Left out, as without {metric}: {'; '.join(without)}."] if without else []
    if len(names) < len(everywhere):
        missing = ", ".join(name for name in everywhere if name not in names)
        remarks.append(f"Not ranked, as not everywhere: {missing}.")
    if short:
        seeds_are = "seeds, on which" if short > 1 else "seed, on which"
        remarks.append(f"Left out: {short} {seeds_are} one of them has not finished.")
    remarks += [said for said in flag_lines(marks_of(read)) if said[1] in COLLAPSED]
    table = np.array(values, dtype=np.float64).reshape(len(values), len(names))
    blocks = "data sets x backbones" + (" x seeds" if per_seed else "")
    return rank_blocks(table, names, metric=metric, blocks=blocks, remarks=remarks)


def _by_seed(side: ArmRuns, metric: str) -> dict[int, float]:
    return {
        seed: test[metric] for seed, test in side.tests.items() if math.isfinite(test.get(metric, math.nan))
    }

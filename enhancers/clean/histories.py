"""Whole users who are noise (bots), and whole items (click-bait): each history is compared with what chance made of it.

Rows of a bot are like each other, so none of them stands out; the user does.  Every user gets a counterpart who has as
many items, most of them drawn by chance, and who is judged in their place: by how well the items fit together,
according to all others.  A classifier learns to tell counterparts from users; its odds, and the share of
bots that there can be at most among users who are as active, give the probability that a user is one.  A second
classifier learns which rows of a counterpart were drawn.  Items are judged likewise, their users in the place of items.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from burnish.enhancers.teachers.ease import GramMatrix, InverseGram, inverse_gram
from burnish.enhancers.teachers.scores import BLOCK_BYTES
from burnish.enhancers.teachers.sparse import Sparse, blocks, incidence

from .signs import IN_FULL, RIDGE

#: Of a counterpart's rows, at least so many are drawn by chance.
LEAST_DRAWN = 0.5
#: Histories with fewer rows are not judged: there is nothing to compare.
FEWEST_ROWS = 5
#: Histories that it takes to judge any.
FEWEST_HISTORIES = 50
#: Histories of like length that a share is bounded within, by equal parts of the interactions.
STRATA = 4
#: The regions that may bound a share, by what they leave out of the counterparts: the least suspect ones.
LEFT_OUT = (0.1, 0.25, 0.5)
#: Times that classifiers are fitted, histories counting the less the likelier they are noise.
ROUNDS = 3
#: Groups of columns of like popularity.
GROUPS = 8
#: Histories that get counterparts, and rows that the second classifier learns from, at most.
MOST_HISTORIES, MOST_ROWS = 20_000, 60_000


@dataclass(frozen=True)
class Judged:
    """probability: `[n]`, that an interaction is noise of this kind.  share: of noise, with a 95% interval."""

    probability: NDArray[np.float64]
    share: float
    low: float
    high: float


def judged_histories(
    rows: Tensor, columns: Tensor, sizes: tuple[int, int], *, by_popularity: bool, repeats: int, seed: int
) -> Judged:
    """How likely it is that interactions are noise of whole rows.

    Parameters
    ----------
    rows, columns
        `[n]` ids from 1: users and items, where bots are looked for; items and users, where click-bait is.
    sizes
        Numbers of ids, padding included.
    by_popularity
        Whether chance draws columns by how often they occur; else all alike.
    repeats
        Counterparts of each history.
    seed
        Of what chance draws, of folds and of classifiers.
    """
    n = len(rows)
    rng = np.random.default_rng(seed)
    known = incidence(rows, columns, sizes)
    length = np.diff(known.matrix.indptr)
    judged = np.flatnonzero(length >= FEWEST_ROWS)
    if len(judged) < FEWEST_HISTORIES:
        return Judged(np.zeros(n), 0.0, 0.0, 1.0)
    inverse = inverse_gram(GramMatrix(known, 8 * (IN_FULL + 1) ** 2), RIDGE)
    occurs = np.bincount(known.matrix.indices, minlength=sizes[1]).astype(float)
    chance = occurs if by_popularity else np.ones(sizes[1])
    chance[0] = 0
    sizes_of = length[judged]
    if len(judged) > MOST_HISTORIES:
        sizes_of = rng.choice(sizes_of, MOST_HISTORIES, replace=False)
    planted, is_drawn, stands_for = counterparts(known, np.tile(sizes_of, repeats), judged, chance, rng)
    there_signs = history_signs(known.pick(torch.from_numpy(judged)), judged, known, inverse)
    planted_signs = history_signs(planted, stands_for, known, inverse)
    drawn = _drawn(there_signs, planted_signs, is_drawn, rng)

    # What of a history is noise if it is a bot's.
    entries = length[judged]
    starts = np.cumsum(entries) - entries
    noise = np.add.reduceat(drawn, starts)
    lengths = entries, np.diff(planted.matrix.indptr)
    ends = np.quantile(np.repeat(entries, entries), np.arange(1, STRATA) / STRATA)
    stratum, planted_stratum = (np.digitize(length, ends, right=True) for length in lengths)
    half = np.zeros(sizes[0], bool)
    half[rng.permutation(judged)[: len(judged) // 2]] = True
    is_noise = np.zeros(len(judged))
    for _ in range(ROUNDS):
        odds, planted_odds = _odds(
            (there_signs.histories[:, :-1], planted_signs.histories[:, :-1]),
            (half[judged], half[stands_for]),
            1.0 - is_noise,
        )
        suspect = np.zeros(len(judged))
        for one in np.unique(stratum):
            own = stratum == one
            limit, part = _region(odds[own], planted_odds[planted_stratum == one])
            suspect[own] = (odds[own] >= limit) / part
            among = min(1.0, suspect[own].mean())
            is_noise[own] = among * odds[own] / (among * odds[own] + 1.0 - among)
    # Where many are noise and counterparts are not quite as they are, the region has too few of them.
    counts = max(suspect, is_noise, key=lambda each: float(each @ noise))
    share = float(counts @ noise) / n
    # One history more is counted than there is, as none at all says little about a share of none.
    error = math.sqrt(np.square(counts * noise).sum() + noise.mean() ** 2) / n
    probability = csr_matrix(
        (
            np.repeat(is_noise, entries) * drawn,
            known.matrix[judged].indices,
            np.append(starts, entries.sum()),
        ),
        shape=(len(judged), sizes[1]),
    )
    place = np.full(sizes[0], -1)
    place[judged] = np.arange(len(judged))
    own = place[rows.numpy()]
    found = np.zeros(n)
    found[own >= 0] = np.asarray(probability[own[own >= 0], columns.numpy()[own >= 0]]).ravel()
    return Judged(found, min(1.0, share), max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error))


def _region(there: NDArray[np.float64], planted: NDArray[np.float64]) -> tuple[float, float]:
    """The limit of the odds from which on there is least beside what was planted, and the part of that above it."""
    best = np.inf, np.inf, 1.0
    for left_out in LEFT_OUT if len(planted) else ():
        limit = float(np.quantile(planted, left_out))
        part, number = float((planted >= limit).mean()), int((there >= limit).sum())
        best = min(best, ((number + math.sqrt(number + 1)) / part, limit, part))
    return best[1:]


def counterparts(
    known: Sparse,
    lengths: NDArray[Any],
    of: NDArray[Any],
    chance: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[Sparse, NDArray[np.bool_], NDArray[Any]]:
    """Histories of these lengths, half of them or more drawn by chance; which entries were, and whose the others are.

    Each keeps entries of one row, drawn from `of` with equal chance: most rows are real, though most long ones may not
    be.  How much is drawn is itself drawn, from `LEAST_DRAWN` to all, and more where the row has too few to keep.

    lengths: `[h]`.  of: rows of `known`.  chance: `[n_columns]`, of being drawn, in proportion; the row's own are not.
    """
    columns, is_drawn = [], []
    with np.errstate(divide="ignore"):
        scale = 1.0 / chance
    rows = rng.choice(of, len(lengths))
    for row, length in zip(rows, lengths, strict=True):
        own = known.matrix.indices[known.matrix.indptr[row] : known.matrix.indptr[row + 1]]
        # The smallest of exponential times are a draw without replacement.
        times = rng.exponential(size=len(chance)) * scale
        times[own] = np.inf
        kept = rng.permutation(own)[: length - max(1, round(length * rng.uniform(LEAST_DRAWN, 1.0)))]
        wanted = min(length - len(kept), int(np.isfinite(times).sum()))
        new = np.argpartition(times, wanted - 1)[:wanted] if wanted else own[:0]
        order = np.argsort(np.concatenate([new, kept]))
        columns.append(np.concatenate([new, kept])[order])
        is_drawn.append(order < wanted)
    every = np.concatenate(columns)
    ends = np.cumsum([len(one) for one in columns])
    matrix = csr_matrix(
        (np.ones(len(every), np.float32), every, np.append(0, ends)), shape=(len(lengths), known.shape[1])
    )
    return Sparse(matrix), np.concatenate(is_drawn), rows


def left_out_scores(
    histories: Tensor, own: Tensor, by_histories: Tensor, by_own: Tensor, diagonal: Tensor
) -> Tensor:
    """EASE's scores of histories, from the regression without the row that each stands for: `[b, n_columns]`.

    With P = (X'X + ridge I)^-1 and x the row, P without it is P + c P x x' P, c = 1 / (1 - x'P x) (Sherman and
    Morrison).
    The score of column k is -(P h)_k / P_kk, and 1 more where k is in the history h: no column says anything of itself.

    Parameters
    ----------
    histories, own
        `[b, n_columns]` of zeros and ones: the histories, and the rows that they stand for.
    by_histories, by_own
        Both times P.
    diagonal
        Of P, `[n_columns]`.
    """
    # Of a P of low rank the product may be above 1.
    factor = 1.0 / (1.0 - (own * by_own).sum(1)).clamp(min=0.05)
    across = factor * (histories * by_own).sum(1)
    product = by_histories + across[:, None] * by_own
    return histories - product / (diagonal + factor[:, None] * by_own.square())


@dataclass(frozen=True)
class HistorySigns:
    """histories: `[h, 6]`.  entries: `[m, 9]`, in the order of the matrix, the last six those of the history."""

    histories: NDArray[np.float64]
    entries: NDArray[np.float64]


@torch.no_grad()
def history_signs(
    histories: Sparse, stands_for: NDArray[Any], known: Sparse, inverse: InverseGram
) -> HistorySigns:
    """Signs of histories, each of them in the place of a row of `known`, which says nothing.

    Of an entry: its score (`left_out_scores`) against those of all columns that the history does not have, and against
    those of like popularity, in deviations from their mean; how popular the column is without the row.  Of a history:
    the means of these three, the shares of entries below the means of others, and how many entries there are.
    """
    n_columns = known.shape[1]
    counts = torch.from_numpy(np.bincount(known.matrix.indices, minlength=n_columns)).float()
    edges = torch.quantile(counts[1:], torch.arange(1, GROUPS) / GROUPS).unique()
    group = torch.bucketize(counts, edges)
    member = torch.nn.functional.one_hot(group, len(edges) + 1).float()
    member[0] = 0
    popular = (counts[1:] + 1).log()
    mean, deviation = popular.mean(), popular.std().clamp(min=1e-6)
    found: list[Tensor] = []
    means: list[Tensor] = []
    for block in blocks(len(stands_for), 40 * n_columns, BLOCK_BYTES):
        rows = torch.from_numpy(stands_for[block])
        left = known.pick(rows)
        these = Sparse(histories.matrix[block])
        own, has = (torch.from_numpy(one.matrix.toarray()) for one in (left, these))
        scores = left_out_scores(has, own, inverse.times(these), inverse.times(left), inverse.diagonal)
        others = 1.0 - has
        number = others @ member
        first, second = (scores * others) @ member, (scores.square() * others) @ member
        row, column = (torch.from_numpy(axis).long() for axis in these.matrix.nonzero())
        score = scores[row, column]
        signs = []
        for total, sums, squares, cell in (
            (number.sum(1), first.sum(1), second.sum(1), row),
            (number.ravel(), first.ravel(), second.ravel(), row * member.shape[1] + group[column]),
        ):
            centre = sums / total.clamp(min=1)
            spread = (squares / total.clamp(min=1) - centre.square()).clamp(min=0).sqrt() + 1e-6
            signs.append(((score - centre[cell]) / spread[cell]).clamp(-3, 5))
        signs.append(((counts[column] - own[row, column] + 1).log() - mean) / deviation)
        entries = torch.stack(signs, 1)
        below = (entries[:, :2] < 0).float()
        length = has.sum(1)
        sums = torch.zeros(len(has), 5).index_add_(0, row, torch.cat([entries, below], 1))
        of_histories = torch.cat([sums / length.clamp(min=1)[:, None], length.clamp(min=1).log()[:, None]], 1)
        means.append(of_histories)
        found.append(torch.cat([entries, of_histories[row]], 1))
    return HistorySigns(torch.cat(means).double().numpy(), torch.cat(found).double().numpy())


def _classifier(**options: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.1, l2_regularization=1.0, early_stopping=False, random_state=0, **options
    )


def _odds(
    signs: tuple[NDArray[np.float64], NDArray[np.float64]],
    halves: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    real: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Density of counterparts over that of real histories, of both, by classifiers that learnt from the other half.

    How long a history is is no sign: bots may be longer than most.

    signs, halves: of the histories, and of counterparts.  real: how much each history counts.
    """
    # Both weigh the same, so that the odds are the ratio of the densities.
    weights = real, np.full(len(signs[1]), real.sum() / len(signs[1]))
    odds = np.empty(len(signs[0])), np.empty(len(signs[1]))
    for own in (True, False):
        learnt = [half != own for half in halves]
        classifier = _classifier(
            max_iter=80, max_leaf_nodes=8, min_samples_leaf=20, monotonic_cst=[-1, -1, -1, 1, 1]
        )
        classifier.fit(
            np.concatenate([one[rows] for one, rows in zip(signs, learnt, strict=True)]),
            np.repeat([0, 1], [rows.sum() for rows in learnt]),
            sample_weight=np.concatenate([one[rows] for one, rows in zip(weights, learnt, strict=True)]),
        )
        for place, (one, half) in enumerate(zip(signs, halves, strict=True)):
            if (half == own).any():
                chances = classifier.predict_proba(one[half == own])[:, 1].clip(1e-6, 1 - 1e-6)
                odds[place][half == own] = chances / (1 - chances)
    return odds


def _drawn(
    there: HistorySigns, planted: HistorySigns, is_drawn: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """How likely it is that chance drew an entry, if its history is such as counterparts are."""
    learnt = np.arange(len(is_drawn))
    if len(learnt) > MOST_ROWS:
        learnt = rng.choice(learnt, MOST_ROWS, replace=False)
    classifier = _classifier(max_iter=60, max_leaf_nodes=15, min_samples_leaf=50)
    classifier.fit(planted.entries[learnt], is_drawn[learnt])
    return np.asarray(classifier.predict_proba(there.entries)[:, 1])

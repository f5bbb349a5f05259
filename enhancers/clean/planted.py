"""How likely it is that an interaction is noise: it is compared with noise that was planted to be found again.

Interactions that never happened are put among the real ones, and a classifier learns to tell them from the rest by
their signs.  Its odds are the ratio of two densities, planted noise over what there is; times the share of noise, that
is the probability that an interaction is noise.  The share is at most the smallest ratio of "there is" to "planted"
over all regions of signs (what there is has the density `(1 - share) f_1 + share f_0`, planted noise `f_0`), and close
to it where some region holds noise alone.  So clean data can have a share of nearly none.

Ours; the two parts are known.  A classifier of known against mixed examples gives the ratio (Elkan and Noto, KDD 2008);
the smallest ratio bounds the share (Blanchard, Lee and Scott, JMLR 2010; Scott, AISTATS 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.errors import ConfigurationError, DataError
from burnish.noise.draw import inject

from .histories import judged_histories
from .signs import signs
from .usefulness import BEYOND, gain, held_out

#: Kinds of noise (`burnish.noise.kinds`) that are looked for where none are named.  Not click-bait: in sparse data many
#: items have users with nothing else in common (of Yelp's interactions as they are 30% look so).
KINDS = ("uniform", "popular", "position", "bots")
#: Kinds of whole users and whole items: `histories` finds them.
OF_HISTORIES = ("bots", "clickbait")
#: Rows that a classifier learns from, at most.
MOST_ROWS = 400_000
#: Planted interactions in the region that bounds the share, at least: fewer would be chance.  Of fewer than four times
#: as many a quarter, or the region would be nearly all there is, which looks like noise whatever it is.
FEWEST = 100
#: Planted interactions that a classifier can learn from, at least.
LEAST_PLANTED = 20
#: A share above this is not acted on: who chooses by chance leaves nothing that noise could be told from.
MOST = 0.5
#: Rows of bots and click-bait from this probability on are set aside while other kinds are looked for.
SET_ASIDE = 0.5
#: What an interaction counts at least where its suspicion is tried.
LOWEST = 0.05
#: Fewest interactions that a share can be found in.
LEAST_ROWS = 1000


@dataclass(frozen=True)
class NoiseShare:
    """What share of the interactions looks like planted noise of a kind.

    low, high: 95% interval, over interactions and over plantings.  gain, error: by how much minding it lowers the
    logarithm (base 2) of the ranks of interactions that were held out, and the standard error; None where that was not
    tried.
    """

    kind: str
    share: float
    low: float
    high: float
    gain: float | None = None
    error: float | None = None

    @property
    def tells_nothing(self) -> bool:
        """Whether it is so much that these data do not tell taste from chance: then it is no measure of noise."""
        return self.share > MOST

    @property
    def useless(self) -> bool:
        """Whether minding it was tried and is no gain beyond doubt, so that it is not acted on."""
        return self.gain is not None and not self.gain > BEYOND * (self.error or 0.0)

    def __str__(self) -> str:
        more = (
            ", too much to be noise: these data do not tell taste from chance" if self.tells_nothing else ""
        )
        if self.gain is not None and self.error is not None:
            percent, doubt = 100 * (1 - 2**-self.gain), 100 * math.log(2) * self.error
            change = (
                f"{abs(percent):.1f}% {'better' if percent >= 0 else 'worse'} (standard error {doubt:.1f}%)"
            )
            more = (
                f", {'not acted on: ' if self.useless else ''}without it held-out interactions rank {change}"
            )
        return f"{self.kind} noise {self.share:.1%} ({self.low:.1%} to {self.high:.1%}{more})"


@dataclass(frozen=True)
class Suspicion:
    """probability: `[n]`, that an interaction is noise, of the likelier kind.  kind: `[n]`, its place in `shares`."""

    probability: Tensor
    kind: Tensor
    shares: tuple[NoiseShare, ...]


def suspicion(
    users: Tensor,
    items: Tensor,
    n_users: int,
    n_items: int,
    *,
    kinds: tuple[str, ...] = KINDS,
    least: float = 0.01,
    planted: float = 0.1,
    repeats: int = 3,
    must_help: bool = True,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
) -> Suspicion:
    """The probability that each interaction is noise, `[n]`.

    A kind that is found is tried, where it `must_help`: a tenth of the interactions (at most `MOST_HELD_OUT`) is held
    out, the rest judged anew, and unless weights by that lower the ranks of what was held out (`usefulness`), the kind
    is not acted on.

    Parameters
    ----------
    users, items
        `[n]` ids from 1 to `n_users` - 1 and `n_items` - 1, of the training interactions.
    kinds
        Of `burnish.noise.kinds`; each is planted alone, as `burnish.noise.draw.inject` draws it.  Bots and click-bait
        are looked for first (`histories`), and what is found to be theirs is set aside while the others are.
    least
        A kind whose share is not above this beyond doubt is taken for none, and gives no suspicion; nor does one whose
        share is above `MOST`.  Where that is so of uniform, popular or position noise, none of the three does.
    planted
        Noise that is planted, as a share of the interactions; bots and click-bait are planted one for one.
    repeats
        Plantings of a kind, whose log odds are averaged.
    must_help
        Try every kind that is found.
    seed
        Of what is planted, of folds and of classifiers.
    progress
        Called after every planting but those by which the suspicion itself is tried.

    Raises
    ------
    DataError
        For fewer than `LEAST_ROWS` interactions, or those of one user or of one item alone; where users know nearly
        everything, so that no noise can be planted.
    ConfigurationError
        For a `planted` of fewer than `LEAST_PLANTED` interactions.
    """
    users, items = users.cpu().long(), items.cpu().long()
    n = len(users)
    if n < LEAST_ROWS:
        raise DataError(
            f"clean: {n} interactions are too few to tell noise from what is real; it takes {LEAST_ROWS} at least"
        )
    if round(planted * n) < LEAST_PLANTED and not set(kinds) <= set(OF_HISTORIES):
        raise ConfigurationError(
            f"clean: {round(planted * n)} planted interactions are too few to learn from; of {n:,} interactions "
            f"planted is {math.ceil(1000 * LEAST_PLANTED / n) / 1000:g} at least"
        )
    step = progress or (lambda: None)
    sizes = n_users, n_items
    found = _judged(users, items, sizes, kinds, least, planted, repeats, seed, step)
    doubted = tuple(kind for kind, (_, probability) in found.items() if bool(probability.any()))
    if must_help and doubted:
        held = held_out(n, seed)
        rest = torch.from_numpy(~held)
        anew = _judged(users[rest], items[rest], sizes, doubted, least, planted, 1, seed, lambda: None)
        for kind in doubted:
            mean, error = gain(users, items, sizes, held, (1.0 - anew[kind][1]).clamp(min=LOWEST))
            tried = replace(found[kind][0], gain=mean, error=error)
            found[kind] = tried, found[kind][1] * (not tried.useless)
    probability, kind_of = torch.stack([found[kind][1] for kind in kinds]).max(0)
    return Suspicion(probability.float(), kind_of, tuple(found[kind][0] for kind in kinds))


def _judged(
    users: Tensor,
    items: Tensor,
    sizes: tuple[int, int],
    kinds: tuple[str, ...],
    least: float,
    planted: float,
    repeats: int,
    seed: int,
    step: Callable[[], None],
) -> dict[str, tuple[NoiseShare, Tensor]]:
    """Of each kind its share, and the probability `[n]` of each interaction: 0 where it is not acted on."""
    n, (n_users, n_items) = len(users), sizes
    found: dict[str, tuple[NoiseShare, Tensor]] = {}
    left = torch.ones(n, dtype=torch.bool)
    for place, kind in enumerate(kinds):
        if kind in OF_HISTORIES:
            own, other = ((users, n_users), (items, n_items))[:: 1 if kind == "bots" else -1]
            judged = judged_histories(
                own[0],
                other[0],
                (own[1], other[1]),
                by_popularity=kind == "clickbait",
                repeats=repeats,
                seed=(seed * 1_000_003 + place * 1009) % 2**31,
            )
            for _ in range(repeats):
                step()
            share = NoiseShare(kind, judged.share, judged.low, judged.high)
            probability = torch.from_numpy(judged.probability) * _acted_on(share, least)
            found[kind] = share, probability
            left &= probability < SET_ASIDE
    if int(left.sum()) < LEAST_ROWS:
        left[:] = True
    rest = users[left], items[left], n_users, n_items
    # What is enough of all is so where rows are held out or set aside.
    count, part = max(round(planted * len(rest[0])), LEAST_PLANTED), len(rest[0]) / n
    of_rest: dict[str, tuple[float, NDArray[np.float64]]] = {}
    for place, kind in enumerate(kinds):
        if kind not in OF_HISTORIES:
            there, planted_odds = [], []
            for repeat in range(repeats):
                drawn = seed * 1_000_003 + place * 1009 + repeat
                odds = _odds(*rest, kind, count, drawn % 2**31)
                there.append(odds[: len(rest[0])])
                planted_odds.append(odds[len(rest[0]) :])
                step()
            seen = _share(kind, there, planted_odds, seed + place)
            share = NoiseShare(kind, part * seen.share, part * seen.low, part * seen.high)
            of_rest[kind] = seen.share, np.exp(np.mean(np.log(there), axis=0))
            found[kind] = share, torch.zeros(n, dtype=torch.float64)
    # Data in which choices look like chance of one kind do not tell chance of another from taste, either.
    if not any(found[kind][0].tells_nothing for kind in of_rest):
        for kind, (most, odds) in of_rest.items():
            share, probability = found[kind]
            if _acted_on(share, least):
                probability[left] = torch.from_numpy((most * odds).clip(max=1.0))
    return found


def _acted_on(share: NoiseShare, least: float) -> bool:
    return share.low > least and not share.tells_nothing


def _odds(
    users: Tensor, items: Tensor, n_users: int, n_items: int, kind: str, count: int, seed: int
) -> NDArray[np.float64]:
    """Density of planted noise over that of what there is, `[n + count]`, by classifiers that did not see the row."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    n = len(users)
    if min(n_users, n_items) < 3:  # ids begin at 1
        one = "user" if n_users < 3 else "item"
        raise DataError(
            f"clean: all {n:,} interactions are of one {one}, and noise is told by what a user has in common with "
            f"others; it takes two or more"
        )
    try:
        planted = inject(
            users.numpy(), items.numpy(), n_items=n_items, share=count / n, kind=kind, seed=seed, first_item=1
        )
    except DataError as error:
        raise DataError(
            f"clean: {kind} noise cannot be planted, as users have too few items that are new to them ({error}); give "
            f"a smaller planted, or other kinds"
        ) from error
    all_users, all_items = torch.from_numpy(planted.users), torch.from_numpy(planted.items)
    features = signs(all_users, all_items, n_users, n_items, seed=seed)[0].numpy()
    is_planted = planted.is_noise
    rng = np.random.default_rng(seed)
    half = rng.permutation(n + count) % 2 == 0
    odds = np.empty(n + count)
    for own in (half, ~half):
        learnt = np.flatnonzero(~own)
        if len(learnt) > MOST_ROWS:
            learnt = rng.choice(learnt, MOST_ROWS, replace=False)
        classifier: Any = HistGradientBoostingClassifier(
            learning_rate=0.1,
            max_iter=100,
            max_leaf_nodes=15,
            min_samples_leaf=50,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        )
        classifier.fit(features[learnt], is_planted[learnt])
        chances = classifier.predict_proba(features[own])[:, 1].clip(1e-6, 1 - 1e-6)
        odds[own] = chances / (1 - chances) * n / count
    return odds


def _share(
    kind: str, there: list[NDArray[np.float64]], planted: list[NDArray[np.float64]], seed: int
) -> NoiseShare:
    """The smallest ratio of what there is to planted noise above a limit of the odds, over all plantings together.

    Each half of the rows says where the limit is, and the other half what the ratio there is: the smallest of many
    ratios, taken from the rows that chose it, would be too small.

    there, planted: of every planting, odds of the interactions `[n]` and of the planted ones `[m]`.
    """
    rng = np.random.default_rng(seed)
    n, m = len(there[0]), sum(map(len, planted))
    side_there, side_planted = (rng.permutation(count) % 2 == 0 for count in (n, m))
    shares, errors = [], []
    for side in (True, False):
        halves = [
            [
                np.sort(np.concatenate([odds[side_there == of] for odds in there])),
                np.sort(np.concatenate(planted)[side_planted == of]),
            ]
            for of in (side, not side)
        ]
        # Of one planting: the interactions are the same in all.
        rows = [[len(halves[half][0]) / len(there), len(halves[half][1])] for half in (0, 1)]
        most = len(halves[0][1])
        limits = halves[0][1][: max(1, most - min(FEWEST, most // 4))]
        ratios, doubts = _ratios(halves[0], limits, rows[0])
        # The smallest that is not so by chance: a large region is taken before a small one that is no cleaner.
        limit = limits[np.argmin(ratios + doubts)]
        ratios, doubts = _ratios(halves[1], limit[None], rows[1])
        shares.append(float(ratios[0]))
        errors.append(float(doubts[0]))
    share = min(1.0, float(np.mean(shares)))
    # The halves' errors, or how far they are apart where that is more.
    error = max(math.hypot(*errors) / 2, abs(shares[0] - shares[1]) / 2)
    return NoiseShare(kind, share, max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error))


def _ratios(
    odds: list[NDArray[np.float64]], limits: NDArray[np.float64], rows: list[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratios of the shares of sorted odds that are not below limits, and their standard errors.

    rows: how many rows of their own the shares are of.  Half a row more is counted than there are, as no row at all
    says little about a share of none.
    """
    tails = [
        ((len(one) - np.searchsorted(one, limits)) / len(one) * count + 0.5) / (count + 0.5)
        for one, count in zip(odds, rows, strict=True)
    ]
    relative = sum((1 - tail) / (tail * count) for tail, count in zip(tails, rows, strict=True))
    ratios = tails[0] / tails[1]
    return ratios, ratios * np.sqrt(relative)

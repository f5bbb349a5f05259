"""What an interaction is judged by: one number a training interaction, where higher means more valuable.

Every function takes training interactions as two equal lists, users `[n]` and items `[n]` (numbers from 0), and
returns `[n]` values in the same order, on the same device.  None of them sees validation or test data.  Sums of
several, each made comparable by `standardised`, are judges themselves: values of a game with several outputs
(linearity).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.enhancers.interactions import group_mean
from burnish.errors import ConfigurationError, DataError, NonFiniteError

#: Scores of chosen pairs: `(users [m], items [m]) -> [m]`.
Scorer = Callable[[Tensor, Tensor], Tensor]
#: Trains a model on these rows (numbers of interactions) only, from a seed, and returns its scorer.
Fit = Callable[[Tensor, int], Scorer]
#: Pairs that are scored at once.
_PAIRS = 1 << 18


def standardised(values: Tensor, users: Tensor) -> Tensor:
    """Values `[n]` (or `[n, k]`) minus their user's mean, over their user's standard deviation.

    A user whose values are all equal, or who has only one, gets zeros.  The deviation is that of the population.
    """
    values = values if values.is_floating_point() else values.float()
    index, n_users = _groups(users)
    centred = values - group_mean(values, index, n_users)[index]
    spread = group_mean(centred.square(), index, n_users).sqrt()
    # Rounding leaves a trace of spread where all are equal; relative to the values' size it is nothing.
    size = group_mean(values.abs(), index, n_users)
    flat = spread <= 8 * torch.finfo(values.dtype).eps * size
    scale = torch.where(flat, torch.ones_like(spread), spread)[index]
    return torch.where(flat[index], torch.zeros_like(centred), centred / scale)


def residualised(values: Tensor, by: Tensor, users: Tensor) -> Tensor:
    """Values `[n]` less what a straight line in `by` `[n]` says of them, fitted within the user by least squares.

    With the logarithm of popularity as `by`: the value beyond popularity.  In float64; means within the user are 0.  A
    user with fewer than 3 interactions, or with `by` all equal, has no line: their values are centred only.
    """
    index, n_users = _groups(users)
    eps = torch.finfo(values.dtype if values.is_floating_point() else torch.double).eps
    values, by = values.double(), by.double()

    def mean(of: Tensor) -> Tensor:
        return group_mean(of, index, n_users)

    centred, way = values - mean(values)[index], by - mean(by)[index]
    spread = mean(way.square())
    level = spread.sqrt() <= 8 * torch.finfo(by.dtype).eps * mean(by.abs())
    lined = ~level & (torch.bincount(index, minlength=n_users) >= 3)
    slope = torch.where(lined, mean(way * centred) / torch.where(lined, spread, 1.0), 0.0)
    left = centred - slope[index] * way
    # Of values that lie on the line, rounding is left, which must not be taken for a value.
    nothing = mean(left.square()).sqrt() <= 8 * eps * mean(values.abs())
    return torch.where(nothing[index], 0.0, left)


def combined(values: list[Tensor], users: Tensor, weights: list[float] | None = None) -> Tensor:
    """The weighted sum `[n]` of several judges, each standardised within user; weights are 1 by default."""
    if not values:
        raise ConfigurationError("combined: there are no values; give at least one judge")
    weights = [1.0] * len(values) if weights is None else weights
    if len(weights) != len(values):
        raise ConfigurationError(f"combined: {len(weights)} weights for {len(values)} judges")
    parts = [weight * standardised(one, users) for one, weight in zip(values, weights, strict=True)]
    return torch.stack(parts).sum(0)


def popularity(items: Tensor, n_items: int) -> Tensor:
    """The logarithm of how often each interaction's item occurs."""
    return torch.bincount(items, minlength=n_items).float().log()[items]


def ranking_loss(
    scorer: Scorer, users: Tensor, items: Tensor, n_items: int, *, negatives: int = 20, seed: int = 0
) -> Tensor:
    """The negated BPR loss of each interaction: mean of log sigmoid(score - score of a drawn item), in (-inf, 0).

    negatives: items drawn for each interaction, uniformly; what users know is not avoided, which shifts all of
        their interactions alike.
    """
    if negatives < 1:
        raise ConfigurationError(f"ranking_loss: negatives = {negatives}; draw at least 1")
    generator = torch.Generator().manual_seed(seed)
    own = scorer(users, items)
    total = torch.zeros_like(own)
    for _ in range(negatives):
        drawn = torch.randint(n_items, (len(users),), generator=generator).to(users.device)
        total += F.logsigmoid(own - scorer(users, drawn))
    return _finite(total / negatives, "ranking_loss")


def standing(
    scorer: Scorer, users: Tensor, items: Tensor, n_users: int, *, sample: int = 200, seed: int = 0
) -> Tensor:
    """How an interaction's score stands among other users' scores of the same item, as a z-score.

    Popularity cancels: it is the same for all users of an item.  sample: users drawn to estimate an item's mean
    and deviation (all of them when there are no more).
    """
    if n_users > sample:
        generator = torch.Generator().manual_seed(seed)
        crowd = torch.randperm(n_users, generator=generator)[:sample].to(users.device)
    else:
        crowd = torch.arange(n_users, device=users.device)
    distinct, column = torch.unique(items, return_inverse=True)
    blocks = distinct.split(max(1, _PAIRS // len(crowd)))  # a pair takes as many numbers as a vector has
    scores = torch.cat(
        [
            scorer(crowd.repeat_interleave(len(some)), some.repeat(len(crowd))).view(len(crowd), len(some))
            for some in blocks
        ],
        dim=1,
    )
    spread = scores.std(0, correction=0).clamp_min(torch.finfo(scores.dtype).tiny ** 0.5)
    return _finite((scorer(users, items) - scores.mean(0)[column]) / spread[column], "standing")


def profile_similarity(users: Tensor, items: Tensor, vectors: Tensor, *, centre: bool = False) -> Tensor:
    """The cosine `[n]` between an item's direction and the mean direction of the rest of its user's profile.

    vectors: `[n_items, d]`.  centre: subtract the interactions' mean direction first (it stands for popularity).
    Users with one interaction get 0.
    """
    unit = F.normalize(vectors, dim=1)
    if centre:
        unit = unit - unit[items].mean(0)
    index, n_users = _groups(users)
    sums = torch.zeros(n_users, unit.shape[1], dtype=unit.dtype, device=unit.device)
    own = unit[items]
    rest = sums.index_add(0, index, own)[index] - own
    # What is left of a lone interaction is rounding, which must not become a direction.
    rest = torch.where(torch.bincount(index)[index, None] > 1, rest, torch.zeros_like(rest))
    return _finite(F.cosine_similarity(own, rest, dim=1, eps=1e-12), "profile_similarity")


def gradient_norm(
    users: Tensor,
    items: Tensor,
    user_vectors: Tensor,
    item_vectors: Tensor,
    *,
    negatives: int = 20,
    seed: int = 0,
) -> Tensor:
    """The negated norm `[n]` of the BPR loss's gradient in the rows of user, item and drawn item.

    For score p·q the gradient of a triple is -sigmoid(-x) [q_i - q_j, p, -p]; its norm is averaged over drawn items.
    """
    generator = torch.Generator().manual_seed(seed)
    p, q = user_vectors[users], item_vectors[items]
    total = torch.zeros(len(users), dtype=p.dtype, device=p.device)
    for _ in range(negatives):
        drawn = torch.randint(len(item_vectors), (len(users),), generator=generator).to(users.device)
        difference = q - item_vectors[drawn]
        slope = torch.sigmoid(-(p * difference).sum(1))
        total += slope * (difference.square().sum(1) + 2 * p.square().sum(1)).sqrt()
    return _finite(-total / negatives, "gradient_norm")


def dot_scorer(user_vectors: Tensor, item_vectors: Tensor) -> Scorer:
    """Scores are dot products of rows."""

    def score(users: Tensor, items: Tensor) -> Tensor:
        return (user_vectors[users] * item_vectors[items]).sum(1)

    return score


def folds_of(users: Tensor, folds: int, seed: int) -> Tensor:
    """A fold `[n]` in 0..folds-1 for each interaction: each user's are dealt out evenly, in random order."""
    if folds < 2:
        raise ConfigurationError(f"folds = {folds}; cross-fitting needs at least 2")
    generator = torch.Generator().manual_seed(seed)
    n = len(users)
    shuffled = torch.randperm(n, generator=generator)
    who = users.cpu()[shuffled]
    order = shuffled[torch.argsort(who, stable=True)]
    index, n_users = _groups(users.cpu())
    counts = torch.bincount(index, minlength=n_users)
    starts = counts.cumsum(0) - counts
    # Where a user's deal begins is random, or users with few interactions would fill the first folds only.
    first = torch.randint(folds, (n_users,), generator=generator)
    places = torch.arange(n) - starts[index[order]]
    fold = torch.empty(n, dtype=torch.long)
    fold[order] = (places + first[index[order]]) % folds
    return fold.to(users.device)


def out_of_sample(
    fit: Fit,
    judge: Callable[[Scorer, Tensor, Tensor], Tensor],
    users: Tensor,
    items: Tensor,
    *,
    folds: int = 5,
    seed: int = 0,
    repeats: int = 1,
) -> Tensor:
    """Judge every interaction by models that were trained without it (cross-fitting whole models).

    A model of fold f is trained on the other folds; `judge(scorer, users, items)` then values fold f.  What a model
    has memorised does not speak for an interaction.  Costs folds * repeats trainings.
    """
    if len(users) < folds:
        raise DataError(f"out_of_sample: {len(users)} interactions cannot be dealt out to {folds} folds")
    total: Tensor | None = None
    for repeat in range(repeats):
        fold = folds_of(users, folds, seed + repeat)
        for number in range(folds):
            held = fold == number
            if not bool(held.any()):
                continue
            scorer = fit((~held).nonzero()[:, 0], seed + repeat * folds + number)
            values = judge(scorer, users[held], items[held])
            if total is None:
                total = torch.zeros(len(users), dtype=values.dtype, device=values.device)
            total[held] += values
    if total is None:
        raise ConfigurationError(f"out_of_sample: repeats = {repeats}; give at least 1")
    return _finite(total / repeats, "out_of_sample")


def _groups(users: Tensor) -> tuple[Tensor, int]:
    """Numbers without gaps for the users that occur, and how many there are."""
    distinct, index = torch.unique(users, return_inverse=True)
    return index, len(distinct)


def _finite(values: Tensor, name: str) -> Tensor:
    if not bool(torch.isfinite(values).all()):
        row = int((~torch.isfinite(values)).nonzero()[0, 0])
        raise NonFiniteError(
            f"{name}: the value of interaction {row} is {float(values[row])}; look for NaN in the vectors"
        )
    return values

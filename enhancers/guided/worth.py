"""What each attribute is worth for users' profiles: weights of attributes, from values of the training interactions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from burnish.enhancers.shapley.cross_fit import catalogue_mean
from burnish.enhancers.shapley.meanings import attribute_values
from burnish.errors import warn

#: Interactions that are valued at once, about: values are `[n, m]` in double precision.
_AT_ONCE = 1 << 20


def attribute_weights(users: Tensor, items: Tensor, scores: Tensor, names: Sequence[str]) -> Tensor:
    """`[m]`: the root of what an attribute is worth beside the mean attribute; 0 for one that is worth nothing or less.

    The root, because an attribute enters the score on both sides, with the item and with the user: what they give
    together is in proportion to the worth, and all squares have mean 1.

    Parameters
    ----------
    users, items
        `[n]`, the positive training interactions.
    scores
        `[n_items, m]`, standardised over items.
    names
        Of the attributes, for messages.

    Returns
    -------
    Tensor
        In the precision of `scores`; 1 each, with a warning, where no attribute is worth anything.
    """
    worth = attribute_worth(users, items, scores).clamp_min(0.0)
    mean = float(worth.mean())
    if mean <= 0:
        warn(
            f"guided: weigh_by_value: the training interactions say nothing of {', '.join(map(repr, names))} that "
            f"other interactions of their users bear out, so that every attribute counts 1"
        )
        return torch.ones_like(scores[0])
    return (worth / mean).sqrt().to(scores)


def attribute_worth(users: Tensor, items: Tensor, scores: Tensor) -> Tensor:
    """`[m]`, float64: the mean over interactions of their Shapley value for what users' items are scored on.

    The game of `attribute_values`, every other interaction of the user judging in turn (as many folds as interactions),
    so that nothing is drawn: what `burnish value --objectives attributes` gives with more `--folds` than a user has
    interactions.

    users, items: `[n]`.  scores: `[n_items, m]`.
    """
    exact = scores.detach().double()
    total = torch.zeros(exact.shape[1], dtype=torch.float64, device=exact.device)
    if not len(users):
        return total
    counts = torch.bincount(users)
    part = ((counts.cumsum(0) - counts) // _AT_ONCE)[users]
    centre = catalogue_mean(exact, items, normalise=False)
    for number in range(int(part.max()) + 1):
        mine = part == number
        folds = max(int(counts.max()), 2)
        total += attribute_values(users[mine], items[mine], exact, centre=centre, folds=folds).sum(0)
    return total / len(users)

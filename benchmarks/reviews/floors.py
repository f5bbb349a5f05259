"""What costs no model: the figures that every number is to be read beside.

Ratings: the median or the mean of the training ratings, and a bias of user and item (for absolute errors, of ordered
ratings: `ordinal_bias`).  Rankings: popularity, and the bias by least squares; the random order is in
`protocols.random_frame`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import lsqr
from torch import Tensor

from burnish.errors import DataError

from .cases import Cases, Rows
from .ordinal_bias import OrdinalBias
from .scale import FloatArray, Scale

#: Strengths of regularisation, in interactions: b of an id seen n times is shrunk by about n / (n + strength).
STRENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class Constant:
    """The same rating for every pair."""

    value: float

    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """`[b]` users and items to `[b]`."""
        return torch.full((len(users),), self.value, dtype=torch.float64, device=users.device)


@dataclass(frozen=True)
class Popularity:
    """Scores items by their training interactions, `[n_items]`."""

    counts: Tensor

    @classmethod
    def of(cls, cases: Cases) -> Popularity:
        """From the training rows."""
        return cls(torch.from_numpy(np.bincount(cases.train.items, minlength=cases.n_items)))

    def scores(self, users: Tensor) -> Tensor:
        """`[b]` users to `[b, n_items]`."""
        return self.counts.to(users.device).expand(len(users), -1)


@dataclass(frozen=True)
class Bias:
    """mean + b_u + b_i.  user: `[n_users]`, item: `[n_items]`; 0 for ids without a training row."""

    mean: float
    user: Tensor
    item: Tensor
    strength: float

    @classmethod
    def fit(cls, cases: Cases, strength: float) -> Bias:
        """Least squares on the training rows: the sum of (r - mean - b_u - b_i)^2 + strength (|b_u|^2 + |b_i|^2).

        Koren, Bell and Volinsky (2009), equation 4, solved exactly instead of by gradient steps.
        """
        rows = _training(cases)
        mean = float(rows.ratings.mean())
        n = len(rows)
        columns = np.concatenate([rows.users, cases.n_users + rows.items])
        at = np.concatenate([np.arange(n), np.arange(n)])
        shape = (n, cases.n_users + cases.n_items)
        design = sparse.csr_matrix((np.ones(2 * n), (at, columns)), shape=shape)
        biases = lsqr(
            design, rows.ratings - mean, damp=math.sqrt(strength), atol=1e-12, btol=1e-12, iter_lim=10_000
        )[0]
        both = torch.from_numpy(biases)
        return cls(mean, both[: cases.n_users], both[cases.n_users :], strength)

    @classmethod
    def chosen(cls, cases: Cases, scale: Scale, strengths: Sequence[float] = STRENGTHS) -> Bias:
        """The fit whose strength has the least squared error on the validation rows; 5 where there are none.

        The rows of validation only choose: every model's settings are chosen by them too.
        """
        if not len(cases.valid):
            return cls.fit(cases, 5.0)
        fits = [cls.fit(cases, strength) for strength in strengths]
        return min(fits, key=lambda fit: fit._squared_error(cases.valid, scale))

    def _squared_error(self, rows: Rows, scale: Scale) -> float:
        predictions = self.ratings(torch.from_numpy(rows.users), torch.from_numpy(rows.items)).numpy()
        return float(np.mean((scale.clip(predictions) - rows.ratings) ** 2))

    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """`[b]` users and items to `[b]`."""
        return self.mean + self.user.to(users.device)[users] + self.item.to(users.device)[items]

    def scores(self, users: Tensor) -> Tensor:
        """`[b]` users to `[b, n_items]`.

        The user's bias would change no order; it is left out, so that rounding makes no ties.
        """
        return self.item.to(users.device).expand(len(users), -1)


def rating_floors(cases: Cases, scale: Scale) -> dict[str, Constant | Bias | OrdinalBias]:
    """By what the report calls them."""
    ratings: FloatArray = _training(cases).ratings
    median = Constant(float(np.median(ratings)))
    ordered = len(np.unique(ratings)) > 1  # one and the same rating has no order, and is its own median
    return {
        "global mean": Constant(float(ratings.mean())),
        "constant median": median,
        "user + item bias": Bias.chosen(cases, scale),
        "ordinal user + item bias": OrdinalBias.chosen(cases, scale) if ordered else median,
    }


def _training(cases: Cases) -> Rows:
    if not len(cases.train):
        raise DataError("there are no training ratings; the training share of eval_args.split is too small")
    return cases.train

"""A floor for absolute errors: a bias of user and item behind ordered ratings, and the median of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from burnish.backbones.ordinal import OrdinalError
from burnish.backbones.rating_model import rating_levels
from burnish.errors import DataError

from .cases import Cases, Rows
from .scale import Scale

#: Strengths of regularisation: 1 / the variance that biases have on the logistic scale.
STRENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)

#: Rounds of L-BFGS; it has converged before.
ROUNDS = 200


@dataclass(frozen=True)
class OrdinalBias:
    """The median of P(r <= v_k) = s(a (t_k - b_u - b_i)).  user: `[n_users]`, item: `[n_items]`; 0 without ratings."""

    ordinal: OrdinalError
    user: Tensor
    item: Tensor
    strength: float

    @classmethod
    def fit(cls, cases: Cases, scale: Scale, strength: float) -> OrdinalBias:
        """Minimum of the training rows' -log P plus strength / 2 (|a b_u|^2 + |a b_i|^2); a stays where it begins."""
        rows = cases.train
        if not len(rows):
            raise DataError(
                "there are no training ratings; the training share of eval_args.split is too small"
            )
        users, items = torch.from_numpy(rows.users), torch.from_numpy(rows.items)
        # As models have them: ends of classes are kept in single precision, and 3.3 must not lie above its own.
        ratings = torch.from_numpy(rows.ratings).float().double()
        upper = rating_levels(ratings, (scale.low, scale.high))
        ordinal = OrdinalError.of(ratings, upper, "median").double()
        ordinal.slope.requires_grad_(False)
        user = torch.zeros(cases.n_users, dtype=torch.float64, requires_grad=True)
        item = torch.zeros(cases.n_items, dtype=torch.float64, requires_grad=True)
        mean = float(ratings.mean())
        learned = [user, item, ordinal.first, ordinal.gaps]
        search = torch.optim.LBFGS(learned, max_iter=ROUNDS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            search.zero_grad()
            squares = user.square().sum() + item.square().sum()
            fit = len(rows) * ordinal(mean + user[users] + item[items], ratings)
            penalised = fit + strength / 2 * ordinal.start_slope**2 * squares
            penalised.backward()
            return penalised

        search.step(loss)
        return cls(
            ordinal.requires_grad_(False), user.detach() + mean / 2, item.detach() + mean / 2, strength
        )

    @classmethod
    def chosen(cls, cases: Cases, scale: Scale, strengths: Sequence[float] = STRENGTHS) -> OrdinalBias:
        """The fit whose strength has the least absolute error on the validation rows; 2 where there are none."""
        if not len(cases.valid):
            return cls.fit(cases, scale, 2.0)
        fits = [cls.fit(cases, scale, strength) for strength in strengths]
        return min(fits, key=lambda fit: fit._absolute_error(cases.valid))

    def _absolute_error(self, rows: Rows) -> float:
        predictions = self.ratings(torch.from_numpy(rows.users), torch.from_numpy(rows.items)).numpy()
        return float(np.abs(predictions - rows.ratings).mean())

    def ratings(self, users: Tensor, items: Tensor) -> Tensor:
        """`[b]` users and items to `[b]`."""
        ordinal = self.ordinal.to(users.device)
        return ordinal.read(self.user.to(users.device)[users] + self.item.to(users.device)[items])

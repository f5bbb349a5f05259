"""The recommendation loss of users' scores against frozen item scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.errors import DataError

from ..normalising import Axis
from ..scorers.protocol import FloatArray, Scores
from .digits import clip_towards
from .sampling import Samples

#: Normalised scores end here: three standard deviations of the items.
BOUND = 3.0


@dataclass(frozen=True)
class BaseVectors:
    """What a trained backbone knows already: a second, frozen part of the score, `<e_u, e_i>`.

    Parameters
    ----------
    user_ids
        Original ids of users; one that is not there counts as zeros.
    users
        Their vectors, `[n_users, r]`.
    item_ids
        Original ids of items; one that is not there counts as zeros.
    items
        Their vectors, `[n_items, r]`.

    Raises
    ------
    DataError
        For vectors that are not one an id, not equally wide, or not finite.
    """

    user_ids: tuple[str, ...]
    users: FloatArray
    item_ids: tuple[str, ...]
    items: FloatArray

    def __post_init__(self) -> None:
        for name, ids, rows in (("users", self.user_ids, self.users), ("items", self.item_ids, self.items)):
            if rows.ndim != 2 or len(rows) != len(ids) or rows.shape[1] != self.users.shape[1]:
                raise DataError(
                    f"base vectors: {name} has shape {rows.shape} for {len(ids)} ids; give one row an id, users and "
                    f"items equally wide"
                )
            if not np.isfinite(rows).all():
                raise DataError(f"base vectors: {name} holds numbers that are not finite")

    def ordered(self, user_ids: tuple[str, ...], item_ids: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """Rows in the order of other ids."""
        return _ordered(self.user_ids, self.users, user_ids), _ordered(self.item_ids, self.items, item_ids)


def _ordered(ids: tuple[str, ...], rows: FloatArray, wanted: tuple[str, ...]) -> Tensor:
    number = {token: row for row, token in enumerate(ids)}
    ordered = np.zeros((len(wanted), rows.shape[1]))
    for row, token in enumerate(wanted):
        if token in number:
            ordered[row] = rows[number[token]]
    return torch.from_numpy(ordered).float()


class PairScores:
    """Scores of pairs, s(u, i) = <alpha v(g_u), alpha v(g_i)> + <e_u, e_i>, and what they cost.

    v subtracts the items' mean, divides by the items' standard deviation and clips at plus and minus 3; so users and
    items live on the same axes.  Items are frozen.
    """

    def __init__(
        self,
        item_scores: Scores,
        user_ids: tuple[str, ...],
        base: BaseVectors | None,
        guided_weight: float | None,
        device: torch.device,
    ) -> None:
        values = item_scores.values
        self._check(item_scores)
        axis = Axis.of(values, BOUND)
        items = axis.standardise(values)
        # an attribute on which all items are equal tells nothing
        scale = np.divide(1.0, axis.spread, out=np.zeros_like(axis.spread), where=axis.spread >= 1e-9)
        self.mean = torch.from_numpy(axis.mean).float().to(device)
        self.scale = torch.from_numpy(scale).float().to(device)
        self.items = torch.from_numpy(items).float().to(device)
        self.base: tuple[Tensor, Tensor] | None = None
        # without a base: scores of unrelated rows have a standard deviation of about 1
        self.alpha = guided_weight if guided_weight is not None else items.shape[1] ** -0.25
        if base is not None:
            base_users, base_items = base.ordered(user_ids, item_scores.ids)
            self.base = base_users.to(device), base_items.to(device)
            if guided_weight is None:
                self.alpha = float(
                    np.sqrt(base_items.square().sum(1).mean() / np.square(items).sum(1).mean())
                )

    @staticmethod
    def _check(scores: Scores) -> None:
        unknown = np.isnan(scores.values).all(axis=0)
        if unknown.any():
            name = scores.attributes[int(np.flatnonzero(unknown)[0])]
            raise DataError(
                f"item scores: no item has a score on {name!r}; leave the attribute out of the schema"
            )
        if (np.nanstd(scores.values, axis=0) < 1e-9).all():
            raise DataError(
                "item scores: all items are equal on every attribute, so nothing can be learned from them"
            )

    def normalise(self, scores: Tensor) -> Tensor:
        """Users' scores `[B, m]` on the items' axes, within plus and minus 3."""
        return clip_towards((scores - self.mean) * self.scale, BOUND)

    def score(self, users: Tensor, vectors: Tensor, items: Tensor) -> Tensor:
        """Scores `[B, K]` of items `[B, K]` (numbers) for users `[B]` (numbers) with normalised scores `[B, m]`."""
        scores = self.alpha**2 * torch.einsum("bm,bkm->bk", vectors, self.items[items])
        if self.base is not None:
            scores = scores + torch.einsum("br,bkr->bk", self.base[0][users], self.base[1][items])
        return scores


@dataclass(frozen=True)
class SampledScores:
    """Scores of one batch: of the users' own items `[B, P]` and of others `[B, N]`, and which of them count."""

    own: Tensor
    real: Tensor
    others: Tensor
    valid: Tensor

    def loss(self, kind: str) -> Tensor:
        """The recommendation loss of each user, `[B]`: mean over the user's interactions.

        "softmax": -log of the interaction's share among itself and the sampled items.  "bpr": -log sigmoid of the
        difference, mean over sampled items.
        """
        if kind == "softmax":
            rest = self.others.masked_fill(~self.valid, torch.finfo(self.others.dtype).min).logsumexp(
                1, keepdim=True
            )
            rows = torch.logaddexp(self.own, rest) - self.own
        else:
            margins = F.softplus(self.others.unsqueeze(1) - self.own.unsqueeze(2))
            rows = _mean(margins, self.valid.unsqueeze(1).expand_as(margins))
        return _mean(rows, self.real)

    def auc(self) -> Tensor:
        """How often a user's own item is above a sampled one, `[B]`; ties count half."""
        above = (self.own.unsqueeze(2) - self.others.unsqueeze(1)).sign().add(1).div(2)
        return _mean(_mean(above, self.valid.unsqueeze(1).expand_as(above)), self.real)


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Mean over the last dimension of what counts; 0 where nothing does."""
    return (values * counts).sum(-1) / counts.sum(-1).clamp_min(1)


def score_samples(objective: PairScores, users: Tensor, scores: Tensor, samples: Samples) -> SampledScores:
    """The scores of a batch of users with scores `[B, m]` on the schema's scale."""
    device = scores.device
    vectors = objective.normalise(scores)
    own, others = (torch.from_numpy(s).to(device) for s in (samples.positives, samples.negatives))
    real, valid = (torch.from_numpy(s).to(device) for s in (samples.real, samples.valid))
    return SampledScores(
        objective.score(users, vectors, own), real, objective.score(users, vectors, others), valid
    )

"""rvrec's contrast as the objective itself: a softmax over the catalogue of negative 2-Wasserstein distances.

Means are rows of unit length, spreads lie beside them.  With equal spreads -W2^2 / 2 is the cosine less 1, so the
objective is then the softmax of cosines (`burnish.enhancers.softmax`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side
from burnish.enhancers.interactions import training_pairs
from burnish.enhancers.newcomers import with_mean_of_others
from burnish.enhancers.softmax.catalogue import CatalogueObjective
from burnish.enhancers.softmax.losses import user_means
from burnish.errors import UnsupportedError
from burnish.explanation import Reason

from .blocks import Similarity
from .distance import spread_guard
from .logsumexp import log_sum_exp
from .options import ContrastConfig, RVRecConfig
from .spread_note import spread_note
from .spread_reasons import ABOUT, spread_reasons
from .spreads import CountSpreads, RowSpreads, negative_weights

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

ContrastConfigT = TypeVar("ContrastConfigT", bound=ContrastConfig)


class DistanceObjective(CatalogueObjective[ContrastConfigT]):
    """What `rvrec` and `euclid2d` are with `objective: true`: halves `[mean; second half]`, compared by distance."""

    n_by_user: Tensor
    n_by_item: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find the backbone's vectors, gather every user's items, and put spreads beside them."""
        super().bind(anatomy, dataset)
        self._check_vectors()
        users, items = training_pairs(dataset, anatomy.fields, self._liked)
        self.register_buffer("n_by_user", torch.bincount(users, minlength=anatomy.n_users), persistent=False)
        self.register_buffer("n_by_item", torch.bincount(items, minlength=anatomy.n_items), persistent=False)
        width = self._width(anatomy)
        self._start = self.config.start_spread / width**0.5
        self.spreads = nn.ModuleDict()
        for side, counts in (("user", self.n_by_user), ("item", self.n_by_item)):
            made = self._spreads(counts, width)
            if made is not None:
                self.spreads[side] = made

    def _check_vectors(self) -> None:
        if self.vectors is None or self.vectors.source == "sequence":
            reason = (
                "scores every pair by itself, not by a product of two vectors"
                if self.vectors is None
                else "makes a user's vector of their history, which has no spread of its own"
            )
            raise UnsupportedError(
                f"enhancer {self.name!r}: objective = True compares Gaussians of users and items, and {self._backbone} "
                f"{reason}; leave out objective, or use softmax, which trains it without Gaussians"
            )
        if self.config.score == "w2" and self.vectors.sigmoid:
            raise UnsupportedError(
                f"enhancer {self.name!r}: score = 'w2' adds to a product of vectors, and {self._backbone} gives its "
                f"sigmoid; use score: mean"
            )

    def _width(self, anatomy: Anatomy) -> int:
        assert self.vectors is not None
        if self.vectors.items is not None:
            return self.vectors.items.width
        assert anatomy.output is not None
        return anatomy.output[1]

    def _spreads(self, counts: Tensor, width: int) -> nn.Module | None:
        """The second half of one side; None for none."""
        return RowSpreads(len(counts), width, self._start, gaussian=False)

    @property
    def _in_distance(self) -> bool:
        """Whether the second half enters distances."""
        return len(self.spreads) > 0

    @property
    def _by_distance(self) -> bool:
        """Whether scores are distances; without spreads they would rank as the cosines do."""
        return self.config.score == "w2" and self._in_distance

    @property
    def _unit_rows(self) -> bool:
        return True

    @property
    def bakeable(self) -> bool:  # type: ignore[override]
        """Unit rows of tables can be written into them; a product in twice the width cannot."""
        return super().bakeable and not self._by_distance

    @property
    def loss_weight(self) -> float:
        """1: nothing is added to the objective."""
        return 1.0

    def row_tensors(self) -> dict[str, Side]:
        return {
            f"spreads.{side}.{one.by_row}": side  # type: ignore[misc]
            for side, one in self.spreads.items()
        }

    def exceptions(self) -> dict[str, str]:
        reasons = super().exceptions()
        if self._by_distance:
            reasons["identity at start"] = "scores are distances from the start"
        return reasons

    # ------------------------------------------------------------------ scores

    @torch.no_grad()
    def rescore(self, scores: Tensor, items: Tensor | None) -> Tensor:
        """`-W2^2`, made of the cosines, with score: w2; else the cosines as they are."""
        users = self.state.scored_users
        if not self._by_distance or users is None:
            return scores
        left = self._scored_spreads(users).to(scores.dtype)
        right = self.spreads["item"](items).to(scores.dtype)
        if items is not None:
            apart = (left - right).square().sum(1).reshape(scores.shape)
            return 2.0 * scores - 2.0 - apart
        norms = left.square().sum(1, keepdim=True) + right.square().sum(1)
        apart = torch.addmm(norms, left, right.t(), alpha=-2.0).clamp_min_(0.0)
        return (2.0 * scores.reshape(apart.shape) - 2.0 - apart).reshape(scores.shape)

    def _scored_spreads(self, users: Tensor) -> Tensor:
        """The second halves of users; of newcomers the mean of the others', as their means are.

        Also where spreads are tied to counts: the spread of a user without any is no more learned than that of a row.
        Since it is the halves that are averaged, scores are the mean of the others' but for what no item changes.
        """
        if self._newcomers is None or not bool(self._newcomers[users].any()):
            rows: Tensor = self.spreads["user"](users)
            return rows
        return with_mean_of_others(self.spreads["user"](None), self._newcomers)[users]

    # ------------------------------------------------------------------ the loss

    @property
    def temperature(self) -> float:
        """What similarities are divided by: -W2^2 / 2, or -W2."""
        return self.config.start_temperature

    @property
    def score_temperature(self) -> float:
        """Of the product of means: -W2^2 / 2 is that but for what no item changes."""
        return self.temperature

    def _user_vectors(self, batch: Interaction) -> Tensor:
        assert self.vectors is not None
        means = self.vectors.of_users(self.state.backbone, self.state, batch, self._fields.user)
        return self._with_spreads(means, "user", batch[self._fields.user])

    def _item_vectors(self, ids: Tensor | None) -> Tensor:
        assert self.vectors is not None
        return self._with_spreads(self.vectors.of_items(self.state.backbone, self.state, ids), "item", ids)

    def _with_spreads(self, means: Tensor, side: Side, ids: Tensor | None) -> Tensor:
        return torch.cat([means, self.spreads[side](ids)], dim=1) if self._in_distance else means

    @property
    def _kind(self) -> Similarity:
        """How the kernel compares."""
        return self.config.similarity

    def _compared(self, users: Tensor, items: Tensor) -> Tensor:
        if self._kind == "product":
            return (users * items).sum(1) / self.temperature
        if self._kind == "squared":  # less what is the same for all items of a user, as in the kernel
            return (items * (2.0 * users - items)).sum(1) / (2.0 * self.temperature)
        return -(users - items).norm(dim=1) / self.temperature

    def _negatives(
        self,
        ids: Tensor,
        users: Tensor,
        keys: Tensor,
        key_ids: Tensor | None,
        targets: Tensor | None = None,
    ) -> Tensor:
        rate = 1.0 / ((2.0 if self._kind == "squared" else 1.0) * self.temperature)
        counted = self._log_weights()
        return log_sum_exp(
            users,
            keys,
            torch.full((), rate, dtype=users.dtype, device=users.device),
            # Means are of unit length: no offset to take away.
            centre=keys.new_zeros(keys.shape[1]),
            log_q=None if counted is None else -counted.to(users.dtype),
            mask=self._mask(ids, key_ids, targets),
            similarity=self._kind,
            budget_bytes=self._budget,
        )

    def _log_weights(self) -> Tensor | None:
        """The logarithm of what each item counts as a negative, `[n_items]`; None for 1 each."""
        return None

    def _counted_among(self, items: Tensor, key_ids: Tensor | None) -> Tensor | None:
        counted = self._log_weights()
        return None if counted is None else counted[items]


class GaussianObjective(DistanceObjective[RVRecConfig]):
    """`rvrec` with `objective: true`, on one model."""

    name = "rvrec"
    Config = RVRecConfig
    reasons_about = ABOUT
    says_why = False

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Also see how often ids are seen, by the median, which says where the guard wants a spread."""
        super().bind(anatomy, dataset)
        self._bases = {
            "user": self._start * float(self.n_by_user[self.n_by_user > 0].float().median()) ** 0.5,
            "item": self._start * float(self.n_by_item[self.n_by_item > 0].float().median()) ** 0.5,
        }

    def _spreads(self, counts: Tensor, width: int) -> nn.Module | None:
        if self.config.spread == "none":
            return None
        if self.config.spread == "free":
            return RowSpreads(len(counts), width, self._start)
        made = CountSpreads(counts, width, self._start)
        # Nothing trains them where they enter no distance.
        return made.requires_grad_(self.config.spread_role != "negatives")

    @property
    def _in_distance(self) -> bool:
        return self.config.spread_role in ("distance", "both") and super()._in_distance

    @property
    def _in_length(self) -> bool:
        """Whether rows are read at the length of the mean of their directions."""
        return self.config.spread_role == "length" and len(self.spreads) > 0

    @property
    def _kind(self) -> Similarity:
        return "product" if self._in_length else super()._kind

    def _at_length(self, rows: Tensor, ids: Tensor | None, side: Side) -> Tensor:
        """Rows of unit length; of that of their mean direction, with spread_role: length."""
        return super()._at_length(rows, ids, side) * self._lengths(side, ids)

    def _lengths(self, side: Side, ids: Tensor | None) -> Tensor | float:
        """`(1 + |spreads|^2)^(-1/2)`, `[n, 1]`: about |mean of x / |x||, for a Gaussian x with unit mean."""
        if not self._in_length:
            return 1.0
        return (1.0 + self.spreads[side](ids).square().sum(1, keepdim=True)).rsqrt()

    def _log_weights(self) -> Tensor | None:
        if self.config.spread_role not in ("negatives", "both") or "item" not in self.spreads:
            return None
        return negative_weights(self.spreads["item"].log_ratios(), self.config.beta)  # type: ignore[operator]

    def objective(self, batch: Interaction) -> Tensor:
        """Also the guard of free spreads, of a batch's users and of their items."""
        rows = super().objective(batch)
        if self.config.guard == 0.0 or self.config.spread != "free":
            return rows
        return rows + self.config.guard * self._guard(batch)

    def _guard(self, batch: Interaction) -> Tensor:
        ids = batch[self._fields.user]
        if list(batch.interaction) != [self._fields.user]:
            return self._guarded("user", ids) + self._guarded("item", batch[self._fields.item])
        owner, pair, _ = self._pairs_of(ids)
        items = user_means(self._guarded("item", self._positive[pair]), owner, len(ids))
        return self._guarded("user", ids) + items

    def _guarded(self, side: Side, ids: Tensor) -> Tensor:
        counts = self.n_by_user if side == "user" else self.n_by_item
        return spread_guard(self.spreads[side](ids), counts[ids], self._bases[side])

    # ------------------------------------------------------------------ what spreads say

    @torch.no_grad()
    def spread_of(self, side: Side) -> Tensor | None:
        """The spread of each user or item, `[n]`, padding included: the geometric mean over dimensions, in the units of
        means, which have length 1; None where there are none."""
        if side not in self.spreads:
            return None
        found: Any = self.spreads[side]
        return found.log_deviation().exp()

    @property
    def explains(self) -> bool:
        """Whether it has spreads that say how sure it is of anything."""
        return len(self.spreads) > 0

    @torch.no_grad()
    def explain(self, user: int, item: int) -> list[Reason] | None:
        """How sure the model is of the item and of the user, and with score: w2 what their spreads take from it."""
        apart = None
        if self._by_distance:
            ids = torch.tensor([user, item], device=self.n_by_user.device)
            rows = self._scored_spreads(ids[:1]) - self.spreads["item"](ids[1:])
            apart = float(rows.double().square().sum())
        return spread_reasons(
            self.spread_of, {"user": self.n_by_user, "item": self.n_by_item}, user, item, apart
        )

    def note(self) -> str | None:
        """How spreads go with how often ids were seen."""
        return spread_note(self.spread_of, self.n_by_user, self.n_by_item)


class PointObjective(DistanceObjective[ContrastConfig]):
    """`euclid2d` with `objective: true`, on one model."""

    name = "euclid2d"
    Config = ContrastConfig

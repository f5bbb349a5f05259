"""A softmax over the catalogue in the place of a backbone's recommendation loss.

The family is that of sampled softmax and InfoNCE (SSM: Wu et al., "On the effectiveness of sampled softmax loss for
item recommendation", TOIS 2024), taken whole: all items that a user does not have are their negatives, all that they
have their positives.  Ours: users as rows, so that one pass over the catalogue serves all of a user's positives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.interactions import training_pairs
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp
from burnish.errors import ConfigurationError, UnsupportedError, warn

from .catalogue import SHORTEST, CatalogueObjective
from .losses import bilateral, pairwise, quantile_weights, row_losses, user_means
from .options import COSINE_TEMPERATURE, SCORE_TEMPERATURE, SCORED_NEGATIVES, SoftmaxConfig
from .pair_scores import PairScores

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class Softmax(CatalogueObjective[SoftmaxConfig]):
    """The backbone's recommendation loss becomes a softmax over the catalogue, by default of cosines.

    Where the score is a product of two vectors (BPR, graph models, most sequential ones), all items are negatives;
    other models score drawn ones.  Of the backbone's own loss its other terms stay (`rest`), and its recommendation
    term as far as `own_loss` says.

    Parameters
    ----------
    config
        The options as a `SoftmaxConfig`; give either this or options.
    **options
        The fields of `SoftmaxConfig`, each with its default and description there (`burnish enhancers softmax`).

    Raises
    ------
    UnknownNameError
        For an option that does not exist, with the nearest one.
    ConfigurationError
        For a value that cannot be used.
    UnsupportedError
        When the model is made: for a backbone that trains on whole users with a likelihood of its own (auto-encoders).

    References
    ----------
    Wu et al., "On the effectiveness of sampled softmax loss for item recommendation", TOIS 2024 (SSM); Wu et al., "BSL:
    understanding and improving softmax loss for recommendation", ICDE 2024; Yang et al., "PSL: rethinking and improving
    softmax loss from pairwise perspective for recommendation", NeurIPS 2024; Yang et al., "Breaking the top-K barrier:
    advancing top-K ranking metrics optimization in recommender systems", KDD 2025 (SL@K).  Users as rows, and the score
    of a model that is no product: ours.

    Examples
    --------
    >>> burnish.enhance("BPR", burnish.Softmax(temperature=0.2))
    <class 'recbole.model.general_recommender.bpr.BPR[softmax]'>
    """

    name = "softmax"
    Config = SoftmaxConfig

    _draw_log_q: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find how the backbone scores, and gather every user's items."""
        self._begun = False
        super().bind(anatomy, dataset)
        self._check_rows(dataset)
        items = training_pairs(dataset, anatomy.fields, self._liked)[1]
        counts = torch.bincount(items, minlength=anatomy.n_items).double()
        counts[0] = 0.0
        if self.config.drawn_by == "uniform":
            counts = torch.ones_like(counts)
            counts[0] = 0.0
        self.register_buffer("_draw_log_q", (counts / counts.sum()).log().float(), persistent=False)
        self._scores = (
            PairScores(dataset, anatomy.fields.item, anatomy.device) if self.vectors is None else None
        )
        if self._scores is not None and self.config.negatives == "all":
            raise UnsupportedError(
                f"enhancer {self.name!r}: negatives = 'all' needs a score that is a product of two vectors, and "
                f"{anatomy.backbone} scores every pair by itself; give a number (each costs a pass of the model)"
            )
        drawn = self.config.drawn
        if self._scores is None and drawn is not None and drawn >= anatomy.n_items - 1:
            warn(
                f"enhancer {self.name!r}: negatives = {drawn} are drawn with repetition, and there are "
                f"{anatomy.n_items - 1} items; negatives: all compares with each of them once"
            )
        if self._scores is not None:
            self._scores.check(self.state.backbone, dataset)

    def _check_rows(self, dataset: Dataset) -> None:
        reason = self._why_no_users(dataset)
        if self.config.rows == "users" and reason:
            raise UnsupportedError(
                f"enhancer {self.name!r}: rows = 'users' does not go with {self._backbone}: {reason}; give rows: auto"
            )
        self._by_users = self.config.rows != "interactions" and not reason
        if not self._by_users:
            for option, given in (
                ("loss", self.config.loss != "infonce"),
                ("topk", self.config.topk is not None),
            ):
                if given:
                    raise UnsupportedError(
                        f"enhancer {self.name!r}: {option} = {getattr(self.config, option)!r} needs batches of users, "
                        f"which do not go with {self._backbone}: {reason or 'rows = interactions'}"
                    )

    # ------------------------------------------------------------------ where training begins

    def base_run(self) -> str | None:
        return self.config.base

    def base_options(self) -> Mapping[str, Any]:
        return self.config.base_options

    def take_base(self) -> None:
        """Training goes on from the tables as they are now; with cosines, from their directions."""
        self._begun = True

    def on_epoch(self, epoch: int) -> None:
        if epoch == 0 and self.config.base is not None and not self._begun:
            raise ConfigurationError(
                f"enhancer {self.name!r}: base = {self.config.base!r} is trained or read where a run or the fit of a "
                f"RecBole trainer begins, not in a training loop of one's own; use one of these, or leave base out"
            )

    # ------------------------------------------------------------------ the loss

    @property
    def _unit_rows(self) -> bool:
        return self.config.cosine

    @property
    def score_temperature(self) -> float:
        return self.temperature

    def unit_users(self) -> bool:
        return self._cosines and self.vectors is not None and self.vectors.source == "sequence"

    @property
    def temperature(self) -> float:
        """What scores are divided by."""
        if self.config.temperature is not None:
            return self.config.temperature
        return COSINE_TEMPERATURE if self._cosines else SCORE_TEMPERATURE

    def objective(self, batch: Interaction) -> Tensor:
        """The softmax loss of every user of the batch, or of every row; 0 for one without a positive item."""
        return self._of_scored(batch) if self.vectors is None else super().objective(batch)

    def _user_vectors(self, batch: Interaction) -> Tensor:
        assert self.vectors is not None
        users = self.vectors.of_users(self.state.backbone, self.state, batch, self._fields.user)
        if self.unit_users():
            users = functional.normalize(users, dim=1, eps=SHORTEST)
        return users

    def _item_vectors(self, ids: Tensor | None) -> Tensor:
        assert self.vectors is not None
        return self.vectors.of_items(self.state.backbone, self.state, ids)

    def _compared(self, users: Tensor, items: Tensor) -> Tensor:
        return (users * items).sum(1) / self.temperature

    def _of_users(self, ids: Tensor, users: Tensor) -> Tensor:
        """`[B]`, for users with all of their items."""
        if self.config.loss == "infonce" and self.config.topk is None:
            return super()._of_users(ids, users)
        owner, pair, counts = self._pairs_of(ids)
        keys, key_ids = self._keys()
        own = self._compared(users.index_select(0, owner), self._positives_of(pair, keys, key_ids))
        weights = self._pair_weights(pair)
        if self.config.loss == "psl":
            scores = users @ keys.t()
            masked = self._left_out(ids, None)
            losses = pairwise(
                own * self.temperature,
                scores,
                owner,
                masked,
                temperature=self.temperature,
                activation=self.config.activation,
                budget_bytes=self._budget,
                targets=None if self.config.mask_known else self._positive[pair],
            )
            return user_means(losses, owner, len(ids), weights)
        negatives = self._negatives(ids, users, keys, key_ids)
        if self.config.loss == "bsl":
            left = self._n_items - 1 - (counts if self.config.mask_known else 0)
            return bilateral(
                own,
                negatives,
                owner,
                torch.as_tensor(left, device=ids.device).expand(len(ids)),
                weights,
                ratio=self.config.positive_temperature / self.temperature,
            )
        losses = self._row_losses(own, negatives.index_select(0, owner), pair, key_ids)
        near = self._near_the_top(users, keys, own * self.temperature, owner)
        weights = near if weights is None else weights * near
        return user_means(losses, owner, len(ids), weights)

    def _near_the_top(self, users: Tensor, keys: Tensor, own: Tensor, owner: Tensor) -> Tensor:
        assert self.config.topk is not None
        with torch.no_grad():
            scores = users @ keys.t()
            scores[:, 0] = -math.inf
            k = min(self.config.topk, scores.shape[1] - 1)
            quantiles = scores.topk(k, dim=1).values[:, -1]
        return quantile_weights(own, quantiles, owner, self.config.topk_temperature)

    def _keys(self) -> tuple[Tensor, Tensor | None]:
        """Vectors of the items to compare with `[n, d]`, and their ids; None for the whole catalogue."""
        if self.config.drawn is None:
            return self._item_vectors(None), None
        ids = self._draw(self.config.drawn)
        return self._item_vectors(ids), ids

    def _draw(self, n: int) -> Tensor:
        """Ids `[n]` of drawn items, with repetition."""
        device = self._draw_log_q.device
        generator = self.state.generator(device)
        if self.config.drawn_by == "uniform":
            return torch.randint(1, self._n_items, (n,), generator=generator, device=device)
        return torch.multinomial(self._draw_log_q.exp(), n, replacement=True, generator=generator)

    def _negatives(
        self,
        ids: Tensor,
        users: Tensor,
        keys: Tensor,
        key_ids: Tensor | None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Log-sum-exp `[B]` over the negatives of users (or rows, whose target is none)."""
        log_q = None
        if key_ids is not None and self.config.log_q:
            log_q = self._draw_log_q[key_ids] + math.log(len(keys))
        scale = torch.full((), 1.0 / self.temperature, dtype=users.dtype, device=users.device)
        return log_sum_exp(
            users,
            keys,
            scale,
            centre=keys.new_zeros(keys.shape[1]),
            log_q=log_q,
            mask=self._mask(ids, key_ids, targets),
            similarity="product",
            budget_bytes=self._budget,
        )

    def _counted_among(self, items: Tensor, key_ids: Tensor | None) -> Tensor | None:
        if key_ids is None:
            return None
        times = torch.bincount(key_ids, minlength=self._n_items)[items].to(self._draw_log_q.dtype).log()
        return times - (self._draw_log_q[items] + math.log(len(key_ids))) if self.config.log_q else times

    def _of_scored(self, batch: Interaction) -> Tensor:
        """`[B]`, where the model scores every pair by itself: each positive row against negatives drawn for it."""
        assert self._scores is not None
        ids, targets = batch[self._fields.user], batch[self._fields.item]
        rows = torch.arange(len(ids), device=ids.device)
        label = self._fields.label
        if label is not None and label in batch.interaction:
            positive = self._liked.in_batch(batch[label])
            rows = rows if positive is None else rows[positive]
        nothing = len(rows) == 0
        if nothing:  # a row is scored all the same, for nothing: no model scores none
            rows = torch.zeros(1, dtype=torch.long, device=ids.device)
        n = self.config.drawn or SCORED_NEGATIVES
        drawn = self._draw(len(rows) * n).reshape(len(rows), n)
        items = torch.cat([targets[rows].unsqueeze(1), drawn], dim=1)
        scores = self._scores.of(self.state.backbone, batch, rows, items) / self.temperature
        negatives = scores[:, 1:]
        if self.config.log_q:
            negatives = negatives - (self._draw_log_q[drawn] + math.log(n))
        nobody = drawn == targets[rows].unsqueeze(1)
        if self.config.mask_known:
            nobody = nobody | self.known.pairs(ids[rows].unsqueeze(1).expand_as(drawn), drawn)
        lse = torch.logsumexp(negatives.masked_fill(nobody, -math.inf), dim=1)
        losses = row_losses(scores[:, 0], lse)
        share = 0.0 if nothing else len(ids) / len(rows)
        return losses.new_zeros(len(ids)).index_add(0, rows, losses * share)

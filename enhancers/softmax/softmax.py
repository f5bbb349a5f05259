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
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import group_mean, positives, training_pairs, with_first_items
from burnish.enhancers.wasserstein.logsumexp import log_sum_exp
from burnish.enhancers.wasserstein.positives import KnownPositives
from burnish.errors import ConfigurationError, UnsupportedError

from .losses import bilateral, pairwise, quantile_weights, row_losses, user_means
from .options import COSINE_TEMPERATURE, SCORE_TEMPERATURE, SCORED_NEGATIVES, SoftmaxConfig
from .pair_scores import PairScores
from .vectors import Vectors, find_vectors

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

#: A vector shorter than this stays as it is where rows are put to unit length.
SHORTEST = 1e-12


class Softmax(Enhancer[SoftmaxConfig]):
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

    _owner: Tensor
    _positive: Tensor
    _starts: Tensor
    _pair_of_row: Tensor
    _draw_log_q: Tensor
    _liked_rows: Tensor | None

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find how the backbone scores, and gather every user's items."""
        self._begun = False
        self._fields, self._n_items, self._backbone = anatomy.fields, anatomy.n_items, anatomy.backbone
        self._liked = positives(
            dataset, anatomy.fields.label, self.config.positive_from, f"enhancer {self.name!r}"
        )
        model = self.state.backbone
        assert model is not None
        self._refuse_likelihoods(model)
        self.vectors = find_vectors(model, anatomy, dataset)
        self._by_users = self._goes_over_users(dataset)
        users, items = training_pairs(dataset, anatomy.fields, self._liked)
        self.known = KnownPositives(
            *with_first_items(dataset, anatomy.fields, users, items), anatomy.n_users, anatomy.n_items
        )
        self._gather(users, items, anatomy.n_users)
        liked = self._liked.rows(dataset)
        self.register_buffer(
            "_liked_rows", None if liked is None else liked.nonzero().squeeze(1), persistent=False
        )
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

    def _refuse_likelihoods(self, model: Any) -> None:
        from recbole.model.abstract_recommender import AutoEncoderMixin

        if isinstance(model, AutoEncoderMixin) or self._backbone == "ENMF":
            raise UnsupportedError(
                f"enhancer {self.name!r} replaces a loss of interactions, and {self._backbone} trains on whole users "
                f"with a likelihood of its own; leave it out here"
            )

    def _goes_over_users(self, dataset: Dataset) -> bool:
        from recbole.utils import ModelType

        wanted = self.config.rows
        reason = ""
        if self.vectors is None:
            reason = "its score is no product of two vectors"
        elif self.vectors.source == "sequence":
            reason = "its users are what their histories say"
        elif dataset.config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
            reason = "its batches bring a knowledge graph's triples along"
        if wanted == "users" and reason:
            raise UnsupportedError(
                f"enhancer {self.name!r}: rows = 'users' does not go with {self._backbone}: {reason}; give rows: auto"
            )
        over_users = wanted != "interactions" and not reason
        if not over_users:
            for option, given in (
                ("loss", self.config.loss != "infonce"),
                ("topk", self.config.topk is not None),
            ):
                if given:
                    raise UnsupportedError(
                        f"enhancer {self.name!r}: {option} = {getattr(self.config, option)!r} needs batches of users, "
                        f"which do not go with {self._backbone}: {reason or 'rows = interactions'}"
                    )
        return over_users

    def _gather(self, users: Tensor, items: Tensor, n_users: int) -> None:
        """Every user's distinct positive items, users in order, and which of them each training row is."""
        keys = users * self._n_items + items
        pairs, pair_of_row = torch.unique(keys, return_inverse=True)
        owner = pairs // self._n_items
        starts = torch.zeros(n_users + 1, dtype=torch.long)
        torch.cumsum(torch.bincount(owner, minlength=n_users), dim=0, out=starts[1:])
        self.register_buffer("_owner", owner, persistent=False)
        self.register_buffer("_positive", pairs % self._n_items, persistent=False)
        self.register_buffer("_starts", starts, persistent=False)
        self.register_buffer("_pair_of_row", pair_of_row, persistent=False)

    # ------------------------------------------------------------------ what the backbone sees

    @property
    def _unit_tables(self) -> tuple[Table, ...]:
        """The tables that are read as rows of unit length."""
        if not self.config.cosine or self.vectors is None or self.vectors.source == "output":
            return ()
        return tuple(table for table in (self.vectors.users, self.vectors.items) if table is not None)

    @property
    def bakeable(self) -> bool:  # type: ignore[override]
        """Unit rows of tables can be written into them; those of a propagation cannot."""
        return not self.refines_output()

    def refines(self, table: Table) -> bool:
        return table in self._unit_tables

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Rows of unit length."""
        return functional.normalize(rows, dim=1, eps=SHORTEST)

    def refines_output(self) -> bool:
        found: Vectors | None = getattr(self, "vectors", None)
        return self.config.cosine and found is not None and found.source == "output"

    def refine_output(self, rows: Tensor, side: Side) -> Tensor:
        """Propagated rows of unit length."""
        return functional.normalize(rows, dim=1, eps=SHORTEST)

    def exceptions(self) -> dict[str, str]:
        reasons = {}
        if self._cosines:
            reasons["identity at start"] = "scores are cosines from the start"
        if self._by_users:
            reasons["same random stream"] = "epochs go over users, for whom no negatives are drawn"
        elif self.config.own_loss == 0:
            reasons["same random stream"] = (
                "the backbone's own loss is not computed where nothing of it is kept"
            )
        return reasons

    # ------------------------------------------------------------------ the loss

    def replaces_loss(self) -> bool:
        return True

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
                f"enhancer {self.name!r}: base = {self.config.base!r} is trained or read by burnish.run, burnish run "
                f"and burnish bench, not by run_recbole; use one of these, or leave base out"
            )

    @property
    def own_loss(self) -> float:
        return self.config.own_loss

    def keeps_rest(self) -> bool:
        return self.config.rest == "keep"

    def users_a_batch(self) -> int | None:
        return self.config.users if self._by_users else None

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

    @property
    def _cosines(self) -> bool:
        return self.config.cosine and self.vectors is not None

    def objective(self, batch: Interaction) -> Tensor:
        """The softmax loss of every user of the batch, or of every row; 0 for one without a positive item."""
        if self.vectors is None:
            return self._of_scored(batch)
        users = self.vectors.of_users(self.state.backbone, self.state, batch, self._fields.user)
        if self.unit_users():
            users = functional.normalize(users, dim=1, eps=SHORTEST)
        if list(batch.interaction) == [self._fields.user]:
            return self._of_users(batch[self._fields.user], users)
        return self._of_rows(batch, users)

    def _of_users(self, ids: Tensor, users: Tensor) -> Tensor:
        """`[B]`, for users with all of their items."""
        assert self.vectors is not None
        starts, ends = self._starts[ids], self._starts[ids + 1]
        counts = ends - starts
        owner = torch.repeat_interleave(torch.arange(len(ids), device=ids.device), counts)
        first = torch.cumsum(counts, 0) - counts
        pair = torch.arange(len(owner), device=ids.device) - first[owner] + starts[owner]
        keys, key_ids = self._keys()
        items = keys[self._positive[pair]] if key_ids is None else self._item_vectors(self._positive[pair])
        own = (users[owner] * items).sum(1) / self.temperature
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
        losses = row_losses(own, negatives[owner])
        if self.config.topk is not None:
            near = self._near_the_top(users, keys, own * self.temperature, owner)
            weights = near if weights is None else weights * near
        return user_means(losses, owner, len(ids), weights)

    def _pair_weights(self, pair: Tensor) -> Tensor | None:
        """What other enhancers say that these pairs count, `[r]`; None for 1 each."""
        weights = self.state.interaction_weights
        if weights is None:
            return None
        rows = self._liked_rows
        own = weights if rows is None else weights[rows]
        return group_mean(own, self._pair_of_row, len(self._owner))[pair]

    def _near_the_top(self, users: Tensor, keys: Tensor, own: Tensor, owner: Tensor) -> Tensor:
        assert self.config.topk is not None
        with torch.no_grad():
            scores = users @ keys.t()
            scores[:, 0] = -math.inf
            k = min(self.config.topk, scores.shape[1] - 1)
            quantiles = scores.topk(k, dim=1).values[:, -1]
        return quantile_weights(own, quantiles, owner, self.config.topk_temperature)

    def _of_rows(self, batch: Interaction, users: Tensor) -> Tensor:
        """`[B]`, for rows that are interactions; 0 for one that is none (a drawn negative, an item not liked)."""
        ids, targets = batch[self._fields.user], batch[self._fields.item]
        keys, key_ids = self._keys()
        items = keys[targets] if key_ids is None else self._item_vectors(targets)
        own = (users * items).sum(1) / self.temperature
        rows = row_losses(own, self._negatives(ids, users, keys, key_ids, targets))
        return self._counted(batch, rows)

    def _counted(self, batch: Interaction, rows: Tensor) -> Tensor:
        """Only positive interactions count, each so much that the mean over all rows is theirs."""
        label = self._fields.label
        positive = None
        if label is not None and label in batch.interaction:
            positive = self._liked.in_batch(batch[label])
        if positive is None:
            return rows
        kept = positive.to(rows.dtype)
        return rows * kept / kept.mean().clamp(min=1.0 / len(kept))

    def _item_vectors(self, ids: Tensor | None) -> Tensor:
        assert self.vectors is not None
        return self.vectors.of_items(self.state.backbone, self.state, ids)

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
        n = len(keys)

        def left_out(lo: int, hi: int) -> Tensor:
            chosen = torch.arange(lo, hi, device=ids.device) if key_ids is None else key_ids[lo:hi]
            return self._left_out(ids, chosen, targets)

        log_q = None
        if key_ids is not None and self.config.log_q:
            log_q = self._draw_log_q[key_ids] + math.log(n)
        scale = torch.full((), 1.0 / self.temperature, dtype=users.dtype, device=users.device)
        return log_sum_exp(
            users,
            keys,
            scale,
            centre=keys.new_zeros(keys.shape[1]),
            log_q=log_q,
            mask=left_out,
            similarity="product",
            budget_bytes=self._budget,
        )

    def _left_out(self, ids: Tensor, items: Tensor | None, targets: Tensor | None = None) -> Tensor:
        """Bool `[B, n]`, True where an item is no negative: padding, and what is known of the user or is the target."""
        chosen = torch.arange(self._n_items, device=ids.device) if items is None else items
        nobody = (chosen == 0).expand(len(ids), -1)
        if self.config.mask_known:
            nobody = nobody | self.known.mask(ids, chosen)
        if targets is not None:
            nobody = nobody | (chosen == targets.unsqueeze(1))
        return nobody

    @property
    def _budget(self) -> int:
        return self.config.budget_mib * 2**20

    def _of_scored(self, batch: Interaction) -> Tensor:
        """`[B]`, where the model scores every pair by itself: each positive row against negatives drawn for it."""
        assert self._scores is not None
        ids, targets = batch[self._fields.user], batch[self._fields.item]
        rows = torch.arange(len(ids), device=ids.device)
        label = self._fields.label
        if label is not None and label in batch.interaction:
            positive = self._liked.in_batch(batch[label])
            rows = rows if positive is None else rows[positive]
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
        share = len(ids) / max(1, len(rows))
        return losses.new_zeros(len(ids)).index_add(0, rows, losses * share)

"""What objectives over the catalogue share: users with all of their items, masks, unit rows, what rows count."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import group_mean, positives, training_pairs, with_first_items
from burnish.enhancers.newcomers import newcomers, with_mean_of_others
from burnish.enhancers.options import OptionsWithoutLoss
from burnish.enhancers.wasserstein.positives import KnownPositives
from burnish.errors import UnsupportedError

from .losses import row_losses, user_means, without_own
from .vectors import Vectors, find_vectors

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

#: A vector shorter than this stays as it is where rows are put to unit length.
SHORTEST = 1e-12


class CatalogueOptions(Protocol):
    """The options that every objective over the catalogue has."""

    mask_known: bool
    own_loss: float
    rest: str
    users: int
    newcomers: str
    positive_from: float | None
    budget_mib: int


ConfigT = TypeVar("ConfigT", bound=OptionsWithoutLoss)


class CatalogueObjective(Enhancer[ConfigT]):
    """An objective in which each positive item of a user is told from the rest of the catalogue.

    A batch is some users, each with all of their items, where the vectors of users do not depend on the item or the
    history; else RecBole's rows.  Sub-classes say what vectors are, how two of them compare, and what is read at unit
    length (`_unit_rows`).
    """

    #: Unit length is what scores are made of: rows that others refined afterwards would not have it.
    refines_last = True

    vectors: Vectors | None

    _owner: Tensor
    _positive: Tensor
    _starts: Tensor
    _pair_of_row: Tensor
    _liked_rows: Tensor | None
    _newcomers: Tensor | None

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """Find how the backbone scores, and gather every user's items."""
        self._fields, self._n_items, self._backbone = anatomy.fields, anatomy.n_items, anatomy.backbone
        self._liked = positives(
            dataset, anatomy.fields.label, self._common.positive_from, f"enhancer {self.name!r}"
        )
        model = self.state.backbone
        assert model is not None
        self._refuse_likelihoods(model)
        self.vectors = find_vectors(model, anatomy, dataset)
        self._by_users = self._why_no_users(dataset) is None
        users, items = training_pairs(dataset, anatomy.fields, self._liked)
        self.known = KnownPositives(
            *with_first_items(dataset, anatomy.fields, users, items), anatomy.n_users, anatomy.n_items
        )
        self._gather(users, items, anatomy.n_users)
        liked = self._liked.rows(dataset)
        self.register_buffer(
            "_liked_rows", None if liked is None else liked.nonzero().squeeze(1), persistent=False
        )
        rows_of_users = self.vectors is not None and self.vectors.source != "sequence"
        new = None
        if rows_of_users and self._common.newcomers == "mean":
            new = newcomers(users, anatomy.n_users)
        self.register_buffer("_newcomers", new, persistent=False)

    @property
    def _common(self) -> CatalogueOptions:
        return cast(CatalogueOptions, self.config)

    def _refuse_likelihoods(self, model: Any) -> None:
        from recbole.model.abstract_recommender import AutoEncoderMixin

        if isinstance(model, AutoEncoderMixin) or self._backbone == "ENMF":
            raise UnsupportedError(
                f"enhancer {self.name!r} replaces a loss of interactions, and {self._backbone} trains on whole users "
                f"with a likelihood of its own; leave it out here"
            )

    def _why_no_users(self, dataset: Dataset) -> str | None:
        """Why batches cannot be made of users here; None where they can."""
        from recbole.utils import ModelType

        if self.vectors is None:
            return "its score is no product of two vectors"
        if self.vectors.source == "sequence":
            return "its users are what their histories say"
        if dataset.config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
            return "its batches bring a knowledge graph's triples along"
        return None

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
    @abstractmethod
    def _unit_rows(self) -> bool:
        """Whether vectors are read at unit length."""

    @property
    def _source(self) -> str | None:
        found: Vectors | None = getattr(self, "vectors", None)
        return None if found is None else found.source

    @property
    def bakeable(self) -> bool:  # type: ignore[override]
        """Unit rows of tables can be written into them; those of a propagation cannot."""
        return not self.refines_output()

    def refines(self, table: Table) -> bool:
        if self.vectors is None or self.vectors.source == "output":
            return False
        return (self._unit_rows and table in (self.vectors.users, self.vectors.items)) or (
            table == self.vectors.users and self._newcomers is not None
        )

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Rows of unit length; of newcomers, the mean row of the others."""
        rows = self._at_length(rows, ids, table.side)
        if self._newcomers is None or self.training or table.side != "user":
            return rows
        new = self._newcomers[ids]
        if not bool(new.any()):
            return rows
        everybody = torch.arange(table.count, device=rows.device)
        if torch.equal(ids, everybody[1:]) or torch.equal(ids, everybody):
            others = rows[~new & (ids != 0)]
            return torch.where(new.unsqueeze(1), others.mean(0), rows)
        return torch.where(new.unsqueeze(1), self.state.refined(table, everybody)[ids].to(rows.dtype), rows)

    def _at_length(self, rows: Tensor, ids: Tensor | None, side: Side) -> Tensor:
        """Rows of users or items as long as they are compared.  ids: theirs, `[n]`; None for all in their order."""
        return functional.normalize(rows, dim=1, eps=SHORTEST) if self._unit_rows else rows

    def refines_output(self) -> bool:
        if self._source != "output":
            return False
        return self._unit_rows or getattr(self, "_newcomers", None) is not None

    def refine_output(self, rows: Tensor, side: Side) -> Tensor:
        """Propagated rows of unit length; of newcomers, the mean row of the others."""
        rows = self._at_length(rows, None, side)
        if self._newcomers is None or self.training or side != "user":
            return rows
        return with_mean_of_others(rows, self._newcomers)

    def exceptions(self) -> dict[str, str]:
        reasons = {}
        if self._cosines:
            reasons["identity at start"] = "scores are cosines from the start"
        elif self._newcomers is not None:
            reasons["identity at start"] = "newcomers are scored as the mean of the others"
        if self._by_users:
            reasons["same random stream"] = "epochs go over users, for whom no negatives are drawn"
        elif self._common.own_loss == 0:
            reasons["same random stream"] = (
                "the backbone's own loss is not computed where nothing of it is kept"
            )
        return reasons

    @property
    def _cosines(self) -> bool:
        return self._unit_rows and self.vectors is not None

    # ------------------------------------------------------------------ the loss

    def replaces_loss(self) -> bool:
        return True

    @property
    def own_loss(self) -> float:
        return self._common.own_loss

    def keeps_rest(self) -> bool:
        return self._common.rest == "keep"

    def users_a_batch(self) -> int | None:
        return self._common.users if self._by_users else None

    @property
    def _budget(self) -> int:
        return self._common.budget_mib * 2**20

    @abstractmethod
    def _user_vectors(self, batch: Interaction) -> Tensor:
        """Vectors `[B, D]` of a batch's users, as they are compared."""

    @abstractmethod
    def _item_vectors(self, ids: Tensor | None) -> Tensor:
        """Vectors of items `[n, D]`, as they are compared; all of the catalogue by default."""

    @abstractmethod
    def _compared(self, users: Tensor, items: Tensor) -> Tensor:
        """Logits `[n]` of users `[n, D]` with items `[n, D]`, up to what `_negatives` leaves out of a user's."""

    @abstractmethod
    def _negatives(
        self,
        ids: Tensor,
        users: Tensor,
        keys: Tensor,
        key_ids: Tensor | None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Log-sum-exp `[B]` over the negatives of users (or rows, whose target is none)."""

    def objective(self, batch: Interaction) -> Tensor:
        """The softmax loss of every user of the batch, or of every row; 0 for one without a positive item."""
        users = self._user_vectors(batch)
        if list(batch.interaction) == [self._fields.user]:
            return self._of_users(batch[self._fields.user], users)
        return self._of_rows(batch, users)

    def _of_users(self, ids: Tensor, users: Tensor) -> Tensor:
        """`[B]`, for users with all of their items."""
        owner, pair, _ = self._pairs_of(ids)
        keys, key_ids = self._keys()
        # `index_select`, whose gradient adds rows in half of the time that indexing takes to.
        own = self._compared(users.index_select(0, owner), self._positives_of(pair, keys, key_ids))
        negatives = self._negatives(ids, users, keys, key_ids)
        losses = self._row_losses(own, negatives.index_select(0, owner), pair, key_ids)
        return user_means(losses, owner, len(ids), self._pair_weights(pair))

    def _row_losses(self, own: Tensor, negatives: Tensor, pair: Tensor, key_ids: Tensor | None) -> Tensor:
        """Losses `[r]` of pairs by the log-sum-exp over their users' negatives: a positive is no negative of itself."""
        if self._common.mask_known:
            return row_losses(own, negatives)
        counted = self._counted_among(self._positive[pair], key_ids)
        return negatives - own if counted is None else row_losses(own, without_own(own, negatives, counted))

    def _counted_among(self, items: Tensor, key_ids: Tensor | None) -> Tensor | None:
        """The logarithm of what items `[r]` count among unmasked negatives, `[r]`; None where each counts once."""
        return None

    def _of_rows(self, batch: Interaction, users: Tensor) -> Tensor:
        """`[B]`, for rows that are interactions; 0 for one that is none (a drawn negative, an item not liked)."""
        ids, targets = batch[self._fields.user], batch[self._fields.item]
        keys, key_ids = self._keys()
        items = keys.index_select(0, targets) if key_ids is None else self._item_vectors(targets)
        rows = row_losses(self._compared(users, items), self._negatives(ids, users, keys, key_ids, targets))
        return self._counted(batch, rows)

    def _pairs_of(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All pairs of some users: whose each is `[r]`, its number `[r]`, and how many each user has `[B]`."""
        starts, ends = self._starts[ids], self._starts[ids + 1]
        counts = ends - starts
        owner = torch.repeat_interleave(torch.arange(len(ids), device=ids.device), counts)
        first = torch.cumsum(counts, 0) - counts
        pair = torch.arange(len(owner), device=ids.device) - first[owner] + starts[owner]
        return owner, pair, counts

    def _positives_of(self, pair: Tensor, keys: Tensor, key_ids: Tensor | None) -> Tensor:
        """Vectors `[r, D]` of the items of pairs `[r]`."""
        ids = self._positive[pair]
        return keys.index_select(0, ids) if key_ids is None else self._item_vectors(ids)

    def _keys(self) -> tuple[Tensor, Tensor | None]:
        """Vectors of the items to compare with `[n, D]`, and their ids; None for the whole catalogue."""
        return self._item_vectors(None), None

    def _pair_weights(self, pair: Tensor) -> Tensor | None:
        """What other enhancers say that these pairs count, `[r]`; None for 1 each."""
        weights = self.state.interaction_weights
        if weights is None:
            return None
        rows = self._liked_rows
        own = weights if rows is None else weights[rows]
        return group_mean(own, self._pair_of_row, len(self._owner))[pair]

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

    def _mask(
        self, ids: Tensor, key_ids: Tensor | None, targets: Tensor | None
    ) -> Callable[[int, int], Tensor]:
        """A function of (lo, hi) that says which of keys lo to hi are left out, as the kernel asks for them."""
        if key_ids is None:
            return self.known.left_out(ids, known=self._common.mask_known, targets=targets)

        def left_out(lo: int, hi: int) -> Tensor:
            return self._left_out(ids, key_ids[lo:hi], targets)

        return left_out

    def _left_out(self, ids: Tensor, items: Tensor | None, targets: Tensor | None = None) -> Tensor:
        """Bool `[B, n]`, True where an item is no negative: padding, and what is known of the user or is the target."""
        chosen = torch.arange(self._n_items, device=ids.device) if items is None else items
        nobody = (chosen == 0).expand(len(ids), -1)
        if self._common.mask_known:
            nobody = nobody | self.known.mask(ids, chosen)
        if targets is not None:
            nobody = nobody | (chosen == targets.unsqueeze(1))
        return nobody

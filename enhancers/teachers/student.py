"""Who learns from a teacher in a step, and what the backbone says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import Positives, n_interactions, training_items, with_first_items
from burnish.enhancers.softmax.pair_scores import PairScores
from burnish.enhancers.softmax.vectors import find_vectors
from burnish.enhancers.state import HostState
from burnish.enhancers.wasserstein.positives import KnownPositives
from burnish.errors import DataError

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class Student(nn.Module):
    """The users (or rows) of a step, and the backbone's scores for them.

    Parameters
    ----------
    asks
        The name of the enhancer, for messages.
    users
        How many learn in a step; where batches are made of users, those of the batch do.
    mask_known
        Whether what users know is left out.
    state, seed
        The enhancer's state, and the seed of what it draws.

    Attributes
    ----------
    vectors
        Where the backbone's score is a product of two vectors; else None, and `scores` scores pairs.
    known
        The known interactions.
    learning
        Users `[n]` who know some item and, where known ones are left out, not all of them.
    """

    learning: Tensor

    def __init__(
        self,
        asks: str,
        anatomy: Anatomy,
        dataset: Dataset,
        liked: Positives,
        *,
        users: int,
        mask_known: bool,
        state: HostState,
        seed: int,
    ) -> None:
        super().__init__()
        self._fields, self.n_items, self.device = anatomy.fields, anatomy.n_items, anatomy.device
        self._most, self._mask_known, self._state, self._seed = users, mask_known, state, seed
        model = state.backbone
        assert model is not None
        self.vectors = find_vectors(model, anatomy, dataset)
        self.scores = None
        if self.vectors is None:
            self.scores = PairScores(dataset, anatomy.fields.item, anatomy.device, asks)
            self.scores.check(model, dataset)
        ids, items = training_items(dataset, anatomy.fields, liked)
        self.known = KnownPositives(
            *with_first_items(dataset, anatomy.fields, ids, items), anatomy.n_users, anatomy.n_items
        )
        learning = who_learns(asks, ids, items, (anatomy.n_users, anatomy.n_items), mask_known=mask_known)
        self.register_buffer("learning", learning.to(anatomy.device), persistent=False)

    # ------------------------------------------------------------------ a step

    @property
    def users_a_step(self) -> int:
        """How many learn in a step at most: all of a batch of users, else as many as were asked for."""
        own = self._state.users_a_batch if self._takes_batches_of_users else None
        return self._most if own is None else own

    @property
    def _takes_batches_of_users(self) -> bool:
        return self.vectors is not None and self.vectors.source != "sequence"

    def idle_users(self, others: Sequence[Enhancer[Any]]) -> str | None:
        """Why how many users were asked for has no effect beside other enhancers, if it has none."""
        objective = next((one for one in others if one.replaces_loss()), None)
        own = objective.users_a_batch() if objective is not None and self._takes_batches_of_users else None
        if objective is None or own in (None, self._most):
            return None
        return f"beside {objective.name}, whose batches are of {own} users ({objective.name}: users)"

    @property
    def step_seed(self) -> int:
        """Of this step's random numbers."""
        return (self._seed * 1_000_003 + self._state.step) % 2**63

    def generator(self) -> torch.Generator:
        """Of this step; not the one that other enhancers draw from."""
        return torch.Generator(device=self.device).manual_seed(self.step_seed)

    def step(self, batch: Interaction) -> tuple[Tensor, Tensor]:
        """Users `[b]` of a step, and their vectors `[b, d]`."""
        assert self.vectors is not None
        model, field = self._state.backbone, self._fields.user
        if self.vectors.source == "sequence":
            states = self.vectors.of_users(model, self._state, batch, field)
            rows = self.some(len(states))
            states = states[rows]
            objective = self._objective
            if objective is not None and objective.unit_users():
                states = functional.normalize(states, dim=1, eps=1e-12)
            return batch[field][rows], states
        by_users = list(batch.interaction) == [field]
        users = batch[field] if by_users else self.learning[self.some(len(self.learning))]
        return users, self.vectors.of_users(model, self._state, {field: users}, field)

    def rows(self, batch: Interaction) -> tuple[Tensor, Tensor]:
        """Rows `[b]` of a batch that learn, where pairs are scored, and their users."""
        rows = self.some(n_interactions(batch, self._fields.user))
        return rows, batch[self._fields.user][rows]

    def some(self, n: int) -> Tensor:
        """Places `[b]` of as many of n as a step has, none of them twice; all where there are no more."""
        if n <= self._most:
            return torch.arange(n, device=self.device)
        return torch.randperm(n, generator=self.generator(), device=self.device)[: self._most]

    def items(self, ids: Tensor | None = None) -> Tensor:
        """Vectors of items `[n]`, all of them by default: `[n_items, d]`."""
        assert self.vectors is not None
        return self.vectors.of_items(self._state.backbone, self._state, ids)

    def pair_scores(self, batch: Interaction, rows: Tensor, items: Tensor) -> Tensor:
        """Scores `[b, n]` of items for rows of a batch, where pairs are scored."""
        assert self.scores is not None
        return self.scores.of(self._state.backbone, batch, rows, items) * self.scale()

    @property
    def _objective(self) -> Enhancer[Any] | None:
        """What replaces the backbone's loss, if anything does."""
        host: Any = getattr(self._state.backbone, "enhancers", None)
        return None if host is None or host.replacement is None else host.replacement.enhancer

    def scale(self) -> float:
        """What scores are multiplied with, so that they are the logits of the objective beside."""
        return 1.0 if self._objective is None else 1.0 / self._objective.score_temperature

    def left_out(self, users: Tensor) -> Tensor:
        """Bool `[b, n_items]`: padding, and what the users know."""
        everything = torch.arange(self.n_items, device=users.device)
        nobody = (everything == 0).expand(len(users), -1)
        return nobody | self.known.mask(users, everything) if self._mask_known else nobody


def who_learns(
    asks: str, users: Tensor, items: Tensor, shape: tuple[int, int], *, mask_known: bool
) -> Tensor:
    """Users `[n]` who know some item and, where known ones are left out, not all of them.

    asks: the enhancer, for the `DataError` where nobody is left.  users, items: ids of the known pairs.
    shape: how many users and items there are, padding included.
    """
    n_users, n_items = shape
    pairs = torch.unique(users * n_items + items)
    pairs = pairs[(pairs // n_items > 0) & (pairs % n_items > 0)]
    counts = torch.bincount(pairs // n_items, minlength=n_users)
    most = n_items - 2 if mask_known else n_items - 1
    learning = ((counts > 0) & (counts <= most)).nonzero().squeeze(1)
    if not len(learning):
        raise DataError(
            f"enhancer {asks!r}: every user of the training data knows every item, so that mask_known leaves "
            f"nothing to learn of a teacher; give mask_known: false"
        )
    return learning

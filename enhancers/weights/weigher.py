"""The weights of one enhanced model: which enhancers give them, and where they go."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.interactions import n_interactions
from burnish.enhancers.own_hooks import tensor_of
from burnish.errors import ConfigurationError, UnsupportedError

from .interactions import TrainingInteractions, check_weights
from .loss import LossWeights
from .plan import LossPlan
from .propagation import Propagation
from .resampling import Resampling, resampled

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction

    from burnish.enhancers.state import HostState

WAYS = ("loss", "loss or resampling", "resampling")


class Weigher:
    """Collects what the enhancers of one model weigh, and puts it into the loss, the sampling or the graph.

    model: the backbone.  enhancers: all of them, bound.  dataset: the training split.  seed: of resampling.
    share: factor of the backbone's whole recommendation loss, other than 1 where an enhancer replaces it, or where a
        loss of one counts in its place.
    shared: whether the share may become another one than 1.
    Raises `ConfigurationError` and `UnsupportedError`; changes nothing then.
    """

    def __init__(
        self,
        model: nn.Module,
        enhancers: Sequence[Enhancer[Any]],
        dataset: Dataset,
        device: torch.device,
        seed: int,
        share: float = 1.0,
        shared: bool = False,
    ) -> None:
        self.share, self._shared, self._user = share, shared or share != 1.0, dataset.uid_field
        self._by_batch = [e for e in enhancers if type(e).weigh is not Enhancer.weigh]
        self._by_interaction = [
            e for e in enhancers if type(e).interaction_weights is not Enhancer.interaction_weights
        ]
        self.backbone = type(model).__name__
        for enhancer in self._by_interaction:
            if enhancer.weighs_by not in WAYS:
                raise ConfigurationError(
                    f"enhancer {enhancer.name!r}: weighs_by = {enhancer.weighs_by!r} is none of "
                    f"{', '.join(map(repr, WAYS))}"
                )
        propagating = [e for e in self._by_interaction if e.propagates]
        self.propagation = Propagation(model, dataset) if propagating else None
        self._propagating = propagating
        self.loss = LossWeights(model) if self or self._shared else None
        self.interactions = TrainingInteractions(dataset, device) if self._by_interaction else None
        self.resampling = Resampling(seed, self.backbone) if self._by_interaction else None
        if self.resampling and any(e.weighs_by == "resampling" for e in self._by_interaction):
            self.resampling.start()
        self._products: dict[tuple[str, ...], tuple[list[tuple[Tensor, int]], Tensor]] = {}

    def __bool__(self) -> bool:
        return self.weighs or self.share != 1.0

    @property
    def weighs(self) -> bool:
        """Whether any enhancer weighs interactions."""
        return bool(self._by_batch or self._by_interaction)

    @property
    def resamples(self) -> bool:
        """Whether training rows are drawn by weight."""
        return self.resampling is not None and self.resampling.active

    def size(self, batch: Interaction) -> int:
        """How many interactions a batch has, or users where it has no interactions."""
        return n_interactions(batch, self._user)

    # ------------------------------------------------------------------ what the weights are

    def of_interactions(self, enhancers: Sequence[Enhancer[Any]] | None = None) -> Tensor | None:
        """The product of the enhancers' weights of training interactions, `[n]` with mean 1; None where all are 1.

        The same tensor as last time while the enhancers' weights are what they were: looking at values waits for
        the device, and all interactions are many.
        """
        assert self.interactions is not None
        asked = self._by_interaction if enhancers is None else enhancers
        given = [(e.name, weights) for e in asked if (weights := e.interaction_weights()) is not None]
        if not given:
            return None
        key = tuple(e.name for e in asked)
        state = [(weights, weights._version) for _, weights in given]
        known = self._products.get(key)
        if known is None or not _same(known[0], state):
            known = self._products[key] = (state, self._product(given))
        return known[1]

    def _product(self, given: list[tuple[str, Tensor]]) -> Tensor:
        assert self.interactions is not None
        checked = [check_weights(weights, self.interactions.count, name) for name, weights in given]
        product = checked[0].to(self.interactions.device, copy=True)
        for weights in checked[1:]:
            product = product * weights.to(product.device)
        return product / product.mean() if len(checked) > 1 else product

    def _of_rows(self, batch: Interaction) -> Tensor | None:
        product: Tensor | None = None
        given = 0
        for enhancer in self._by_batch:
            weights = enhancer.weigh(batch)
            if weights is None:
                continue
            size = self.size(batch)
            tensor_of(
                enhancer, "weigh", weights, (size,), f"for a batch of {size} rows give one weight a row"
            )
            product = weights if product is None else product * weights
            given += 1
        return product / product.mean() if product is not None and given > 1 else product

    # ------------------------------------------------------------------ where they go

    @contextlib.contextmanager
    def applied(
        self,
        batch: Interaction,
        probe: Callable[[LossWeights, int, torch.device], None],
        state: HostState,
    ) -> Iterator[None]:
        """Within the block the backbone's loss of `batch` is weighted; `probe` finds the way where it is not known.

        state: gets the weights, so that enhancers' own losses can count interactions the same.
        """
        if self.loss is None:  # nobody weighs, and the whole loss counts
            yield
            return
        rows, cells, users = self.collect(batch, state)
        if self.share != 1.0:
            device = self.loss.device
            full = torch.full((self.size(batch),), self.share, device=device)
            rows = full if rows is None else rows * self.share
        if rows is None and cells is None:
            yield
            return
        if not self.loss.known:
            given = rows if rows is not None else cells
            assert given is not None
            probe(self.loss, len(given), given.device)
        with self.loss.applied(self.loss.plan(rows, cells, users)):
            yield

    def collect(
        self, batch: Interaction, state: HostState
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Weights of a batch's rows `[B]`, of a batch of users' cells `[B, n_items]`, and those users; None for 1 each.

        state: gets the weights.
        """
        rows = self._of_rows(batch)
        cells = users = None
        if self.interactions is not None and not self.resamples:
            weights = self.of_interactions()
            if weights is not None:
                rows, cells, users = self._into_batch(batch, weights, rows)
        state.weights, state.cell_weights = rows, cells
        return rows, cells, users

    def row_losses(self, batch: Interaction, own_loss: Callable[[], Any]) -> tuple[Tensor, Tensor]:
        """What each row of `batch` adds to the backbone's loss, `[B]` with its graph, and its row number `[B]`.

        The loss is the sum of these and of terms that belong to no row (regularisation).  Raises `UnsupportedError`
        for a batch of users.
        """
        assert self.loss is not None
        numbers = self.interactions.rows(batch) if self.interactions is not None else None
        if numbers is None:
            raise UnsupportedError(
                f"{self.backbone} trains on whole users, so its loss has no rows that belong to single interactions; "
                f"let enhancers value interactions in another way (for shapley: values: profile)"
            )
        size = len(numbers)
        if not self.loss.known:
            with torch.no_grad():
                self.loss.probe(own_loss, size, numbers.device)
        weights = torch.ones(size, device=numbers.device, dtype=self._dtype(), requires_grad=True)
        with self.loss.applied(LossPlan(rows=weights)):
            losses = own_loss()
        total = torch.stack([x.sum() for x in losses]) if isinstance(losses, tuple | list) else losses
        # The loss is linear in the weights, so its slope in one of them is what that row adds.
        (rows,) = torch.autograd.grad(total.sum(), weights, create_graph=True)
        return rows, numbers

    def _dtype(self) -> torch.dtype:
        parameters = self.loss._model.parameters() if self.loss is not None else iter(())
        return next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)

    def _into_batch(
        self, batch: Interaction, weights: Tensor, rows: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        assert self.interactions is not None
        assert self.loss is not None
        numbers = self.interactions.rows(batch)
        if numbers is not None:
            own = weights[numbers]
            return (own if rows is None else rows * own), None, None
        users = batch[self.interactions.user_field]
        if self.loss.takes_cells:
            return rows, self.interactions.cells(weights, users), users
        own = self.interactions.of_users(weights, users)
        return (own if rows is None else rows * own), None, users

    @contextlib.contextmanager
    def epoch(self, train_data: Any, epoch: int) -> Iterator[None]:
        """A training epoch of a loader, which gives interactions drawn by weight where that is declared."""
        if self.resampling is None or not self.resampling.active:
            yield
            return
        assert self.interactions is not None
        weights = self.of_interactions()
        if weights is None:
            yield
            return
        with resampled(train_data, self.resampling, weights, self.interactions, epoch):
            yield

    def refresh_propagation(self) -> None:
        """Give the edges of the backbone's graph the present weights."""
        if self.propagation is not None:
            weights = self.of_interactions(self._propagating)
            if weights is None:
                self.propagation.restore()
            else:
                self.propagation.apply(weights)

    def release(self) -> None:
        """Put back what weights changed in the backbone: its graph."""
        if self.propagation is not None:
            self.propagation.restore()

    def fall_back(self) -> bool:
        """Turn to resampling after the loss took no weights, where every enhancer that weighs declared it."""
        if self.resampling is None or self.resampling.active or self._by_batch:
            return False
        if not all(e.weighs_by == "loss or resampling" for e in self._by_interaction):
            return False
        self.resampling.start()
        warnings.warn(
            f"{self.backbone} has no loss for single interactions, so its training interactions are drawn with "
            f"probability proportional to their weights from now on: right in expectation, not exactly in each batch",
            stacklevel=3,
        )
        return True

    def drop(self, enhancer: Enhancer[Any] | None = None) -> None:
        """Weigh no longer by an enhancer, or by any: the graph's edges are as before at once."""
        gone = [enhancer] if enhancer is not None else [*self._by_batch, *self._by_interaction]
        self._by_batch = [e for e in self._by_batch if e not in gone]
        self._by_interaction = [e for e in self._by_interaction if e not in gone]
        self._propagating = [e for e in self._propagating if e not in gone]
        if self.propagation is not None and not self._propagating:
            self.propagation.restore()
            self.propagation = None
        if not self._by_interaction:
            self.interactions = self.resampling = None
        if not self._by_batch and not self._by_interaction and not self._shared:
            self.loss = None
        self.refresh_propagation()


def _same(one: list[tuple[Tensor, int]], other: list[tuple[Tensor, int]]) -> bool:
    return len(one) == len(other) and all(
        a is b and m == n for (a, m), (b, n) in zip(one, other, strict=True)
    )

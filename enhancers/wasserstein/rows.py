"""Where the Gaussians of a batch come from: tables, items that a user knows, or propagated output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from burnish.enhancers.anatomy.describe import Fields
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.state import HostState

from .histories import Histories
from .network import ProbabilityNetwork

#: Columns of a batch, each `[B]` or (item sequences) `[B, length]`.
Columns = Mapping[str, Tensor]


class GaussianRows(Protocol):
    """Gaussians of one side of a batch.

    start_spread: the spread at the start of training, in the units of the rows; None where no table says it.
    width: d.
    """

    side: Side
    width: int
    start_spread: float | None

    def of_batch(self, batch: Columns) -> tuple[Tensor, Tensor]:
        """(means, spreads), each `[B, d]`, one row an interaction of the batch."""
        ...


class TableRows:
    """Gaussians of the users or items of a batch, from an embedding table."""

    def __init__(
        self,
        network: ProbabilityNetwork,
        table: Table,
        state: HostState,
        field: str,
        start_spread: float | None,
    ) -> None:
        self.network, self.table, self.state, self.field = network, table, state, field
        self.side: Side = table.side
        self.width = table.width
        self.start_spread = start_spread
        self._spreads: tuple[int, Tensor] | None = None

    def of_batch(self, batch: Columns) -> tuple[Tensor, Tensor]:
        ids = batch[self.field]
        return self.state.refined(self.table, ids), self.spreads(ids)

    def spreads(self, ids: Tensor) -> Tensor:
        """Spreads `[*ids.shape, d]`; the whole table's once a step where that is less work."""
        if ids.numel() < self.table.count:
            return self.network.spread(self.state.raw(self.table, ids))
        return F.embedding(ids, self.whole_spreads())

    def whole_spreads(self) -> Tensor:
        """Spreads of every id, `[n, d]`, computed once a training step."""
        if self._spreads is None or self._spreads[0] != self.state.step or not self.state.inside_step:
            self._spreads = (self.state.step, self.network.spread(self.table.raw()))
        return self._spreads[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_spreads": None}  # a graph's tensor can be neither copied nor pickled


class PooledRows(ABC):
    """Gaussians of users without a row of their own: the barycentre of items that each one knows.

    The 2-Wasserstein barycentre of diagonal Gaussians has the mean of their means and the mean of their spreads.
    Sub-classes say which items.
    """

    def __init__(self, items: TableRows) -> None:
        self.items = items
        self.side: Side = "user"
        self.width = items.width
        self.start_spread: float | None = None  # no spread of its own to guard

    @abstractmethod
    def known(self, batch: Columns) -> Tensor:
        """Items `[B, length]` of the user of every interaction, 0 where there is none."""

    def of_batch(self, batch: Columns) -> tuple[Tensor, Tensor]:
        known = self.known(batch)
        table, state = self.items.table, self.items.state
        if known.numel() < table.count:
            return self._pooled(known, state.refined(table, known), self.items.spreads(known))
        # embedding_bag pools without writing [B, length, d]; both halves in one pass.
        ids = torch.arange(table.count, device=known.device)
        whole = torch.cat([state.refined(table, ids), self.items.whole_spreads()], dim=1)
        pooled = F.embedding_bag(known, whole, mode="mean", padding_idx=0)
        mean, spread = pooled.split([table.width, pooled.shape[1] - table.width], dim=1)
        return mean, spread

    @staticmethod
    def _pooled(known: Tensor, means: Tensor, spreads: Tensor) -> tuple[Tensor, Tensor]:
        kept = (known != 0).unsqueeze(-1).to(means.dtype)
        share = kept / kept.sum(1, keepdim=True).clamp(min=1.0)
        return (means * share).sum(1), (spreads * share).sum(1)


class SequenceRows(PooledRows):
    """A user is the items of the sequence in the batch."""

    def __init__(self, items: TableRows, fields: Fields) -> None:
        super().__init__(items)
        assert fields.sequence is not None
        self.sequence = fields.sequence

    def known(self, batch: Columns) -> Tensor:
        return batch[self.sequence]


class HistoryRows(PooledRows):
    """A user is their training items, without the one that the interaction is about."""

    def __init__(self, items: TableRows, fields: Fields, histories: Histories) -> None:
        super().__init__(items)
        self.user, self.item, self.histories = fields.user, fields.item, histories

    def known(self, batch: Columns) -> Tensor:
        return self.histories.of(batch[self.user], without=batch[self.item])

    def has_any(self, batch: Columns) -> Tensor:
        """Bool `[B]`: whether a user has an item left to stand for them."""
        return (self.known(batch) != 0).any(dim=1)


class OutputRows:
    """Gaussians of a graph backbone's propagated embeddings, kept from the forward pass of the step."""

    def __init__(
        self,
        network: ProbabilityNetwork,
        side: Side,
        state: HostState,
        field: str,
        start_spread: float | None,
    ) -> None:
        self.network, self.side, self.state, self.field = network, side, state, field
        self.width = network.width
        self.start_spread = start_spread
        self._seen: tuple[int, Tensor] | None = None

    def remember(self, rows: Tensor) -> None:
        """Keep the first propagation of a step (`[n, d]`, before refinement); later ones are augmented views."""
        if self._seen is None or self._seen[0] != self.state.step:
            self._seen = (self.state.step, rows)

    def of_batch(self, batch: Columns) -> tuple[Tensor, Tensor]:
        ids = batch[self.field]
        # Both are set by the forward pass of this step.
        assert self.state.output is not None
        assert self._seen is not None
        mean = self.state.output[0 if self.side == "user" else 1][ids]
        return mean, self.network.spread(self._seen[1][ids])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen": None}

"""Where the Gaussians of a batch come from: tables, item sequences, or propagated output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from burnish.enhancers.anatomy import Fields, Side, Table
from burnish.enhancers.state import HostState

from .network import ProbabilityNetwork

if TYPE_CHECKING:
    from recbole.data.interaction import Interaction


class GaussianRows(Protocol):
    """Gaussians of one side of a batch.

    start_spread: the spread at the start of training, in the units of the rows; None where no table says it.
    width: d.
    """

    side: Side
    width: int
    start_spread: float | None

    def of_batch(self, batch: Interaction) -> tuple[Tensor, Tensor]:
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

    def of_batch(self, batch: Interaction) -> tuple[Tensor, Tensor]:
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


class SequenceRows:
    """Gaussians of users without a table of their own: the barycentre of the items of each history.

    The 2-Wasserstein barycentre of diagonal Gaussians has the mean of their means and the mean of their spreads.
    """

    def __init__(self, items: TableRows, fields: Fields) -> None:
        assert fields.sequence is not None
        self.items, self.sequence = items, fields.sequence
        self.side: Side = "user"
        self.width = items.width
        self.start_spread: float | None = None  # no spread of its own to guard

    def of_batch(self, batch: Interaction) -> tuple[Tensor, Tensor]:
        sequence = batch[self.sequence]
        table, state = self.items.table, self.items.state
        if sequence.numel() < table.count:
            return self._pooled(sequence, state.refined(table, sequence), self.items.spreads(sequence))
        # embedding_bag pools without writing [B, length, d]; both halves in one pass.
        ids = torch.arange(table.count, device=sequence.device)
        whole = torch.cat([state.refined(table, ids), self.items.whole_spreads()], dim=1)
        pooled = F.embedding_bag(sequence, whole, mode="mean", padding_idx=0)
        mean, spread = pooled.split(table.width, dim=1)
        return mean, spread

    @staticmethod
    def _pooled(sequence: Tensor, means: Tensor, spreads: Tensor) -> tuple[Tensor, Tensor]:
        kept = (sequence != 0).unsqueeze(-1).to(means.dtype)
        share = kept / kept.sum(1, keepdim=True).clamp(min=1.0)
        return (means * share).sum(1), (spreads * share).sum(1)


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

    def of_batch(self, batch: Interaction) -> tuple[Tensor, Tensor]:
        ids = batch[self.field]
        # Both are set by the forward pass of this step.
        assert self.state.output is not None
        assert self._seen is not None
        mean = self.state.output[0 if self.side == "user" else 1][ids]
        return mean, self.network.spread(self._seen[1][ids])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen": None}

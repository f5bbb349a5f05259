"""Enhancers whose effect is plain to see: what `check_backbone` attaches to a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from burnish.enhancers.anatomy.describe import Anatomy
from burnish.enhancers.anatomy.table import Side, Table
from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset
    from recbole.data.interaction import Interaction


class ProbeConfig(EnhancerConfig):
    """Options of the probes."""

    strength: float = Field(default=1.0, ge=0.0, description="factor of everything; 0 leaves the model alone")
    spread: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="how far the weights of interactions lie from 1"
    )


class WeighingProbe(Enhancer[ProbeConfig]):
    """Adds a loss with a learned number, and weighs interactions unevenly.

    Tables stay as they are.

    Parameters
    ----------
    config
        A `ProbeConfig`; None makes one of the options.
    **options
        Options of `ProbeConfig`: `strength` (a factor of everything, 0 or more) and `spread` (how far weights lie from
        1, from 0 to below 1).
    """

    name = "weighing_probe"
    Config = ProbeConfig
    weights: Tensor

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """One number to learn, and a weight an interaction of the training split."""
        self.number = nn.Parameter(torch.zeros(()))
        uneven = torch.rand(len(dataset.inter_feat)) * 2 - 1
        weights = 1 + self.config.strength * self.config.spread * (uneven - uneven.mean())
        self.register_buffer("weights", weights, persistent=False)

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """Half the squared distance of the learned number from 1; every row's."""
        return {"distance": (0.5 * self.config.strength * (self.number - 1).square()).expand(len(batch))}

    def interaction_weights(self) -> Tensor:
        """`[n_interactions]`, mean 1."""
        return self.weights


class Probe(WeighingProbe):
    """Uses every hook: refines all tables, adds a loss, and weighs interactions unevenly.

    A learned matrix mixes the rows of each table, and each row has a shift of its own.  The refinement starts as the
    identity; a loss that does not depend on the batch moves it away from there.

    Parameters
    ----------
    config
        A `ProbeConfig`; None makes one of the options.
    **options
        Options of `ProbeConfig`: `strength` (a factor of everything, 0 or more) and `spread` (how far weights lie from
        1, from 0 to below 1).
    """

    name = "probe"

    def bind(self, anatomy: Anatomy, dataset: Dataset) -> None:
        """One square matrix a table, one shift a user and an item, and a weight an interaction."""
        super().bind(anatomy, dataset)
        self.matrices = nn.ModuleDict()
        for table in anatomy.tables:
            linear = nn.Linear(table.width, table.width)
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
            self.matrices[_key(table)] = linear
        self.shifts = nn.ParameterDict(
            {
                side: nn.Parameter(torch.zeros(anatomy.n_users if side == "user" else anatomy.n_items))
                for side in ("user", "item")
                if anatomy.of("user" if side == "user" else "item")
            }
        )

    def refines(self, table: Table) -> bool:
        """Every table."""
        return True

    def refine(self, rows: Tensor, ids: Tensor, table: Table) -> Tensor:
        """Rows plus a learned linear function of them, plus each id's own shift."""
        change = self.matrices[_key(table)](rows) + self.shifts[table.side][ids].unsqueeze(-1)
        return rows + self.config.strength * change

    def loss(self, batch: Interaction) -> dict[str, Tensor]:
        """Half the squared distance of matrices from 0.1 and of shifts from a number of each id; every row's."""
        total: Any = (self.number - 1).square()
        total = total + sum((p - 0.1).square().sum() for p in self.matrices.parameters())
        for shift in self.shifts.values():
            target = torch.arange(len(shift), device=shift.device, dtype=shift.dtype).sin() / 10
            total = total + (shift - target).square().sum()
        return {"distance": (0.5 * self.config.strength * total).expand(len(batch))}

    def row_tensors(self) -> dict[str, Side]:
        """The shifts."""
        return {f"shifts.{side}": "user" if side == "user" else "item" for side in self.shifts}


def _key(table: Table) -> str:
    return f"{table.name}:{table.side}".replace(".", "/")

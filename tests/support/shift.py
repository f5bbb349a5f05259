"""A small enhancer with every hook, whose effect can be computed by hand: rows + a learned shift."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from burnish.enhancers.enhancer import Enhancer
from burnish.enhancers.options import EnhancerConfig
from burnish.enhancers.registry import register


class ShiftConfig(EnhancerConfig):
    site: str = "table"
    start: float = Field(default=0.0, description="starting value of the shift")


class WeightsConfig(EnhancerConfig):
    values: tuple[float, ...] = (1.0,)


@register
class Shift(Enhancer[ShiftConfig]):
    """Adds one learned number to every refined row, and a quadratic loss on it."""

    name = "shift"
    Config = ShiftConfig
    epochs: ClassVar[list[int]] = []

    def bind(self, anatomy: Any, dataset: Any) -> None:
        self.anatomy = anatomy
        self.shift = nn.Parameter(torch.full((1,), self.config.start))
        torch.randn(3)  # an enhancer that draws numbers must not move the backbone's stream

    def refines(self, table: Any) -> bool:
        return self.config.site == "table"

    def refine(self, rows: Tensor, ids: Tensor, table: Any) -> Tensor:
        assert rows.shape == (len(ids), table.width)
        return rows + self.shift

    def refines_output(self) -> bool:
        return self.config.site == "output"

    def refine_output(self, rows: Tensor, side: str) -> Tensor:
        return rows + self.shift

    def loss(self, batch: Any) -> dict[str, Tensor]:
        return {"square": (self.shift - 1.0).square().expand(len(batch))}

    def on_epoch(self, epoch: int) -> None:
        type(self).epochs.append(epoch)


@register
class Weights(Enhancer[WeightsConfig]):
    """Gives the interactions of a batch fixed weights, repeated as often as needed."""

    name = "weights"
    Config = WeightsConfig

    def weigh(self, batch: Any) -> Tensor:
        values = torch.tensor(self.config.values)
        return values.repeat(-(-len(batch) // len(values)))[: len(batch)]
